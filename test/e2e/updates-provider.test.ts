/** A backend of the operator's, as `docs/updates.md` tells to write one: what it does well, and what it does wrong. */
import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse as parseToml } from "smol-toml";
import type { Tree } from "#config/tree.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { type Node, run, startNode, upload } from "./updates-support.ts";

/** `x-mode` of a package says which call goes wrong, and how. */
const MODULE = `
export default function create({ targets, fault, log }) {
  let tries = 0;
  const wrong = {
    throws: (call) => { throw new Error("cannot " + call); },
    text: () => { throw "only a text"; },
    forged: () => { throw fault("invalidSignature", "signed by nobody"); },
    silent: () => { if (++tries < 3) throw fault("notResponding", "asleep"); },
    hangs: () => new Promise(() => {}),
    raves: (_call, job) => {
      for (const percent of [50, NaN, -5, "90", 250, 10, undefined]) job.progress({ percent, step: 7 });
      job.progress(undefined);
      return 42;
    },
  };
  const act = (call) => async (job) => {
    const { [call]: how } = job.package["x-mode"] ?? {};
    if (how !== undefined) return wrong[how](call, job);
    if (call === "rollback") log("back", { component: job.component });
  };
  return {
    kind: "acme",
    describe: async (component) => ({ ...targets[component].facts, hardwareId: targets[component].hardware_id, supportsRollback: true, supportsTrial: true, version: "1.0" }),
    prepare: act("prepare"), execute: act("execute"), verify: act("verify"), commit: act("commit"), rollback: act("rollback"), close: act("close"),
  };
}
`;

/** For what hangs. All else has the time it wants. */
const HURRIED: Tree = { prepare_timeout_ms: 3_000, execute_timeout_ms: 3_000, abandon_timeout_ms: 50 };

async function acmeNode(
  t: TestContext,
  limits: Tree = {},
  module = MODULE,
): Promise<Node & { readonly module: string }> {
  const folder = scratchFolder("provider");
  const provider = join(folder, "acme.mjs");
  await writeFile(provider, module);
  const node = await startNode(t, {
    component: "body_mcu",
    provider,
    targets: { body_mcu: { provider: "acme", hardware_id: "mcu-1" } },
    ...limits,
  } as never);
  return Object.assign(node, { module: provider });
}

interface Row {
  readonly what: string;
  readonly mode: Readonly<Record<string, string>>;
  readonly state: string;
  readonly code?: string;
  readonly error?: RegExp;
}

const ROWS: readonly Row[] = [
  { what: "all is well", mode: {}, state: "completed" },
  {
    what: "prepare throws",
    mode: { prepare: "throws" },
    state: "failed",
    code: "update-preparation-failed",
    error: /body_mcu: cannot prepare/,
  },
  { what: "a text is thrown", mode: { prepare: "text" }, state: "failed", error: /only a text/ },
  { what: "a fault of its own", mode: { prepare: "forged" }, state: "failed", code: "invalid-signature" },
  { what: "execute throws", mode: { execute: "throws" }, state: "rolledBack", code: "update-execution-failed" },
  { what: "it is silent for a while after the restart", mode: { verify: "silent" }, state: "completed" },
  { what: "verify says no", mode: { verify: "throws" }, state: "rolledBack", error: /cannot verify/ },
  { what: "commit is refused", mode: { commit: "throws" }, state: "rolledBack", error: /cannot commit/ },
  { what: "close fails: the verdict stands", mode: { close: "throws" }, state: "completed" },
  { what: "prepare hangs", mode: { prepare: "hangs" }, state: "failed", error: /too long/ },
  { what: "execute hangs: it is taken back all the same", mode: { execute: "hangs" }, state: "rolledBack" },
  {
    what: "rollback fails, again and again",
    mode: { execute: "throws", rollback: "throws" },
    state: "needsService",
    error: /need service: body_mcu/,
  },
  {
    what: "progress raves, and something is returned",
    mode: { prepare: "raves", execute: "raves" },
    state: "completed",
  },
];

test("whatever a backend does, the update ends in a state with a name", async (t) => {
  const [patient, hurried] = [await acmeNode(t), await acmeNode(t, HURRIED)];
  for (const { what, mode, state, code, error } of ROWS) {
    await t.test(what, async () => {
      const node = Object.values(mode).includes("hangs") ? hurried : patient;
      await node.send("POST", "/updates", { id: "a", affected_components: ["body_mcu"], "x-mode": mode });
      assert.equal((await node.send("PUT", "/updates/a/execute")).status, 202);
      const status = await node.until("a", state);
      for (const { progress } of [status, ...status.subprogress]) {
        assert.ok(Number.isInteger(progress) && progress >= 0 && progress <= 100, `${progress}`);
      }
      const iso = (await node.send("GET", `${node.url.replace("/api/v1", "/sovd/v1")}/updates/a/status`)).json;
      if (code !== undefined) assert.equal(iso.error.error_code, code);
      if (error !== undefined) assert.match(iso.error.message, error);
      const replaced = await node.send("POST", "/updates", { id: "a" });
      assert.equal(replaced.status, state === "needsService" ? 409 : 201, "who waits for service is not forgotten");
      assert.equal((await node.send("DELETE", "/updates/a")).status, 204);
    });
  }
});

test("a prepare that hung keeps no later one from being made", async (t) => {
  const node = await acmeNode(t, { abandon_timeout_ms: 50 });
  const body = { id: "a", affected_components: ["body_mcu"] };
  await node.send("POST", "/updates", { ...body, "x-mode": { prepare: "hangs" } });
  await node.send("PUT", "/updates/a/prepare");
  assert.equal((await node.send("PUT", "/updates/a/x-rollback")).status, 202);
  await node.until("a", "failed");
  await node.send("POST", "/updates", body);
  await node.send("PUT", "/updates/a/prepare");
  await node.until("a", "prepared");
});

test("a backend that answers no facts is told so, and its component is not lost", async (t) => {
  const node = await acmeNode(t, {}, MODULE.replace(/describe: .*,\n/, "describe: async () => undefined,\n"));
  const { status } = await node.send("GET", "/components/body_mcu/x-medkit-update");
  assert.equal(status, 500);
  await node.send("POST", "/updates", { id: "a", affected_components: ["body_mcu"] });
  await node.send("PUT", "/updates/a/prepare");
  assert.match(
    (await node.until("a", "failed")).error,
    /describe of the update provider acme answers what it must not/,
  );
});

const UNLOADABLE: readonly [what: string, module: string, message: RegExp][] = [
  ["a syntax error", "export default {", /update\.provider: .*acme\.mjs does not load/],
  ["no function", "export default {};", /has no function as default export/],
  ["a constructor that throws", "export default () => { throw new Error('no licence'); };", /no licence/],
  ["half a provider", "export default () => ({ kind: 'acme' });", /has no function describe/],
  ["a kind that is built in", MODULE.replace('"acme"', '"slot"'), /calls itself slot, which is built in/],
  ["another kind than configured", MODULE.replace('"acme"', '"other"'), /body_mcu: unknown provider acme/],
];

test("a module that makes no backend ends the start with its name", async (t) => {
  for (const [what, module, message] of UNLOADABLE) await assert.rejects(acmeNode(t, {}, module), message, what);
});

test("a module that is gone ends the start; when it is back, what it began is ended", async (t) => {
  const node = await acmeNode(t, HURRIED);
  await node.send("POST", "/updates", { id: "a", affected_components: ["body_mcu"], "x-mode": { execute: "hangs" } });
  await node.send("PUT", "/updates/a/execute");
  await node.until("a", "executing");
  await rename(node.module, `${node.module}.away`);
  await assert.rejects(node.restart(), /acme\.mjs does not load/);
  await rename(`${node.module}.away`, node.module);
  await node.restart();
  await node.until("a", "rolledBack");
});

/** The blocks of the page that tells how to write one. */
async function example(language: string): Promise<string> {
  const page = await readFile(new URL("../../docs/update-providers.md", import.meta.url), "utf8");
  return new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(page)?.[1] ?? "";
}

test("the example in docs/update-providers.md installs, keeps what was before, and goes back", async (t) => {
  const folder = scratchFolder("planner");
  const module = join(folder, "service-file.mjs");
  await writeFile(module, await example("js"));
  const { update } = parseToml((await example("toml")).replace("/srv/planner", folder)) as never as {
    update: { targets: object };
  };
  const node = await startNode(t, { ...update, component: "planner", provider: module } as never);
  const software = () => readFile(join(folder, "software"), "utf8").catch(() => "none");
  const install = async (id: string, content: string) => {
    const artifact_uri = await upload(node, "planner", content);
    await run(node, { id, origins: ["proximity"], artifact_uri, affected_components: ["planner"] });
  };
  await install("first", "one");
  await node.until("first", "completed");
  assert.equal(await software(), "one");
  // a trial that lasts until it is ended
  const { config } = node.server;
  await node.server.reload(() => ({ ...config, update: { ...config.update, soak_ms: 600_000 } }));
  await install("second", "two");
  await node.until("second", "trial");
  assert.equal(await software(), "two");
  assert.equal((await node.send("PUT", "/updates/second/x-rollback")).status, 202);
  await node.until("second", "rolledBack");
  assert.equal(await software(), "one");
});
