/** Metadata of The Update Framework through a whole node: with the package, from a repository, handed on to a secondary. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { newKey, newKeys, type RepositoryState, repositoryOf, rootOf } from "../unit/update/tuf-support.ts";
import { type Node, run, startNode, tokenOf, upload } from "./updates-support.ts";

const COMPONENT = "compute";
const CONTENT = "trusted software";
/** The node's clock is the real one. */
const YEARS_MS = 10 * 365 * 24 * 3_600_000;
const LATER = new Date(Date.now() + YEARS_MS).toISOString();
const EXPIRES = { timestamp: LATER, snapshot: LATER, targets: LATER };
const keys = newKeys();

type Files = NonNullable<RepositoryState["files"]>;

function metadata(version: number, files: Files, more: Partial<RepositoryState> = {}) {
  const versions = { timestamp: version, snapshot: version, targets: version };
  return repositoryOf({ keys, versions, expires: EXPIRES, files, ...more });
}

const fileFor = (custom: object = {}, content: string = CONTENT): Files => ({
  "compute.bin": { content, custom: { components: [COMPONENT], ...custom } },
});

async function trusting(
  t: TestContext,
  update: Record<string, unknown> = {},
): Promise<Node & { slots: string; root: string }> {
  const folder = scratchFolder("trust");
  const root = join(folder, "root.json");
  await writeFile(root, rootOf(keys, 1, keys.root, LATER));
  const slots = join(folder, "slots");
  const node = await startNode(t, {
    component: COMPONENT,
    verify: "required",
    trusted_root: root,
    targets: { [COMPONENT]: { provider: "slot", folder: slots, hardware_id: "r1" } },
    ...update,
  } as never);
  return Object.assign(node, { slots, root });
}

const running = (node: { slots: string }): Promise<string> =>
  readFile(join(node.slots, "current", "image"), "utf8").catch(() => "nothing");

test("with the package: installed when all is right, refused by name when not", async (t) => {
  const node = await trusting(t);
  const uri = await upload(node, COMPONENT, CONTENT);
  const about = { affected_components: [COMPONENT], artifact_uri: uri, rollback_policy: "coordinated" };
  let version = 1;
  const attempt = async (files: Files, more: object = {}, meta: Partial<RepositoryState> = {}) => {
    await run(node, { id: "fw", ...about, "x-tuf": metadata(++version, files, meta), ...more });
  };
  const rxswin = async () => (await node.send("GET", `/components/${COMPONENT}/x-medkit-update`)).json.rxswin;
  await attempt(fileFor({ version: "2.0", release_counter: 7, hardware_ids: ["r0", "r1"], rxswin: "R13-H 4711 A" }));
  await node.until("fw", "completed");
  assert.equal(await running(node), CONTENT);
  assert.equal(await rxswin(), "R13-H 4711 A");

  const other = await upload(node, COMPONENT, "x".repeat(CONTENT.length));
  const short = await upload(node, COMPONENT, "short");
  const good = { version: "2.1", release_counter: 8 };
  const ROWS: readonly [what: string, files: Files, says: RegExp, more?: object, meta?: Partial<RepositoryState>][] = [
    ["another image", fileFor(good), /SHA-256/, { artifact_uri: other }],
    ["a shorter image", fileFor(good), /5 bytes/, { artifact_uri: short }],
    ["other hardware", fileFor({ ...good, hardware_ids: ["r9"] }), /hardware r9/],
    ["a lower release counter", fileFor({ version: "2.1", release_counter: 6 }), /Release counter 6 is below 7/],
    ["no release counter after one", fileFor({ version: "2.1" }), /Release counter \(none\)/],
    ["an older version", fileFor({ version: "1.9", release_counter: 8 }), /older than 2\.0/],
    ["nothing for this component", fileFor({ ...good, components: ["other"] }), /no image for component compute/],
    ["another update's file", fileFor({ ...good, update: "fw-9" }), /no image for component compute/],
    ["strangers", fileFor(good), /signed by 0\/2/, {}, { by: { targets: newKeys().targets } }],
    ["expired", fileFor(good), /Freeze/, {}, { expires: { ...EXPIRES, timestamp: "2020-01-01T00:00:00Z" } }],
    ["a replay", fileFor(good), /Rollback/, {}, { versions: { timestamp: 1, snapshot: 1, targets: 1 } }],
    ["nothing signed at all", {}, /no manifest/, { "x-tuf": undefined }],
  ];
  for (const [what, files, says, more = {}, meta = {}] of ROWS) {
    await attempt(files, more, meta);
    const { error, phase } = await node.until("fw", "failed");
    assert.match(error, says, what);
    assert.equal(phase, "prepare", what);
    assert.equal(await running(node), CONTENT, what);
  }
  const both = { id: "both", ...about, "x-tuf": metadata(99, fileFor()), "x-manifest": { id: "both", targets: {} } };
  assert.equal((await node.send("POST", "/updates", both)).status, 400);

  await node.restart();
  await run(node, { id: "old", ...about, "x-tuf": metadata(2, fileFor(good)) });
  assert.match((await node.until("old", "failed")).error, /Rollback/, "what was seen outlives a restart");
  assert.equal(await rxswin(), "R13-H 4711 A", "what was refused changes no identifier");
  await attempt(fileFor({ version: "2.1", release_counter: 8, rxswin: "R13-H 4711 B" }));
  await node.until("fw", "completed");
  assert.equal(await rxswin(), "R13-H 4711 B");
  const audit = await node.send("GET", "/updates/fw/x-audit");
  const closed = audit.json.items.findLast(({ event }: { event: string }) => event === "memberClosed");
  assert.deepEqual([closed.rxswinBefore, closed.rxswinAfter], ["R13-H 4711 A", "R13-H 4711 B"]);
});

test("a node that trusts no root refuses what it cannot judge", async (t) => {
  const node = await trusting(t, { trusted_root: undefined, verify: "optional" });
  const artifact_uri = await upload(node, COMPONENT, CONTENT);
  await run(node, { id: "fw", affected_components: [COMPONENT], artifact_uri, "x-tuf": metadata(1, fileFor()) });
  assert.match((await node.until("fw", "failed")).error, /No root/);
  const iso = await node.send("GET", `${node.url.replace("/api/v1", "/sovd/v1")}/updates/fw/status`);
  assert.equal(iso.json.error.error_code, "invalid-signature");
});

test("from a repository: keys change, the new root and what a supplier signed are fetched, and handed on to a secondary that knows the old root", async (t) => {
  const second = newKeys();
  const custom = { components: [COMPONENT, "remote"], version: "3.0" };
  const { timestamp, snapshot, targets, delegated } = metadata(
    1,
    { "vehicle/fw.bin": { content: CONTENT, custom: { ...custom, components: [COMPONENT] } } },
    {
      keys: second,
      roles: {
        acme: {
          keys: [newKey()],
          paths: ["acme/*/*"],
          expires: LATER,
          files: { "acme/remote/fw.bin": { content: CONTENT, custom } },
        },
        // of no use to this update
        broken: { keys: [newKey()], by: [] },
      },
    },
  );
  const sha256 = createHash("sha256").update(CONTENT).digest("hex");
  const files: Record<string, string> = {
    "/metadata/2.root.json": rootOf(second, 2, [...keys.root, ...second.root], LATER),
    "/metadata/timestamp.json": timestamp,
    "/metadata/1.snapshot.json": snapshot,
    "/metadata/1.targets.json": targets,
    "/metadata/1.acme.json": delegated.acme!,
    "/metadata/1.broken.json": delegated.broken!,
    [`/targets/vehicle/${sha256}.fw.bin`]: CONTENT,
    [`/targets/acme/remote/${sha256}.fw.bin`]: CONTENT,
  };
  const server = createServer((request, response) => {
    const body = files[request.url ?? ""];
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup(t, () => void server.close());
  const { port } = server.address() as { port: number };
  const folder = scratchFolder("trust");
  const slots = join(folder, "remote");
  const secondary = await trusting(t, {
    component: "remote",
    targets: { remote: { provider: "slot", folder: slots } },
  });
  const primary = await trusting(t, {
    role: "primary",
    repository: `http://127.0.0.1:${port}`,
    targets: {
      [COMPONENT]: { provider: "slot", folder: join(folder, "own") },
      remote: { provider: "sovd-secondary", url: secondary.url, token: await tokenOf(secondary.server.port) },
    },
  });
  await run(primary, {
    id: "fw-3",
    origins: ["remote"],
    affected_components: [COMPONENT, "remote"],
    rollback_policy: "coordinated",
  });
  await primary.until("fw-3", "completed");
  assert.equal(await running({ slots }), CONTENT);
  const handedOn = (await secondary.send("GET", "/updates/fw-3")).json["x-tuf"];
  assert.deepEqual([handedOn.root.length, handedOn.delegated], [1, { acme: delegated.acme }]);
});

test("a primary that was taken over cannot put anything on a secondary", async (t) => {
  const folder = scratchFolder("trust");
  const slots = join(folder, "remote");
  const secondary = await trusting(t, {
    component: "remote",
    targets: { remote: { provider: "slot", folder: slots } },
  });
  const primary = await startNode(t, {
    role: "primary",
    verify: "none",
    targets: {
      remote: { provider: "sovd-secondary", url: secondary.url, token: await tokenOf(secondary.server.port) },
    },
  });
  const uri = await upload(primary, "remote", "malware");
  await run(primary, { id: "bad", affected_components: ["remote"], artifact_uri: uri });
  assert.match((await primary.until("bad", "failed")).error, /no manifest/);
  assert.equal(await running({ slots }), "nothing");
});
