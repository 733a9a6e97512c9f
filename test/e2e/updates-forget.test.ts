/** An update that is deleted at a primary is gone in the vehicle: its copies on secondaries go along, as far as these can be reached. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { verifyChain } from "#update/software/journal/audit.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { type Node, run, startNode, tokenOf, upload } from "./updates-support.ts";

/** More than a delete waits for other nodes, and less than a call to a silent one. */
const SOON_MS = 30_000;
const RELAYED = "/components/camera/bulk-data/x-relayed";

type Mode = "works" | "refuses" | "is silent";

/** What is between the two: ends all connections when it changes. */
async function lineTo(t: TestContext, portOf: () => number) {
  let mode: Mode = "works";
  const sockets = new Set<Socket>();
  const open = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  };
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((socket) => {
    open(socket);
    if (mode === "refuses") socket.destroy();
    if (mode !== "works") return;
    const other = open(connect(portOf(), "127.0.0.1"));
    socket.pipe(other).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    cut();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    set(next: Mode): void {
      mode = next;
      cut();
    },
  };
}

interface Pair {
  readonly primary: Node;
  readonly secondary: Node;
  readonly line: { set(mode: Mode): void };
  /** What runs on the camera. */
  running(): Promise<string>;
}

/** A primary with a component in slots, and a secondary with the camera. */
async function pair(t: TestContext, http: object = {}): Promise<Pair> {
  const folder = scratchFolder("forget");
  const slot = (component: string) => ({ provider: "slot", folder: join(folder, component) });
  const secondary = await startNode(t, { component: "camera", targets: { camera: slot("camera") } } as never);
  const token = await tokenOf(secondary.server.port);
  const line = await lineTo(t, () => secondary.server.port);
  const url = `http://127.0.0.1:${line.port}/api/v1`;
  const update = {
    role: "primary",
    component: "compute",
    targets: { compute: slot("compute"), camera: { provider: "sovd-secondary", url, token } },
  };
  const primary = await startNode(t, update as never, { http } as never);
  const running = () => readFile(join(folder, "camera", "current", "image"), "utf8").catch(() => "nothing");
  return { primary, secondary, line, running };
}

const packageOf = (id: string, artifact_uri: string) => ({
  id,
  origins: ["proximity"],
  rollback_policy: "coordinated",
  affected_components: ["compute", "camera"],
  artifact_uri,
});

async function prepared(node: Node, id: string, content: string): Promise<void> {
  await node.send("POST", "/updates", packageOf(id, await upload(node, "compute", content, id)));
  await node.send("PUT", `/updates/${id}/prepare`);
  await node.until(id, "prepared");
}

const idsOf = async (node: Node, path: string): Promise<readonly string[]> =>
  ((await node.send("GET", path)).json.items as (string | { id: string })[]).map((item) =>
    typeof item === "string" ? item : item.id,
  );

/** Updates of the secondary, and how many images were handed on to it. */
const leftOn = async (secondary: Node) => [
  await idsOf(secondary, "/updates"),
  (await idsOf(secondary, RELAYED)).length,
];

async function assertWhole(...nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) assert.ok(verifyChain((await node.send("GET", "/x-audit")).json.items).whole);
}

test("a prepared update is deleted: nothing of it is left on the secondary", async (t) => {
  const { primary, secondary, running } = await pair(t);
  await prepared(primary, "fw", "new");
  assert.deepEqual(await leftOn(secondary), [["fw"], 1]);
  assert.equal((await primary.send("DELETE", "/updates/fw")).status, 204);
  assert.deepEqual(await leftOn(secondary), [[], 0]);
  assert.deepEqual(await idsOf(primary, "/updates"), []);
  assert.equal(await running(), "nothing");
  // the same name again begins anew
  await run(primary, packageOf("fw", await upload(primary, "compute", "newer", "newer")));
  await primary.until("fw", "completed");
  assert.equal(await running(), "newer");
  await assertWhole(primary, secondary);
});

test("one that is installed is deleted: its record goes, what is installed stays", async (t) => {
  const { primary, secondary, running } = await pair(t);
  await run(primary, packageOf("fw", await upload(primary, "compute", "new")));
  await primary.until("fw", "completed");
  // not waited for: the secondary may still be closing
  assert.equal((await primary.send("DELETE", "/updates/fw")).status, 204);
  assert.deepEqual(await leftOn(secondary), [[], 0]);
  assert.equal(await running(), "new");
  await secondary.restart();
  assert.equal(await running(), "new");
  await assertWhole(primary, secondary);
});

test("one that was stopped is deleted: the image that was kept for its next attempt goes", async (t) => {
  const { primary, secondary } = await pair(t);
  await prepared(primary, "fw", "new");
  await primary.send("PUT", "/updates/fw/x-rollback");
  await primary.until("fw", "failed");
  assert.equal((await primary.send("DELETE", "/updates/fw")).status, 204);
  assert.deepEqual(await leftOn(secondary), [[], 0]);
});

test("what others need or registered there stays", async (t) => {
  const { primary, secondary, running } = await pair(t);
  await prepared(primary, "older", "one image");
  await prepared(primary, "same", "one image");
  await secondary.send("POST", "/updates", { id: "theirs", affected_components: ["camera"] });
  assert.equal((await primary.send("DELETE", "/updates/same")).status, 204);
  assert.deepEqual(await leftOn(secondary), [["older", "theirs"], 1]);
  // one of that name that was never handed on
  await primary.send("POST", "/updates", { ...packageOf("theirs", "/components/compute/bulk-data/a/b") });
  await primary.send("PUT", "/updates/theirs/prepare");
  await primary.until("theirs", "failed");
  assert.equal((await primary.send("DELETE", "/updates/theirs")).status, 204);
  assert.deepEqual(await leftOn(secondary), [["older", "theirs"], 1]);
  await primary.send("PUT", "/updates/older/execute");
  await primary.until("older", "completed");
  assert.equal(await running(), "one image");
});

for (const [how, mode] of [
  ["is stopped", "refuses"],
  ["takes calls and answers none", "is silent"],
] as const) {
  test(`a secondary that ${how} keeps nobody from deleting; what it has gives way to the next`, async (t) => {
    const { primary, secondary, line } = await pair(t, { request_timeout_ms: 2 * SOON_MS });
    await prepared(primary, "fw", "new");
    line.set(mode);
    const begun = performance.now();
    assert.equal((await primary.send("DELETE", "/updates/fw")).status, 204);
    assert.ok(performance.now() - begun < SOON_MS);
    assert.deepEqual(await idsOf(primary, "/updates"), []);
    assert.deepEqual(await leftOn(secondary), [["fw"], 1]);
    line.set("works");
    await prepared(primary, "next", "newer");
    assert.deepEqual(await leftOn(secondary), [["fw", "next"], 1]);
    await assertWhole(primary, secondary);
  });
}
