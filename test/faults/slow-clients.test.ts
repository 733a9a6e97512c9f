/** Clients that send or take slowly, and too many of them: they are bounded, and others do not notice. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, suite, type TestContext, test } from "node:test";
import { bounded, type Harness, startHarness } from "../e2e/harness.ts";
import { cleanup } from "../fixtures/cleanup.ts";

const MAX_CONNECTIONS = 40;
const TRICKLERS = 20;
/** For a body that never comes; other clients' requests, on a busy machine too, end well within it. */
const TIMEOUT_MS = 6_000;
/** What a client that takes nothing may cost: the socket's buffers and one turn of answers. */
const MAX_HELD_BYTES = 64 << 20;

async function open(t: TestContext, car: Harness): Promise<Socket> {
  const { hostname, port } = new URL(car.origin);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined);
  cleanup(t, () => socket.destroy());
  await once(socket, "connect");
  return socket;
}

const text = (socket: Socket, part: string) =>
  bounded<string>(part, (resolve) => {
    let seen = "";
    socket.on("data", (chunk: Buffer) => {
      seen += chunk.toString("latin1");
      if (seen.includes(part)) resolve(seen);
    });
    socket.once("close", () => resolve(seen));
  });

async function othersOf(car: Harness): Promise<void> {
  assert.equal((await car.http.get("/components/engine/data/vin")).status, 200);
}

async function inFlightOf(car: Harness): Promise<number> {
  const { text: metrics } = await car.http.get("//metrics");
  return Number(/^sovd_http_in_flight (\d+)/m.exec(metrics)?.[1]);
}

suite("slow clients", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: {
        http: { max_connections: MAX_CONNECTIONS, max_header_bytes: 16_384 },
        shards: { workers: 1 },
      },
    });
    await car.online("ENGINE");
  });
  after(() => car?.close());

  test("heads that never end take no request's place", async (t) => {
    for (let i = 0; i < TRICKLERS; i++) (await open(t, car)).write(`GET /health HTTP/1.1\r\nHost: h\r\nX-${i}: `);
    await othersOf(car);
    assert.equal(await inFlightOf(car), 0);
  });

  test("a head that is too long ends the connection", async (t) => {
    const socket = await open(t, car);
    const closed = once(socket, "close");
    socket.resume();
    socket.write(`GET /health HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(40_000)}`);
    await closed;
    await othersOf(car);
  });

  test("a client that asks on and on and takes no answer costs no memory without end", async (t) => {
    const socket = await open(t, car);
    socket.pause();
    const request = Buffer.from("GET /vehicle/v15/docs HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1_000));
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20 && !socket.destroyed; i++) {
      if (!socket.write(request)) await othersOf(car);
    }
    await othersOf(car);
    const held = process.memoryUsage().rss - before;
    assert(held < MAX_HELD_BYTES, `${held >> 20} MiB`);
  });

  test("connections above the bound are closed at once and counted; those below go on", async (t) => {
    const sockets = await Promise.all(Array.from({ length: MAX_CONNECTIONS + 10 }, () => open(t, car)));
    const first = sockets[0]!;
    const closed = sockets.filter((socket) => socket.destroyed).length;
    await bounded("ten closed connections", (resolve) => {
      let count = closed;
      for (const socket of sockets) {
        socket.resume();
        socket.once("close", () => ++count >= 10 && resolve(undefined));
      }
    });
    const answer = text(first, "Up");
    first.write("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    assert.match(await answer, /^HTTP\/1\.1 200 /);
  });
});

suite("requests that take too long", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({ config: { http: { request_timeout_ms: TIMEOUT_MS }, shards: { workers: 1 } } });
    await car.online("ENGINE");
  });
  after(() => car?.close());

  test("a body that trickles is answered with 408 when its time is up, and the connection ends", async (t) => {
    const sockets = await Promise.all(Array.from({ length: TRICKLERS }, () => open(t, car)));
    const answers = sockets.map((socket) => text(socket, "request-timeout"));
    for (const socket of sockets) {
      socket.write(
        "POST /vehicle/v15/authorize HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
      );
    }
    await othersOf(car);
    for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.equal(await inFlightOf(car), 0);
  });

  test("a server that stands still for longer than a request may take answers what was ready meanwhile", async () => {
    const asked = car.traffic.next(({ uds }) => uds === "22F190");
    const answer = car.http.get("/components/engine/data/vin");
    await asked;
    // the ECU, in the same thread, has answered
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TIMEOUT_MS + 500);
    assert.equal((await answer).status, 200);
  });
});
