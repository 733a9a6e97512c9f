/** The rig measures right: against servers whose delays are known it reports them. Only lower bounds are strict: machines are busy. */
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { encodeRequest } from "#bench/http-message.ts";
import { runLoad } from "#bench/load.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const BUSY = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const REQUEST = encodeRequest({ method: "GET", path: "/", host: "test" });
/** Timers fire up to a millisecond before their time as a high-resolution clock sees it. */
const GRAIN_MS = 1.5;

/** Answers the n-th request as `answer` says: text after a delay, or nothing when it ends the connection. */
async function serve(t: TestContext, answer: (n: number, socket: Socket) => void) {
  const sockets = new Set<Socket>();
  let n = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => answer(n++, socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { address: { host: "127.0.0.1", port }, requests: [REQUEST], count: () => n };
}

const later = (socket: Socket, delayMs: number, text = OK) => void setTimeout(() => socket.write(text), delayMs);

test("closed loop: a delay of 20 ms is reported, and so is what it allows", async (t) => {
  const target = await serve(t, (_, socket) => later(socket, 20));
  const { latencies, errors, durationMs } = await runLoad({ ...target, connections: 4, durationMs: 600 });
  assert.deepEqual(errors, {});
  assert(latencies.at(0) >= 20 - GRAIN_MS, `fastest ${latencies.at(0)} ms`);
  assert(latencies.at(50) < 60, `median ${latencies.at(50)} ms`);
  assert(latencies.count <= (4 * durationMs) / (20 - GRAIN_MS));
  assert(latencies.count > 10);
});

test("percentiles: one answer of ten is late", async (t) => {
  const target = await serve(t, (n, socket) => later(socket, n % 10 === 9 ? 60 : 5));
  const { latencies } = await runLoad({ ...target, connections: 1, durationMs: 1_000 });
  assert(latencies.at(50) < 45, `median ${latencies.at(50)} ms`);
  assert(latencies.at(95) >= 60 - GRAIN_MS, `p95 ${latencies.at(95)} ms`);
});

/** One stall of 400 ms among answers that come at once. */
function stalling() {
  let stalled = false;
  return (n: number, socket: Socket) => {
    if (n === 20 && !stalled) {
      stalled = true;
      later(socket, 400);
    } else socket.write(OK);
  };
}

test("open loop: those who should have asked during a stall count with what they would have waited", async (t) => {
  const closed = await serve(t, stalling());
  const once = await runLoad({ ...closed, connections: 1, durationMs: 1_000 });
  assert(once.latencies.at(99) < 200, "a closed loop sees the stall once among many");
  const open = await serve(t, stalling());
  const { latencies, unsent } = await runLoad({ ...open, connections: 1, durationMs: 1_000, ratePerS: 100 });
  assert(unsent <= 2, `unsent ${unsent}`);
  // 40 of 100 requests fall into the stall; they wait 400, 390, 380 … ms
  assert(latencies.at(90) >= 200, `p90 ${latencies.at(90)} ms`);
  assert(latencies.at(99) >= 380, `p99 ${latencies.at(99)} ms`);
});

test("open loop: no more is sent than the rate says, and what could not be sent is told", async (t) => {
  const quick = await serve(t, (_, socket) => socket.write(OK));
  const { durationMs } = await runLoad({ ...quick, connections: 2, durationMs: 500, ratePerS: 200 });
  assert(quick.count() <= (durationMs / 1_000) * 200 + 1, `${quick.count()} requests`);
  const slow = await serve(t, (_, socket) => later(socket, 100));
  const behind = await runLoad({ ...slow, connections: 1, durationMs: 500, ratePerS: 200 });
  assert(behind.unsent > 50, `unsent ${behind.unsent}`);
});

test("errors by kind: refusals, closed connections, garbage, silence, nobody there", async (t) => {
  const refusing = await serve(t, (n, socket) => socket.write(n % 2 === 0 ? OK : BUSY));
  const mixed = await runLoad({ ...refusing, connections: 1, durationMs: 200 });
  assert(mixed.latencies.count > 0);
  assert.equal(mixed.errors["HTTP 503"], mixed.refusals.count);
  assert.deepEqual(Object.keys(mixed.errors), ["HTTP 503"]);

  const kinds: [string, (n: number, socket: Socket) => void][] = [
    ["connection closed", (_, socket) => socket.end()],
    ["malformed response", (_, socket) => socket.write("hello\r\n\r\n")],
    ["timeout", () => undefined],
  ];
  for (const [kind, answer] of kinds) {
    const target = await serve(t, answer);
    const { errors, latencies } = await runLoad({ ...target, connections: 1, durationMs: 700, timeoutMs: 100 });
    assert.equal(latencies.count, 0);
    assert.deepEqual(Object.keys(errors), [kind]);
  }
  const free = await serve(t, () => undefined);
  await new Promise<void>((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      free.address.port = (probe.address() as { port: number }).port;
      probe.close(() => resolve());
    });
  });
  const { errors } = await runLoad({ ...free, connections: 1, durationMs: 200 });
  assert.deepEqual(Object.keys(errors), ["ECONNREFUSED"]);
});
