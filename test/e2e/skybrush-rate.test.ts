/** Clients that send more than they may, over each transport: answered, then answered with ACK-NAK, then closed; a clock that stands still counts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { type Clock, systemClock } from "#core/time.ts";
import { Budget } from "#update/skybrush/budget.ts";
import { Hub } from "#update/skybrush/hub.ts";
import type { Listener } from "#update/skybrush/listener.ts";
import { Rate } from "#update/skybrush/rate.ts";
import { listenTcp } from "#update/skybrush/tcp.ts";
import { listenUdp } from "#update/skybrush/udp.ts";
import { listenWebSocket } from "#update/skybrush/websocket.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { HOST } from "./ajour-support.ts";
import { bounded } from "./harness.ts";
import { type Client, frames, lines, type Message, udp } from "./skybrush-support.ts";

const BURST = 5;
const SENT = 40;
const TOO_MANY = "There are too many messages, more than 1 a second (skybrush.max_messages_per_second)";

type Listen = (options: Parameters<typeof listenWebSocket>[0]) => Promise<Listener>;

/** A listener that takes a message a second, and `BURST` at once. */
async function start(t: TestContext, listen: Listen) {
  const problems: unknown[] = [];
  const onProblem = (problem: unknown) => problems.push(problem);
  const budget = new Budget(1 << 20);
  const hub = new Hub({
    port: { objects: () => [], targets: () => [], supports: () => false } as never,
    clock: systemClock,
    budget,
    timeoutMs: 1_000,
    keepMs: 1_000,
    maxOperations: 1,
    maxBlobBytes: 64,
    maxPending: 1_000,
    authenticate: undefined,
    ports: () => ({}),
    nowMs: () => 0,
    onProblem,
  });
  const now = { ms: 0, asked: 0 };
  const ask = () => {
    now.asked++;
    return now.ms;
  };
  const rate = new Rate(1, BURST, { now: ask } as Clock);
  const common = {
    hub,
    rate,
    budget,
    clock: systemClock,
    address: HOST,
    port: 0,
    tls: undefined,
    origins: [],
    onProblem,
  };
  const listener = await listen({ ...common, messageTimeoutMs: 10_000, maxMessageBytes: 4_096, maxClients: 16 });
  cleanup(t, () => listener.close());
  return { port: listener.port, problems, now };
}

const ping = (id: number) => ({ "$fw.version": "1.0", id: `q${id}`, body: { type: "SYS-PING" } });
const flood = ({ send }: Pick<Client, "send">) => {
  for (let id = 0; id < SENT; id++) send(ping(id));
};
const oneByOne = async ({ send, next }: Client, count: number) => {
  for (let id = 0; id < count; id++) {
    send(ping(id));
    await next(({ refs }) => refs === `q${id}`);
  }
};

/** How many were answered, and how many refused. */
function counted(received: readonly Message[]): { readonly taken: number; readonly refused: number } {
  const is = (wanted: string) => received.filter(({ body }) => body.type === wanted);
  const refused = is("ACK-NAK");
  for (const { body } of refused) assert.equal(body.reason, TOO_MANY);
  assert.equal(is("ACK-ACK").length + refused.length, received.length);
  return { taken: is("ACK-ACK").length, refused: refused.length };
}

test("lines over TCP", async (t) => {
  const { port, problems, now } = await start(t, listenTcp);
  const attempt = async (answered: number) => {
    const socket = connect(port, HOST);
    socket.on("error", () => undefined);
    const closed = bounded("the end", (resolve) => socket.on("close", () => resolve(undefined)));
    const client = lines(t, socket);
    await once(socket, "connect");
    await oneByOne(client, answered);
    flood(client);
    await closed;
    return counted(client.received);
  };
  assert.deepEqual(await attempt(2 * BURST), { taken: BURST, refused: BURST });
  assert.deepEqual(problems, [TOO_MANY]);
  assert.deepEqual(await attempt(0), { taken: 0, refused: 0 }, "a new connection is no new beginning");
  now.ms += 2_000;
  assert.deepEqual(await attempt(4), { taken: 2, refused: 2 });
});

test("frames of a WebSocket, of which the request for it is one; pings too", async (t) => {
  const { port, problems, now } = await start(t, listenWebSocket);
  const open = async () => {
    const socket = new WebSocket(`ws://${HOST}:${port}/`);
    cleanup(t, () => socket.terminate());
    await once(socket, "open");
    socket.on("error", () => undefined);
    const closed = bounded("the end", (resolve) => socket.on("close", () => resolve(undefined)));
    return { socket, closed };
  };
  const { socket, closed } = await open();
  const client = frames(socket);
  await oneByOne(client, 2 * BURST - 1);
  assert.deepEqual(counted(client.received), { taken: BURST - 1, refused: BURST });
  flood(client);
  await closed;
  assert.deepEqual(problems, [TOO_MANY]);
  const refused = new WebSocket(`ws://${HOST}:${port}/`);
  const [problem] = await once(refused, "error");
  assert.match(String(problem), /429/);
  now.ms += 60_000;
  const other = await open();
  for (let at = 0; at < SENT; at++) other.socket.ping();
  await other.closed;
  assert.deepEqual(problems, [TOO_MANY, TOO_MANY]);
});

for (const transport of ["websocket", "polling"] as const) {
  test(`events of Socket.IO by ${transport}`, async (t) => {
    const { port, problems } = await start(t, listenWebSocket);
    const socket = io(`http://${HOST}:${port}`, { transports: [transport], reconnection: false });
    cleanup(t, () => socket.close());
    const events = { send: (message: unknown) => socket.emit("fw", message) };
    const received: Message[] = [];
    socket.on("fw", (message) => received.push(message as Message));
    if (transport === "websocket") {
      await bounded("a connection", (resolve) => socket.on("connect", () => resolve(undefined)));
      flood(events);
    }
    await bounded("the end", (resolve) => {
      socket.on("disconnect", () => resolve(undefined));
      socket.on("connect_error", () => resolve(undefined));
      if (transport === "polling") socket.on("connect", () => flood(events));
    });
    const { taken, refused } = counted(received);
    assert.ok(taken < BURST && refused <= BURST, `${taken} taken, ${refused} refused`);
    if (transport === "websocket") assert.deepEqual({ taken, refused }, { taken: BURST - 2, refused: BURST });
    assert.ok(
      problems.every((problem) => problem === TOO_MANY),
      String(problems),
    );
  });
}

test("posted messages", async (t) => {
  const { port, now } = await start(t, listenWebSocket);
  const post = (id: number) =>
    fetch(`http://${HOST}:${port}/api/v1`, { method: "POST", body: JSON.stringify(ping(id)) });
  for (let id = 0; id < BURST; id++) {
    const answer = await post(id);
    assert.deepEqual([answer.status, await answer.json()], [200, { type: "ACK-ACK" }]);
  }
  for (let id = 0; id < BURST; id++) {
    const answer = await post(id);
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [429, "1"]);
    assert.deepEqual(await answer.json(), { type: "ACK-NAK", reason: TOO_MANY });
  }
  await assert.rejects(post(0), "closed");
  now.ms += 1_000;
  assert.equal((await post(0)).status, 200);
});

test("datagrams: beyond, they are passed over", async (t) => {
  const { port, now } = await start(t, listenUdp);
  const client = await udp(t, port);
  await oneByOne(client, 2 * BURST);
  flood(client);
  while (now.asked < 2 * BURST + SENT) await setImmediate();
  now.ms += 1_000;
  client.send(ping(99));
  const last = await client.next(({ refs }) => refs === "q99");
  assert.equal(last.body.type, "ACK-ACK");
  assert.deepEqual(counted(client.received), { taken: BURST + 1, refused: BURST });
});
