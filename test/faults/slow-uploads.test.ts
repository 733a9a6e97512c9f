/** Clients that upload as slowly as they can: they hold places of clients, one of them not all, and nothing that the node does itself waits for them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Node, run, startNode, tokenOf, upload } from "../e2e/updates-support.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";

const COMPONENT = "compute";
const PLACES = 3;
const FILES = `/components/${COMPONENT}/bulk-data/firmware`;
const SAID_BYTES = 1 << 30;

async function nodeWithSlots(t: TestContext, perClient = PLACES): Promise<Node & { readonly slots: string }> {
  const slots = scratchFolder("slots");
  const targets = { [COMPONENT]: { provider: "slot", folder: slots } };
  const places = { parallel_uploads: PLACES, parallel_uploads_per_client: perClient };
  const node = await startNode(t, { component: COMPONENT, ...places, targets });
  return Object.assign(node, { slots });
}

/** A sender that says that much will come, and sends one byte. */
async function slowSender(t: TestContext, node: Node, method: string, file: string): Promise<Socket> {
  const { hostname, port, pathname } = new URL(`${node.url}${FILES}${file}`);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  cleanup(t, () => socket.destroy());
  await once(socket, "connect");
  const head = ["Host: h", `Authorization: Bearer ${node.token}`, "Content-Type: application/octet-stream"];
  socket.write(`${method} ${pathname} HTTP/1.1\r\n${head.join("\r\n")}\r\nContent-Length: ${SAID_BYTES}\r\n\r\nx`);
  return socket;
}

/** So many places are held: the files have begun and go no further. */
async function placesHeld(t: TestContext, node: Node, count = PLACES): Promise<readonly Socket[]> {
  const senders = await Promise.all(
    Array.from({ length: count }, (_, index) => slowSender(t, node, "PUT", `/slow-${index}`)),
  );
  while ((await node.send("GET", FILES)).json.items.length < count);
  return senders;
}

async function answerOf(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes("}")) break;
  }
  return text;
}

test("when slow senders hold all places, a further upload gets its 503 at once, before its body, and a place that is free again is taken", async (t) => {
  const node = await nodeWithSlots(t);
  const senders = await placesHeld(t, node);
  for (const [method, file] of [
    ["PUT", "/next"],
    ["POST", ""],
  ] as const) {
    const refused = await slowSender(t, node, method, file);
    const answer = await answerOf(refused);
    assert.match(answer, /^HTTP\/1\.1 503 /);
    assert.match(answer, /Retry-After: \d+/i);
    assert.match(answer, /"overloaded"/);
    // nobody listens to the rest, and it does no harm
    refused.write(Buffer.alloc(1 << 20));
  }
  // a client that sends at full speed reads it as well
  const whole = await node.send("PUT", `${FILES}/next`, Buffer.alloc(32 << 20));
  assert.deepEqual([whole.status, whole.headers.get("retry-after")], [503, "1"]);
  const { text } = await textOf(node, "/metrics");
  assert.match(text, /^sovd_uploads_refused_total 3$/m);
  senders[0]?.destroy();
  let last = whole;
  while (last.status === 503) last = await node.send("PUT", `${FILES}/next`, Buffer.from("all of it"));
  assert.equal(last.status, 201);
});

test("a client that holds its places gets no further one, and another's upload goes through", async (t) => {
  const node = await nodeWithSlots(t, PLACES - 1);
  const senders = await placesHeld(t, node, PLACES - 1);
  for (const [method, file] of [
    ["PUT", "/next"],
    ["POST", ""],
  ] as const) {
    const answer = await answerOf(await slowSender(t, node, method, file));
    assert.match(answer, /^HTTP\/1\.1 429 /);
    assert.match(answer, /Retry-After: \d+/i);
    assert.match(answer, /beside 2 others of the same client \(update\.parallel_uploads_per_client\)/);
  }
  const other = { authorization: `Bearer ${await tokenOf(node.server.port, undefined, "another")}` };
  const stored = await node.send("PUT", `${FILES}/theirs`, Buffer.alloc(1 << 20), other);
  assert.equal(stored.status, 201);
  senders[0]?.destroy();
  const again = () => node.send("PUT", `${FILES}/next`, Buffer.from("all of it"));
  let last = await again();
  while (last.status === 429) last = await again();
  assert.equal(last.status, 201);
});

test("when slow senders hold all places, an update is fetched, installed and cleared away, and files are deleted", async (t) => {
  const node = await nodeWithSlots(t);
  const old = await upload(node, COMPONENT, "not needed any more");
  await placesHeld(t, node);
  const images = createServer((_, answer) => answer.end("new software")).listen(0, "127.0.0.1");
  cleanup(t, () => images.close());
  await once(images, "listening");
  const uri = `http://127.0.0.1:${(images.address() as AddressInfo).port}/image.bin`;
  await run(node, { id: "fw", origins: ["remote"], artifact_uri: uri, affected_components: [COMPONENT] });
  await node.until("fw", "completed");
  assert.equal(await readFile(join(node.slots, "current", "image"), "utf8"), "new software");
  assert.equal((await node.send("DELETE", "/updates/fw")).status, 204);
  assert.equal((await node.send("DELETE", old)).status, 204);
  // a file that is being sent is not taken away from its sender, which is known at once
  assert.equal((await node.send("DELETE", `${FILES}/slow-0`)).status, 409);
});

async function textOf(node: Node, path: string): Promise<{ readonly text: string }> {
  return { text: await (await fetch(new URL(path, node.url))).text() };
}
