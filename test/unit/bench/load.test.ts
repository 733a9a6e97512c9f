/** The rig measures right: it reports the delays of servers whose delays are known, on a clock of its own, and the errors of real ones. */
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Address, Connection, ConnectionHandler } from "#bench/connection.ts";
import { encodeRequest } from "#bench/http-message.ts";
import { type LoadOptions, type LoadResult, RECONNECT_MS, runLoad } from "#bench/load.ts";
import { type Clock, systemClock } from "#core/time.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { ManualClock, settle } from "../doip/support.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const BUSY = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const REQUEST = encodeRequest({ method: "GET", path: "/", host: "test" });
/** Histograms keep three digits; a clock that is turned moves by whole milliseconds. */
const GRAIN_MS = 1.01;

const isNear = (value: number, expected: number): void =>
  assert.ok(Math.abs(value - expected) <= GRAIN_MS, `${value} ms, not ${expected} ms`);

// ---- delays: a server of which only they are known, on a clock that is turned ----------------------------------------------

/** Runs a load against a server that answers the n-th request after `delayMs(n)`. */
async function measured(
  delayMs: (n: number) => number,
  options: Pick<LoadOptions, "connections" | "durationMs" | "ratePerS">,
): Promise<LoadResult & { readonly requests: number }> {
  const clock = new ManualClock();
  let requests = 0;
  const connect = (_address: Address, handler: ConnectionHandler): Connection => {
    const connection: Connection = {
      sinceMs: -1,
      send(_request, sinceMs) {
        this.sinceMs = sinceMs;
        clock.setTimeout(() => handler.onResponse(connection, 200), delayMs(requests++));
      },
      close: () => undefined,
    };
    queueMicrotask(() => handler.onOpen(connection));
    return connection;
  };
  const address = { host: "", port: 0 };
  let result: LoadResult | undefined;
  void runLoad({ ...options, address, requests: [REQUEST], clock, connect }).then((ended) => {
    result = ended;
  });
  while (result === undefined) {
    await settle();
    clock.advance(1);
  }
  return { ...result, requests };
}

test("closed loop: a delay of 20 ms is reported, and so is what it allows", async () => {
  const { latencies, errors, durationMs } = await measured(() => 20, { connections: 4, durationMs: 600 });
  assert.deepEqual([errors, durationMs], [{}, 600]);
  for (const percent of [0, 50, 99.9]) isNear(latencies.at(percent), 20);
  // the last ones are still under way
  assert.equal(latencies.count, 4 * (600 / 20 - 1));
});

test("percentiles: one answer of ten is late", async () => {
  const { latencies } = await measured((n) => (n % 10 === 9 ? 60 : 5), { connections: 1, durationMs: 1_000 });
  isNear(latencies.at(50), 5);
  isNear(latencies.at(89), 5);
  isNear(latencies.at(95), 60);
});

/** One stall of 400 ms among answers that come at once. */
const stalling = (n: number): number => (n === 20 ? 400 : 1);

test("open loop: those who should have asked during a stall count with what they would have waited", async () => {
  const closed = await measured(stalling, { connections: 1, durationMs: 1_000 });
  isNear(closed.latencies.at(99), 1);
  isNear(closed.latencies.maxMs, 400);
  const open = await measured(stalling, { connections: 1, durationMs: 1_000, ratePerS: 100 });
  assert.ok(open.unsent <= 1, `unsent ${open.unsent}`);
  // 40 of 100 requests fall into the stall; they wait 400, 390, 380 … ms, and one more for each that went before
  assert.ok(open.latencies.at(90) >= 300, `p90 ${open.latencies.at(90)} ms`);
  assert.ok(open.latencies.at(50) < 50, `median ${open.latencies.at(50)} ms`);
  isNear(open.latencies.maxMs, 400);
});

test("open loop: no more is sent than the rate says, and what could not be sent is told", async () => {
  const quick = await measured(() => 1, { connections: 2, durationMs: 500, ratePerS: 200 });
  assert.ok(quick.requests <= 100 && quick.requests >= 99, `${quick.requests} requests`);
  assert.ok(quick.unsent <= 1, `unsent ${quick.unsent}`);
  const slow = await measured(() => 100, { connections: 1, durationMs: 500, ratePerS: 200 });
  assert.equal(slow.unsent, 100 - slow.requests);
  assert.equal(slow.requests, 5);
});

// ---- real sockets: a load that ends when the test says so -----------------------------------------------------------------

/** Answers the n-th request as `answer` says: text, or nothing when it ends the connection. */
async function serve(t: TestContext, answer: (n: number, socket: Socket) => void): Promise<Address> {
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
  return { host: "127.0.0.1", port };
}

const DURATION_MS = 600_000;

/** Time as it is, but that the load ends when `end` is called; `onTimer` hears of all that is waited for. */
function endless(): Clock & { end: () => void; onTimer: (delayMs: number) => void } {
  const clock = {
    ...systemClock,
    end: (): void => undefined,
    onTimer: (_delayMs: number): void => undefined,
    setTimeout(handler: () => void, delayMs: number) {
      clock.onTimer(delayMs);
      if (delayMs !== DURATION_MS) return systemClock.setTimeout(handler, delayMs);
      clock.end = handler;
      return undefined as never;
    },
  };
  return clock;
}

const load = { requests: [REQUEST], connections: 1, durationMs: DURATION_MS };

test("a real server: no answer is faster than it is, and refusals are told apart", async (t) => {
  const clock = endless();
  const address = await serve(t, (n, socket) => {
    if (n === 10) clock.end();
    else setTimeout(() => socket.write(n % 2 === 0 ? OK : BUSY), 20);
  });
  const { latencies, refusals, errors } = await runLoad({ ...load, address, clock });
  // timers fire up to a millisecond before their time as a high-resolution clock sees it
  assert.ok(latencies.at(0) >= 18.5, `fastest ${latencies.at(0)} ms`);
  assert.deepEqual([latencies.count, refusals.count, errors], [5, 5, { "HTTP 503": 5 }]);
});

const KINDS: readonly [kind: string, answer: (n: number, socket: Socket) => void, timeoutMs?: number][] = [
  ["connection closed", (_, socket) => socket.end()],
  ["malformed response", (_, socket) => socket.write("hello\r\n\r\n")],
  ["timeout", () => undefined, 100],
  ["ECONNREFUSED", () => undefined],
];
for (const [kind, answer, timeoutMs] of KINDS) {
  test(`an error by its kind: ${kind}`, async (t) => {
    const address = kind === "ECONNREFUSED" ? { host: "127.0.0.1", port: await freePort() } : await serve(t, answer);
    const clock = endless();
    // who failed is connected anew after a pause
    clock.onTimer = (delayMs) => {
      if (delayMs === RECONNECT_MS) clock.end();
    };
    const { errors, latencies } = await runLoad({ ...load, address, clock, ...(timeoutMs && { timeoutMs }) });
    assert.equal(latencies.count, 0);
    assert.deepEqual(errors, { [kind]: 1 });
  });
}
