import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { toHex } from "#core/bytes.ts";
import type { Fault } from "#core/errors.ts";
import type { ChannelHandler, ChannelTiming } from "#doip/channel.ts";
import { DoipConnection } from "#doip/connection.ts";
import type { ConnectionOptions } from "#doip/connection-options.ts";
import { selfSignedCertificate } from "#sim/certificate.ts";
import { answersService } from "#uds/match.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { ack, activated, answer, Entity, nack, TESTER } from "./entity.ts";
import { hex, Mailbox, ManualClock, skipIpv6 } from "./support.ts";

const TIMING = { connectTimeoutMs: 30_000, activationTimeoutMs: 29_000, retryDelayMs: 5_000, retryAttempts: 3 };
const CHANNEL: ChannelTiming = { ackTimeoutMs: 1_000, nackRetries: { "5": 2 }, retryPeriodMs: 200, sendRetries: 3 };
const NEVER = Number.POSITIVE_INFINITY;

function connect(t: TestContext, entity: Entity, options: Partial<ConnectionOptions> = {}) {
  const clock = new ManualClock();
  const events = new Mailbox<string>();
  const log = new Mailbox<string>();
  const connection = new DoipConnection({
    gatewayAddress: 0x1000,
    ip: "127.0.0.1",
    version: 2,
    port: entity.port,
    tlsPort: entity.port,
    testerAddress: TESTER,
    testerIp: "127.0.0.1",
    timing: TIMING,
    clock,
    answers: answersService,
    events: {
      onConnectivity: (connected, { tls }) => events.push(`${connected ? "up" : "down"}${tls ? " tls" : ""}`),
      onLog: (_level, message) => log.push(message),
    },
    ...options,
  });
  cleanup(t, () => connection.close());
  return { connection, clock, events, log };
}

/** A channel that writes down what happens. */
function link(
  connection: DoipConnection,
  targetAddress: number,
  options: { functional?: boolean } & Partial<ChannelTiming> = {},
) {
  const { functional = false, ...timing } = options;
  const happened = new Mailbox<string>();
  const handler: ChannelHandler = {
    onAcknowledged: () => happened.push("ack"),
    onResponse: (response) => happened.push(toHex(response)),
    onFailed: (fault: Fault) => happened.push(`${fault.kind} ${fault.message}`),
    onConnectivity: (connected) => happened.push(connected ? "up" : "down"),
  };
  const channel = connection.channel(handler, {
    name: `ecu${targetAddress.toString(16)}`,
    targetAddress,
    functional,
    timing: { ...CHANNEL, ...timing },
  });
  return { channel, happened };
}

async function ready(t: TestContext, entity: Entity, options: Partial<ConnectionOptions> = {}) {
  const set = connect(t, entity, options);
  set.connection.open();
  assert.equal(await set.events.next(), "up");
  return set;
}

test("connection: activates routing with the tester's address, in the version of the announcement", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = await ready(t, entity, { version: 3 });
  const { message, version, socket } = await entity.heard.next();
  assert.deepEqual(message, { kind: "routingActivationRequest", sourceAddress: TESTER, activationType: 0 });
  assert.equal(version, 3);
  assert.equal(socket.remoteAddress, "127.0.0.1");
  assert.equal(connection.state, "ready");
});

test("connection: leaves from the tester's address when that is a specific one", async (t) => {
  const entity = await Entity.start(t);
  await ready(t, entity, { testerIp: "127.0.0.2" });
  const { socket } = await entity.heard.next();
  assert.equal(socket.remoteAddress, "127.0.0.2");
});

for (const code of [0x10, 0x11]) {
  test(`connection: activation code 0x${code.toString(16)} is success`, async (t) => {
    const entity = await Entity.start(t);
    entity.script = (message, say) => message.kind === "routingActivationRequest" && done(say(activated(code)));
    await ready(t, entity);
  });
}

for (const code of [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0xe0]) {
  test(`connection: activation code 0x${code.toString(16)} is a refusal, tried again after the delay`, async (t) => {
    const entity = await Entity.start(t);
    let code2 = code;
    entity.script = (message, say) => message.kind === "routingActivationRequest" && done(say(activated(code2)));
    const { connection, clock, events, log } = connect(t, entity);
    connection.open();
    assert.match(await log.next(), /routing activation denied with 0x/);
    assert.equal(connection.state, "waiting");
    assert.deepEqual(clock.delays, [TIMING.retryDelayMs]);
    code2 = 0x10;
    clock.advance(TIMING.retryDelayMs);
    assert.equal(await events.next(), "up");
  });
}

test("connection: an alive check request before the activation response is answered", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) => {
    if (message.kind === "routingActivationRequest") return done(say({ kind: "aliveCheckRequest" }));
    if (message.kind === "aliveCheckResponse") return done(say(activated()));
    return undefined;
  };
  await ready(t, entity);
  assert.deepEqual(await entity.hear("aliveCheckResponse"), { kind: "aliveCheckResponse", sourceAddress: TESTER });
});

test("connection: no activation response in time, close during activation, attempts used up, then a request asks again", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, _say, socket) => message.kind === "routingActivationRequest" && done(socket.pause());
  const { connection, clock, events, log } = connect(t, entity);
  connection.open();
  await entity.hear("routingActivationRequest");
  clock.advance(TIMING.activationTimeoutMs);
  assert.match(await log.next(), /no routing activation response in time/);
  entity.script = (message, _say, socket) => message.kind === "routingActivationRequest" && done(socket.destroy());
  for (let attempt = 1; attempt < TIMING.retryAttempts; attempt++) {
    clock.advance(TIMING.retryDelayMs);
    assert.match(await log.next(), /cannot connect/);
  }
  clock.advance(TIMING.retryDelayMs);
  assert.match(await log.next(), /cannot connect/);
  assert.match(await log.next(), /giving up/);
  assert.equal(connection.state, "dormant");
  assert.equal(clock.timers, 0);
  entity.script = () => undefined;
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("1001"), NEVER);
  assert.equal(await happened.next(), "ecuOffline Ecu ecu1000 offline");
  assert.equal(await events.next(), "up");
});

test("connection: a refused TCP connection is tried again; an announcement cuts the pause short", async (t) => {
  const entity = await Entity.start(t);
  const { connection, events, log } = connect(t, entity, { ip: "127.0.0.9", testerIp: "127.0.0.1" });
  connection.open();
  assert.match(await log.next(), /ECONNREFUSED/);
  assert.equal(connection.state, "waiting");
  connection.announce("127.0.0.1", 2);
  assert.equal(await events.next(), "up");
  assert.equal(connection.ip, "127.0.0.1");
});

test("connection: request, ACK and answer; the answer is acknowledged", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1001);
  channel.send(hex("22F190"), NEVER);
  const request = await entity.hear("diagnosticMessage");
  assert.deepEqual([request.sourceAddress, request.targetAddress, toHex(request.uds)], [TESTER, 0x1001, "22F190"]);
  assert.equal(await happened.next(), "ack");
  entity.say(answer(0x1001, hex("62F19001")));
  assert.equal(await happened.next(), "62F19001");
  assert.deepEqual(plainAck(await entity.hear("diagnosticAck")), [TESTER, 0x1001, 0]);
});

test("connection: automatic ACKs can be switched off", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = await ready(t, entity, { acknowledge: false });
  const { channel, happened } = link(connection, 0x1001);
  channel.send(hex("3E00"), NEVER);
  await happened.next();
  entity.say(answer(0x1001, hex("7E00")), { kind: "aliveCheckRequest" });
  const { message } = await entity.heard.until(
    ({ message }) => message.kind !== "routingActivationRequest" && message.kind !== "diagnosticMessage",
  );
  assert.equal(message.kind, "aliveCheckResponse");
});

const ACKS: readonly { name: string; echo: string; fits: boolean }[] = [
  { name: "without echo", echo: "", fits: true },
  { name: "with the whole request", echo: "22F190", fits: true },
  { name: "with its beginning", echo: "22", fits: true },
  { name: "with another request", echo: "22F191", fits: false },
  { name: "longer than the request", echo: "22F19000", fits: false },
];
for (const { name, echo, fits } of ACKS) {
  test(`connection: ACK ${name} ${fits ? "counts" : "does not count"}`, async (t) => {
    const entity = await Entity.start(t);
    entity.script = (message, say) =>
      message.kind === "diagnosticMessage" && done(say(ack(0x1000, hex(echo)), { kind: "aliveCheckRequest" }));
    const { connection, clock } = await ready(t, entity);
    const { channel, happened } = link(connection, 0x1000);
    channel.send(hex("22F190"), NEVER);
    // The alive check stands behind the ACK in the stream: when it is answered, the ACK has been read.
    await entity.hear("aliveCheckResponse");
    clock.advance(CHANNEL.ackTimeoutMs);
    assert.equal(await happened.next(), fits ? "ack" : "notResponding Timeout");
  });
}

test("connection: an answer that overtakes its ACK counts as one; another service's does not", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) => {
    if (message.kind !== "diagnosticMessage") return undefined;
    say(answer(0x1000, hex("7F3E12")), answer(0x1000, hex("7E00")), answer(0x1000, hex("62F190AA")), ack(0x1000));
    return true;
  };
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("22F190"), NEVER);
  assert.equal(await happened.next(), "ack");
  assert.equal(await happened.next(), "62F190AA");
  assert.equal(connection.stats.unexpected, 3);
});

test("connection: 7F 3E reaches a pending 3E, and nobody else", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) =>
    message.kind === "diagnosticMessage" && done(say(ack(0x1000), answer(0x1000, hex("7F3E12"))));
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
  assert.equal(await happened.next(), "7F3E12");
  channel.finish();
  entity.say(answer(0x1000, hex("7F3E12")), { kind: "aliveCheckRequest" });
  await entity.hear("aliveCheckResponse");
  assert.equal(happened.waiting, 0);
});

test("connection: a NACK is repeated as often as its code allows, then fails the request", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) => message.kind === "diagnosticMessage" && done(say(nack(0x1000, 0x05)));
  const { connection, clock } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("1001"), NEVER);
  for (let sent = 0; sent < 2; sent++) {
    await entity.hear("diagnosticMessage");
    await clock.timer(CHANNEL.retryPeriodMs);
    clock.advance(CHANNEL.retryPeriodMs);
  }
  await entity.hear("diagnosticMessage");
  assert.equal(await happened.next(), "nack Received Nack, code=0x05");
  assert.equal(connection.stats.requests, 3);
});

test("connection: a NACK whose code allows no repeat fails the request at once", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) => message.kind === "diagnosticMessage" && done(say(nack(0x6666, 0x03)));
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x6666);
  channel.send(hex("22F190"), NEVER);
  assert.equal(await happened.next(), "nack Received Nack, code=0x03");
  assert.equal(connection.stats.requests, 1);
});

for (const code of [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08]) {
  test(`connection: NACK 0x0${code}: repeated only by its own code's count`, async (t) => {
    const entity = await Entity.start(t);
    let sends = 0;
    entity.script = (message, say) => {
      if (message.kind !== "diagnosticMessage") return undefined;
      sends++;
      return done(say(nack(message.targetAddress, code)));
    };
    const { connection, clock } = await ready(t, entity);
    const others = Object.fromEntries([2, 3, 4, 5, 6, 7, 8].filter((own) => own !== code).map((own) => [own, 9]));
    const without = link(connection, 0x1001, { nackRetries: others });
    without.channel.send(hex("22F190"), NEVER);
    assert.equal(await without.happened.next(), `nack Received Nack, code=0x0${code}`);
    assert.equal(sends, 1);
    const { channel, happened } = link(connection, 0x1002, { nackRetries: { [code]: 1 }, retryPeriodMs: 77 });
    channel.send(hex("22F190"), NEVER);
    await clock.timer(77);
    clock.advance(77);
    assert.equal(await happened.next(), `nack Received Nack, code=0x0${code}`);
    assert.equal(sends, 3);
  });
}

test("connection: a generic NACK fails the only request that waits for its ACK", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say) => message.kind === "diagnosticMessage" && done(say({ kind: "genericNack", code: 2 }));
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("22F190"), NEVER);
  assert.equal(await happened.next(), "sendFailed Sending message failed: generic NACK 0x02");
});

for (const [name, from] of [
  ["functional address", 0xffff],
  ["gateway's own address", 0x1000],
] as const) {
  test(`connection: the ACK of a functional request may come from the ${name}`, async (t) => {
    const entity = await Entity.start(t);
    entity.script = (message, say) => message.kind === "diagnosticMessage" && done(say(ack(from)));
    const { connection } = await ready(t, entity);
    const group = link(connection, 0xffff, { functional: true });
    const ecu = link(connection, 0x1000);
    ecu.channel.listen(hex("22F190"));
    group.channel.send(hex("22F190"), NEVER);
    assert.equal(await group.happened.next(), "ack");
    entity.say(answer(0x1000, hex("62F19001")));
    assert.equal(await ecu.happened.next(), "62F19001");
  });
}

test("connection: an ACK that could belong to either of two functional requests belongs to none", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage";
  const { connection } = await ready(t, entity);
  const groups = [0xe400, 0xe401].map((address) => link(connection, address, { functional: true }));
  for (const { channel } of groups) channel.send(hex("3E80"), NEVER);
  entity.say(ack(0x1000), ack(0xe401), ack(0x1000), { kind: "aliveCheckRequest" });
  await entity.hear("aliveCheckResponse");
  assert.equal(connection.stats.unexpected, 1);
  // Once the second is acknowledged by name, the first is the only one left.
  for (const { happened } of groups) assert.equal(await happened.next(), "ack");
});

test("connection: ECUs of one gateway are served side by side", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = await ready(t, entity);
  const ecus = [0x1000, 0x1001, 0x1002].map((address) => ({ address, ...link(connection, address) }));
  for (const { channel } of ecus) channel.send(hex("22F190"), NEVER);
  for (const { happened } of ecus) assert.equal(await happened.next(), "ack");
  for (const { address } of ecus.toReversed())
    entity.say(answer(address, Uint8Array.of(0x62, 0xf1, 0x90, address & 0xff)));
  assert.deepEqual(await Promise.all(ecus.map(({ happened }) => happened.next())), [
    "62F19000",
    "62F19001",
    "62F19002",
  ]);
});

test("connection: two links to one address are refused", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = connect(t, entity);
  const { channel } = link(connection, 0x1000);
  assert.throws(() => link(connection, 0x1000), { kind: "internal" });
  channel.close();
  link(connection, 0x1000);
});

test("connection: answers to another tester, or from unknown addresses, are dropped", async (t) => {
  const entity = await Entity.start(t);
  const { connection } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("22F190"), NEVER);
  await happened.next();
  entity.say(
    { kind: "diagnosticMessage", sourceAddress: 0x1000, targetAddress: 0x0e01, uds: hex("62F190AA") },
    answer(0x4444, hex("62F190BB")),
    answer(0x1000, hex("62F190CC")),
  );
  assert.equal(await happened.next(), "62F190CC");
  assert.equal(connection.stats.unexpected, 2);
});

test("connection: closed by the gateway: open requests fail, then offline, then it comes back", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("1101"), NEVER);
  assert.equal(await happened.next(), "ack");
  clock.advance(TIMING.retryDelayMs);
  entity.disconnect();
  assert.equal(await happened.next(), "ecuOffline Ecu ecu1000 offline");
  assert.equal(await happened.next(), "down");
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
  assert.equal(await happened.next(), "up");
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
});

test("connection: a gateway that closes right after activation is not hammered", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity);
  entity.disconnect();
  assert.equal(await events.next(), "down");
  assert.equal(connection.state, "waiting");
  clock.advance(TIMING.retryDelayMs);
  assert.equal(await events.next(), "up");
});

test("connection: two silent requests in a row with nothing received end a half-open connection", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage";
  const { connection, clock, events } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  clock.advance(TIMING.retryDelayMs);
  channel.send(hex("3E00"), NEVER);
  clock.advance(CHANNEL.ackTimeoutMs);
  assert.equal(await happened.next(), "notResponding Timeout");
  assert.equal(connection.state, "ready");
  channel.send(hex("3E00"), NEVER);
  clock.advance(CHANNEL.ackTimeoutMs);
  assert.equal(await happened.next(), "ecuOffline Ecu ecu1000 offline");
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
});

test("connection: one silence that two requests share does not end it", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage";
  const { connection, clock } = await ready(t, entity);
  const links = [link(connection, 0x1000), link(connection, 0x1001)];
  for (const { channel } of links) channel.send(hex("3E00"), NEVER);
  clock.advance(CHANNEL.ackTimeoutMs);
  for (const { happened } of links) assert.equal(await happened.next(), "notResponding Timeout");
  assert.equal(connection.state, "ready");
});

test("connection: silence of one ECU does not end a connection on which others speak", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage" && message.targetAddress === 0x1000;
  const { connection, clock } = await ready(t, entity);
  const silent = link(connection, 0x1000);
  const other = link(connection, 0x1001);
  for (let round = 0; round < 3; round++) {
    silent.channel.send(hex("3E00"), NEVER);
    other.channel.send(hex("3E00"), NEVER);
    assert.equal(await other.happened.next(), "ack");
    other.channel.finish();
    clock.advance(CHANNEL.ackTimeoutMs);
    assert.equal(await silent.happened.next(), "notResponding Timeout");
  }
  assert.equal(connection.state, "ready");
});

test("connection: a missing ACK can be tolerated", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage";
  const { connection, clock } = await ready(t, entity, { ackRequired: false });
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("3E00"), NEVER);
  clock.advance(CHANNEL.ackTimeoutMs);
  assert.equal(await happened.next(), "ack");
});

test("connection: the caller's deadline ends the wait for an ACK", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message) => message.kind === "diagnosticMessage";
  const { connection, clock } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("3E00"), clock.now() + 300);
  clock.advance(300);
  assert.equal(await happened.next(), "requestTimeout Request timed out");
});

test("connection: an alive check request is answered", async (t) => {
  const entity = await Entity.start(t);
  await ready(t, entity);
  entity.say({ kind: "aliveCheckRequest" });
  assert.deepEqual(await entity.hear("aliveCheckResponse"), { kind: "aliveCheckResponse", sourceAddress: TESTER });
});

test("connection: idle: alive check; silence ends only a connection whose entity has answered before", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity, { aliveIntervalMs: 60_000 });
  let mute = true;
  entity.script = (message) => mute && message.kind === "aliveCheckRequest";
  clock.advance(60_000);
  await entity.hear("aliveCheckResponse");
  await entity.hear("aliveCheckRequest");
  clock.advance(1_000);
  assert.equal(connection.state, "ready");
  mute = false;
  clock.advance(60_000);
  await entity.hear("aliveCheckRequest");
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
  mute = true;
  clock.advance(61_000);
  await entity.hear("aliveCheckRequest");
  clock.advance(1_000);
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
});

test("connection: traffic puts the alive check off", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock } = await ready(t, entity, { aliveIntervalMs: 60_000 });
  const { channel, happened } = link(connection, 0x1000);
  clock.advance(59_000);
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
  const before = connection.stats.requests;
  clock.advance(59_000);
  channel.finish();
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
  assert.equal(connection.stats.requests, before + 1);
  assert.equal(
    await entity.heard
      .until(({ message }) => message.kind === "aliveCheckRequest" || message.kind === "diagnosticMessage")
      .then(({ message }) => message.kind),
    "diagnosticMessage",
  );
  assert.equal(await entity.heard.next().then(({ message }) => message.kind), "diagnosticMessage");
});

test("connection: an announcement of a connected gateway asks it; one that moved and is silent is left", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity);
  connection.announce("127.0.0.1", 2);
  await entity.hear("aliveCheckRequest");
  clock.advance(1_000);
  assert.equal(connection.state, "ready");
  entity.script = (message) => message.kind === "aliveCheckRequest";
  const moved = await Entity.start(t);
  connection.announce("127.0.0.3", 2);
  assert.equal(connection.ip, "127.0.0.3");
  await entity.hear("aliveCheckRequest");
  clock.advance(10_000);
  assert.equal(await events.next(), "down");
  assert.equal(moved.open.size, 0);
});

test("connection: an announcement that wants central security gets its activation type", async (t) => {
  const entity = await Entity.start(t);
  const { connection, events } = connect(t, entity, { furtherAction: 0x10 });
  connection.open();
  assert.equal((await entity.hear("routingActivationRequest")).activationType, 0xe0);
  assert.equal(await events.next(), "up");
});

test("connection: a gateway that wants central security and does not know its type gets the default one at once", async (t) => {
  const entity = await Entity.start(t);
  entity.script = (message, say, socket) => {
    if (message.kind !== "routingActivationRequest" || message.activationType === 0) return undefined;
    say(activated(0x06));
    socket.end();
    return true;
  };
  const { connection, clock, events } = connect(t, entity);
  connection.announce("127.0.0.1", 2, 0x10);
  assert.equal(await events.next(), "up");
  const types = [];
  for (let at = 0; at < 2; at++) types.push((await entity.hear("routingActivationRequest")).activationType);
  assert.deepEqual(types, [0xe0, 0x00]);
  // refused once, it is not tried again before the gateway wants something else
  clock.advance(TIMING.retryDelayMs);
  entity.disconnect();
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
  assert.equal((await entity.hear("routingActivationRequest")).activationType, 0);
});

test("connection: keeps the protocol version that it began with; the next one has that of the announcement", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity, { version: 3 });
  connection.announce("127.0.0.1", 2);
  assert.equal((await entity.heard.until(({ message }) => message.kind === "aliveCheckRequest")).version, 3);
  clock.advance(TIMING.retryDelayMs);
  entity.disconnect();
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
  const { version } = await entity.heard.until(({ message }) => message.kind === "routingActivationRequest");
  assert.equal(version, 2);
});

test("connection: malformed bytes are refused with a NACK, a broken stream is left", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity);
  clock.advance(TIMING.retryDelayMs);
  entity.raw(hex("02FD77770000000100"));
  assert.deepEqual(await entity.hear("genericNack"), { kind: "genericNack", code: 1 });
  assert.equal(connection.state, "ready");
  entity.raw(hex("02FD000000000002AABB"));
  assert.equal(await events.next(), "down");
  assert.equal(await events.next(), "up");
  clock.advance(TIMING.retryDelayMs);
  entity.raw(hex("0102030405060708"));
  assert.deepEqual(await entity.hear("genericNack"), { kind: "genericNack", code: 0 });
  assert.equal(await events.next(), "down");
  assert.equal(connection.stats.malformed, 3);
});

test("connection: a peer that takes no more data blocks, then fails the request", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock } = await ready(t, entity, { maxQueuedBytes: 1 });
  for (const socket of entity.open) socket.pause();
  const big = link(connection, 0x1000);
  const next = link(connection, 0x1001, { sendRetries: 1 });
  big.channel.send(new Uint8Array(20_000_000).fill(0x36), NEVER);
  next.channel.send(hex("3E00"), NEVER);
  assert.ok(clock.delays.includes(1_000));
  clock.advance(1_000);
  assert.equal(next.happened.waiting, 0);
  clock.advance(1_000);
  assert.match(await next.happened.next(), /^sendFailed|^ecuOffline/);
});

test("connection: close ends open requests, once and for good", async (t) => {
  const entity = await Entity.start(t);
  const { connection, clock, events } = await ready(t, entity);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("3E00"), NEVER);
  assert.equal(await happened.next(), "ack");
  const closed = connection.close();
  assert.equal(await happened.next(), "ecuOffline Ecu ecu1000 offline");
  assert.equal(await happened.next(), "down");
  assert.equal(await events.next(), "down");
  await closed;
  connection.open();
  connection.announce("127.0.0.1", 2);
  assert.equal(connection.state, "closed");
  assert.equal(clock.timers, 0);
});

test("connection: a listener that closes inside 'connected' still hears up before down", async (t) => {
  const entity = await Entity.start(t);
  const heard: string[] = [];
  const done = new Mailbox<true>();
  const { connection } = connect(t, entity, {
    events: {
      onConnectivity: (connected) => {
        heard.push(connected ? "up" : "down");
        if (connected) void connection.close();
        else done.push(true);
      },
    },
  });
  connection.open();
  await done.next();
  assert.deepEqual(heard, ["up", "down"]);
});

// ---- TLS -------------------------------------------------------------------------------------------------------------

async function secured(
  t: TestContext,
  tls: Partial<{ ciphers: string; maxVersion: "TLSv1.2" }> = {},
  host = "127.0.0.1",
) {
  const certificate = selfSignedCertificate("DoIP entity");
  const plain = await Entity.start(t, undefined, host);
  plain.script = (message, say) => message.kind === "routingActivationRequest" && done(say(activated(0x07)));
  const entity = await Entity.start(t, { ...certificate, ...tls }, host);
  return { plain, entity, certificate };
}

test("connection: code 0x07 leads to TLS; without a CA the certificate is accepted with a warning", async (t) => {
  const { plain, entity } = await secured(t);
  const { connection, events, log } = connect(t, plain, { tlsPort: entity.port });
  connection.open();
  assert.equal(await events.next(), "up tls");
  assert.match(await log.next(), /unverified/);
  assert.ok(connection.overTls);
  const { channel, happened } = link(connection, 0x1000);
  channel.send(hex("22F190"), NEVER);
  assert.equal(await happened.next(), "ack");
});

test("connection: a gateway on IPv6, plain", skipIpv6, async (t) => {
  const entity = await Entity.start(t, undefined, "::1");
  const { connection } = await ready(t, entity, { ip: "::1", testerIp: "127.0.0.2", testerIpv6: "::1" });
  const { socket } = await entity.heard.next();
  assert.equal(socket.remoteAddress, "::1");
  assert.equal(connection.overTls, false);
});

test("connection: a gateway that moves from IPv4 to IPv6 is left and found", skipIpv6, async (t) => {
  const before = await Entity.start(t, undefined, "127.0.0.1", await freePort());
  const { connection, clock, events } = await ready(t, before, { testerIp: "127.0.0.2" });
  before.script = (message) => message.kind === "aliveCheckRequest";
  // the same port on the other family
  const after = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => after.listen({ port: before.port, host: "::1" }, resolve));
  cleanup(t, () => after.close());
  const arrived = once(after, "connection") as Promise<[Socket]>;
  clock.advance(TIMING.retryDelayMs);
  connection.announce("::1", 2);
  clock.advance(1_000);
  assert.equal(await events.next(), "down");
  const [socket] = await arrived;
  assert.equal(socket.remoteAddress, "::1");
  socket.destroy();
});

test("connection: a gateway on IPv6 over TLS, verified", skipIpv6, async (t) => {
  const { plain, entity, certificate } = await secured(t, {}, "::1");
  const tls = { ca: certificate.cert };
  const { connection, events } = connect(t, plain, { ip: "::1", tlsPort: entity.port, tls });
  connection.open();
  assert.equal(await events.next(), "up tls");
});

test("connection: with its CA the certificate is verified", async (t) => {
  const { plain, entity, certificate } = await secured(t);
  const { connection, events } = connect(t, plain, { tlsPort: entity.port, tls: { ca: certificate.cert } });
  connection.open();
  assert.equal(await events.next(), "up tls");
});

test("connection: a certificate of another CA is refused", async (t) => {
  const { plain, entity } = await secured(t);
  const { connection, log } = connect(t, plain, {
    tlsPort: entity.port,
    tls: { ca: selfSignedCertificate("other").cert },
  });
  connection.open();
  assert.match(await log.next(), /cannot connect: .*(self-signed|verify|issuer)/);
  assert.equal(connection.state, "waiting");
});

test("connection: over TLS only 0x10 counts", async (t) => {
  const { plain, entity } = await secured(t);
  entity.script = (message, say) => message.kind === "routingActivationRequest" && done(say(activated(0x07)));
  const { connection, log } = connect(t, plain, { tlsPort: entity.port });
  connection.open();
  assert.match(await log.until((line) => line.startsWith("cannot")), /denied with 0x07/);
});

test("connection: a closed TLS port is a failed attempt", async (t) => {
  const { plain, entity } = await secured(t);
  const { port } = entity;
  await entity.stop();
  const { connection, log } = connect(t, plain, { tlsPort: port });
  connection.open();
  assert.match(await log.until((line) => line.startsWith("cannot")), /ECONNREFUSED/);
});

test("connection: integrity without encryption only when asked for", async (t) => {
  const nullCipher = { ciphers: "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", maxVersion: "TLSv1.2" } as const;
  const { plain, entity } = await secured(t, nullCipher);
  const refused = connect(t, plain, { tlsPort: entity.port });
  refused.connection.open();
  assert.match(await refused.log.until((line) => line.startsWith("cannot")), /handshake|alert/i);
  const allowed = connect(t, plain, { tlsPort: entity.port, tls: { allowNullCipher: true } });
  allowed.connection.open();
  assert.equal(await allowed.events.next(), "up tls");
});

function plainAck(message: { sourceAddress: number; targetAddress: number; code: number }): number[] {
  return [message.sourceAddress, message.targetAddress, message.code];
}

/** A script has dealt with a message. */
function done(_answered: unknown): true {
  return true;
}
