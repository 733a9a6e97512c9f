/** Promises of an update agent that need real nodes: floors, verdicts, cut downloads, calls that come at the same time, full lists. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createLogger } from "#telemetry/logger.ts";
import { startServer } from "../../src/main.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { type Loose, type Node, run, startNode, tokenOf, upload } from "./updates-support.ts";

const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
const FAILING = ["node", "-e", "process.exit(require('fs').readFileSync(process.argv[1],'utf8').includes('bad')?1:0)"];

interface Slots extends Node {
  running(): Promise<string>;
}

/** A node with one component in slots; images that say `bad` are unwell. */
async function slotted(t: TestContext, component: string, update: object = {}, config: object = {}): Promise<Slots> {
  const folder = scratchFolder("promises");
  const image = join(folder, "current", "image");
  const slot = { provider: "slot", folder, health: [...FAILING, image] };
  const node = await startNode(t, { component, targets: { [component]: slot }, ...update } as never, config as never);
  return Object.assign(node, { running: () => readFile(image, "utf8").catch(() => "nothing") });
}

const packageOf = (id: string, uri: string, component: string, more: object = {}) => ({
  id,
  origins: ["proximity"],
  rollback_policy: "coordinated",
  affected_components: [component],
  artifact_uri: uri,
  ...more,
});

test("P3: the floor rises with what stays, not with a trial that went back", async (t) => {
  const node = await slotted(t, "compute");
  const install = async (version: string, content: string, state: string) => {
    const uri = await upload(node, "compute", content, `v${version}.bin`);
    await run(node, packageOf(`v${version}`, uri, "compute", { target_version: version }));
    const status = await node.until(`v${version}`, state);
    const { json } = await node.send("GET", "/components/compute/x-medkit-update");
    return [json.rollback_floor, json.current_version, status.error];
  };
  assert.deepEqual((await install("2.0", "two", "completed")).slice(0, 2), ["2.0", "2.0"]);
  assert.deepEqual((await install("4.0", "four, bad", "rolledBack")).slice(0, 2), ["2.0", "2.0"]);
  assert.match((await install("1.0", "one", "failed"))[2], /1\.0 is older than 2\.0/);
  assert.deepEqual((await install("3.0", "three", "completed")).slice(0, 2), ["3.0", "3.0"]);
  assert.equal(await node.running(), "three");
});

test("P4: starts that end before anything works end a trial as well", async (t) => {
  const node = await slotted(t, "compute", { soak_ms: 60_000 });
  const uri = await upload(node, "compute", "new");
  await run(node, packageOf("fw", uri, "compute"));
  await node.until("fw", "trial");
  const { config } = node.server;
  await node.server.close();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  cleanup(t, () => taken.close());
  const { port } = taken.address() as AddressInfo;
  const log = createLogger({ ...config.logging, level: "fatal" } as never);
  const STARTS = ["new", "nothing"];
  for (const runs of STARTS) {
    await assert.rejects(startServer({ ...config, server: { ...config.server, port } }, log), {
      kind: "misconfigured",
    });
    assert.equal(await node.running(), runs);
  }
  await node.restart();
  assert.equal(
    (await node.until("fw", "rolledBack")).subprogress[0].error.message,
    "compute fell back to its old software",
  );
});

/** Long enough for what is asked meanwhile. */
const VERDICT_MS = 6_000;

test("P4, P11: a secondary waits so long and no longer; a late verdict gets 409 and the state that is", async (t) => {
  const node = await slotted(t, "camera", { verdict_timeout_ms: VERDICT_MS });
  const facts = (await node.send("GET", "/components/camera/x-medkit-update")).json;
  assert.equal(facts.verdict_timeout_ms, VERDICT_MS);
  const uri = await upload(node, "camera", "new");
  const wanted = (watchdog_ms: number) => packageOf("fw", uri, "camera", { "x-orchestrator": { watchdog_ms } });
  const tooLong = await node.send("POST", "/updates", wanted(VERDICT_MS + 1));
  assert.deepEqual([tooLong.status, tooLong.json.message.includes(`at most ${VERDICT_MS} ms`)], [400, true]);
  assert.equal((await node.send("POST", "/updates", wanted(VERDICT_MS))).status, 201);
  assert.equal((await node.send("PUT", "/updates/fw/prepare")).status, 202);
  await node.until("fw", "prepared");
  assert.equal((await node.send("PUT", "/updates/fw/execute")).status, 202);
  await node.until("fw", "awaitingVerdict");
  assert.equal(await node.running(), "new");
  const { json } = await node.send("GET", "/components/camera/x-medkit-update");
  assert.equal(json.state, "awaitingVerdict");
  assert.ok(Date.parse(json.trial_deadline) - Date.now() <= VERDICT_MS);
  const early = await node.send("PUT", "/updates/fw/x-close");
  assert.deepEqual([early.status, early.json.parameters?.state], [409, "awaitingVerdict"]);
  await node.until("fw", "rolledBack");
  assert.equal(await node.running(), "nothing");
  for (const verb of ["x-commit", "x-close"]) {
    const late = await node.send("PUT", `/updates/fw/${verb}`);
    assert.deepEqual([late.status, late.json.parameters?.state], [409, "rolledBack"], verb);
  }
});

test("P11: a commit may come twice and only marks it good; who committed can still be taken back until the close", async (t) => {
  const node = await slotted(t, "camera", { verdict_timeout_ms: 60_000 });
  const trial = async (id: string, content: string) => {
    const uri = await upload(node, "camera", content, id);
    const body = packageOf(id, uri, "camera", { target_version: "2.0", "x-orchestrator": { watchdog_ms: 60_000 } });
    await node.send("POST", "/updates", body);
    await node.send("PUT", `/updates/${id}/prepare`);
    await node.until(id, "prepared");
    await node.send("PUT", `/updates/${id}/execute`);
    await node.until(id, "awaitingVerdict");
    for (let i = 0; i < 2; i++) assert.equal((await node.send("PUT", `/updates/${id}/x-commit`)).status, 202);
    await node.until(id, "committed");
    return (await node.send("GET", "/components/camera/x-medkit-update")).json.rollback_floor;
  };
  assert.equal(await trial("split", "new"), undefined, "the floor waits for the close");
  assert.equal((await node.send("PUT", "/updates/split/x-rollback")).status, 202);
  await node.until("split", "rolledBack");
  assert.equal(await node.running(), "nothing");
  await trial("whole", "new");
  for (let i = 0; i < 2; i++) assert.equal((await node.send("PUT", "/updates/whole/x-close")).status, 202);
  await node.until("whole", "completed");
  const facts = (await node.send("GET", "/components/camera/x-medkit-update")).json;
  assert.deepEqual([await node.running(), facts.rollback_floor], ["new", "2.0"]);
  assert.equal((await node.send("PUT", "/updates/whole/x-rollback")).status, 409);
});

test("P11: an image that was exchanged after it was verified is not installed", async (t) => {
  const node = await slotted(t, "camera");
  const path = "/components/camera/bulk-data/firmware-artifacts/image";
  await node.send("PUT", path, Buffer.from("good"));
  await node.send("POST", "/updates", packageOf("fw", path, "camera"));
  await node.send("PUT", "/updates/fw/prepare");
  await node.until("fw", "prepared");
  assert.equal((await node.send("PUT", path, Buffer.from("malware"))).status, 409);
  // past the node's interface
  const file = { component: "camera", category: "firmware-artifacts", id: "image", name: "image", mimetype: "x/y" };
  async function* malware() {
    yield Buffer.from("malware");
  }
  await node.server.context.softwareUpdates!.bulk.write(file, 0, malware(), true);
  await node.send("PUT", "/updates/fw/execute");
  assert.match((await node.until("fw", "rolledBack")).error, /no longer the one that was verified/);
  assert.equal(await node.running(), "nothing");
});

test("a primary whose verdict may come too late for a secondary does not begin", async (t) => {
  const secondary = await slotted(t, "camera", { verdict_timeout_ms: 1_000 });
  const camera = { provider: "sovd-secondary", url: secondary.url, token: await tokenOf(secondary.server.port) };
  const primary = await startNode(t, { role: "primary", component: "compute", targets: { camera } } as never);
  const uri = await upload(primary, "compute", "new");
  await run(primary, packageOf("fw", uri, "camera"));
  assert.match(
    (await primary.until("fw", "failed")).error,
    /camera waits 1000 ms for a verdict, which may take \d+ ms/,
  );
  assert.equal((await secondary.send("GET", "/updates")).json.items.length, 0, "nothing was sent there");
});

test("who cannot go back is named in the status, a fault of the node, in the metrics, and tried again", async (t) => {
  const folder = scratchFolder("stuck");
  const repaired = join(folder, "repaired");
  const command = {
    provider: "command",
    folder,
    verify: ["false"],
    commit: ["true"],
    rollback: ["test", "-e", repaired],
  };
  const node = await startNode(t, {
    component: "compute",
    retry_ms: 10,
    service_retry_ms: 5_000,
    targets: { compute: command },
  } as never);
  const uri = await upload(node, "compute", "new");
  await run(node, packageOf("fw", uri, "compute"));
  const { error } = await node.until("fw", "needsService");
  assert.match(error, /need service: compute/);
  const seen = async () => {
    const { json } = await node.send("GET", "/components/compute/faults");
    const metrics = await node.send("GET", `${new URL(node.url).origin}/metrics`);
    const [, count] = /^sovd_updates_need_service (\d+)$/m.exec(metrics.bytes.toString()) ?? [];
    const { state } = (await node.send("GET", "/components/compute/x-medkit-update")).json;
    return [json.items.map(({ code }: Loose) => code), count, state];
  };
  assert.deepEqual(await seen(), [["UPDATE-fw-compute"], "1", "needsService"]);
  await node.restart();
  assert.deepEqual(await seen(), [["UPDATE-fw-compute"], "1", "needsService"]);
  await writeFile(repaired, "");
  await node.until("fw", "rolledBack");
  assert.deepEqual(await seen(), [[], "0", "idle"]);
});

/** An update server that breaks off, and then has another file at the same place. */
async function fickle(
  t: TestContext,
  cutAt: number,
  first: Buffer,
  then: Buffer,
): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.range ?? "whole");
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (asked.length === 1) {
      response.writeHead(200, { "content-length": first.length });
      response.write(first.subarray(0, cutAt), () => response.destroy());
      return;
    }
    const range = `bytes ${from}-${then.length - 1}/${then.length}`;
    response.writeHead(from === 0 ? 200 : 206, from === 0 ? {} : { "content-range": range });
    response.end(then.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup(t, () => server.close());
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, asked };
}

const BIG = 9 << 20;
const [ONE, TWO] = [Buffer.alloc(BIG, "1"), Buffer.alloc(BIG, "2")];
const LITTLE = 3 << 20;
type Download = [what: string, cutAt: number, then: Buffer, named: Buffer | undefined, asks: RegExp, state: string];
/** `state` is that after the first prepare; an update that failed there is prepared once more. */
const DOWNLOADS: readonly Download[] = [
  ["it goes on where it was, at once", 2 * LITTLE, ONE, ONE, /^whole bytes=\d+-$/, "prepared"],
  [
    "another file there: nothing of the first is mixed in",
    2 * LITTLE,
    TWO,
    TWO,
    /^whole bytes=\d+- whole$/,
    "prepared",
  ],
  ["too soon for a segment: it waits to be asked again", LITTLE, ONE, ONE, /^whole whole$/, "failed"],
  ["no hash to tell: it begins anew", 2 * LITTLE, TWO, undefined, /^whole whole$/, "failed"],
];
for (const [what, cutAt, then, named, asks, state] of DOWNLOADS) {
  test(`P5: a download that was cut: ${what}`, async (t) => {
    const { url, asked } = await fickle(t, cutAt, ONE, then);
    const node = await slotted(t, "compute", { repository: url });
    const target = named && { uri: "image", sha256: sha256(named), length: named.length };
    const manifest = target && { "x-manifest": { id: "fw", targets: { compute: target } } };
    await node.send("POST", "/updates", { ...packageOf("fw", `${url}/image`, "compute"), ...manifest });
    await node.send("PUT", "/updates/fw/prepare");
    const ended = await node.until("fw", state);
    if (state === "failed") assert.equal(ended.subprogress[0].error.error_code, "not-responding");
    await node.send("PUT", "/updates/fw/execute");
    await node.until("fw", "completed");
    assert.match(asked.join(" "), asks);
    assert.equal(sha256(await node.running()), sha256(then));
  });
}

test("P6: calls that come at the same time: one is taken, the others are told why not", async (t) => {
  const node = await slotted(t, "compute");
  const uri = await upload(node, "compute", "new");
  for (const id of ["a", "b"]) await node.send("POST", "/updates", packageOf(id, uri, "compute"));
  const calls = Array.from({ length: 20 }, (_, i) => {
    const id = i % 2 ? "a" : "b";
    return i % 5 === 4 ? node.send("DELETE", `/updates/${id}`) : node.send("PUT", `/updates/${id}/execute`);
  });
  const answers = (await Promise.all(calls)).map(({ status, json }) => [status, json?.error_code]);
  const taken = answers.filter(([status]) => status === 202);
  assert.equal(taken.length, 1, JSON.stringify(answers));
  for (const [status] of answers) assert.ok([202, 204, 404, 409].includes(status), JSON.stringify(answers));
  const ids: readonly string[] = (await node.send("GET", "/updates")).json.items;
  const ended = await Promise.any(ids.map((id) => node.until(id, "completed")));
  assert.equal(ended.status, "completed");
  assert.equal(await node.running(), "new");
});

test("P8: a thousand packages and no more; the list, a status and an update still go", async (t) => {
  const node = await slotted(t, "compute");
  const uri = await upload(node, "compute", "new");
  for (let at = 0; at < 1_000; at += 50) {
    const made = Array.from({ length: 50 }, (_, i) =>
      node.send("POST", "/updates", packageOf(`p${at + i}`, uri, "compute")),
    );
    for (const { status } of await Promise.all(made)) assert.equal(status, 201);
  }
  const full = await node.send("POST", "/updates", packageOf("more", uri, "compute"));
  assert.deepEqual([full.status, /1000 updates already/.test(full.bytes.toString())], [500, true]);
  assert.equal((await node.send("GET", "/updates")).json.items.length, 1_000);
  await node.send("PUT", "/updates/p999/execute");
  await node.until("p999", "completed");
  await node.restart();
  assert.equal((await node.send("GET", "/updates")).json.items.length, 1_000);
  assert.equal(((await node.send("GET", "/updates/p999/status")).json as Loose)["x-state"], "completed");
  assert.equal((await node.send("DELETE", "/updates/p0")).status, 204);
  assert.equal((await node.send("POST", "/updates", packageOf("more", uri, "compute"))).status, 201);
});
