/** What the kernel receives ahead is bounded on every connection, whenever it came. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { limitReceiveBuffers } from "#http/receive-buffer.ts";

/** What uWebSockets.js reads at a time; while that is filled it reads on. */
const BOUND_BYTES = 512 * 1024;

/** Sizes of the receive buffers of sockets that it inherits, from descriptor 3 on. */
const READER = `
const { UDP } = process.binding("udp_wrap");
const sizes = Array.from({ length: Number(process.argv[1]) }, (_, at) => {
  const socket = new UDP();
  socket.open(3 + at);
  return socket.bufferSize(0, true, {});
});
console.log(JSON.stringify(sizes));`;

function sizesOf(sockets: readonly Socket[]): number[] {
  const descriptors = sockets.map((socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd);
  const { stdout } = spawnSync(process.execPath, ["-e", READER, String(sockets.length)], {
    stdio: ["ignore", "pipe", "ignore", ...descriptors],
    encoding: "utf8",
  });
  return JSON.parse(stdout) as number[];
}

test("connections before, while and after the bound is set all have it", {
  skip: process.platform === "linux" ? false : "Linux only",
}, async (t) => {
  const accepted: Socket[] = [];
  const clients: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of [...clients, ...accepted]) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const join = async () => {
    const client = connect(port, "127.0.0.1");
    clients.push(client);
    await Promise.all([once(server, "connection"), once(client, "connect")]);
  };
  await join();
  const [unbounded] = sizesOf(accepted);
  let isSet = false;
  const limited = limitReceiveBuffers(port).finally(() => {
    isSet = true;
  });
  while (!isSet && clients.length < 100) await join();
  await limited;
  await join();
  const sizes = sizesOf(accepted);
  assert.equal(sizes.length, clients.length);
  assert.ok(
    sizes.every((bytes) => bytes < BOUND_BYTES && bytes !== unbounded),
    sizes.join(),
  );
});
