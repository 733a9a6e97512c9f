/** Envelope, lines and Socket.IO packets of Flockwave: what they mean, and that nothing sent to them does harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newId, notification, readMessage, readText, responseTo } from "#update/skybrush/envelope.ts";
import {
  ackPacket,
  connectPacket,
  EVENT,
  eventPacket,
  openPacket,
  type Packet,
  readPacket,
  refusePacket,
} from "#update/skybrush/socket-io.ts";
import { Lines } from "#update/skybrush/tcp.ts";
import fc from "../../fixtures/properties.ts";

test("envelopes", () => {
  const body = { type: "FW-OBJECT-LIST" };
  const good = { "$fw.version": "1.0", id: "q1", body };
  const bad = (id: string | undefined, reason: string) => ({ kind: "bad", id, reason });
  for (const [message, expected] of [
    [good, { kind: "request", id: "q1", body }],
    [
      { ...good, "$fw.version": "2" },
      { kind: "request", id: "q1", body },
    ],
    [
      { ...good, more: 1 },
      { kind: "request", id: "q1", body },
    ],
    [{ ...good, "$fw.version": "1.0.0.0" }, bad("q1", "The message has no $fw.version")],
    [{ ...good, "$fw.version": undefined }, bad("q1", "The message has no $fw.version")],
    [{ ...good, id: "" }, bad(undefined, "The message has no id of 1 to 36 characters")],
    [{ ...good, id: "x".repeat(37) }, bad(undefined, "The message has no id of 1 to 36 characters")],
    [{ ...good, id: 7 }, bad(undefined, "The message has no id of 1 to 36 characters")],
    [{ ...good, body: [] }, bad("q1", "The message has no body with a type")],
    [{ ...good, body: { type: 1 } }, bad("q1", "The message has no body with a type")],
    [{ ...good, error: {} }, bad("q1", "The message has a body and an error")],
    [null, bad(undefined, "The message is no object")],
    [[good], bad(undefined, "The message is no object")],
  ] as const) {
    assert.deepEqual(readMessage(message), expected);
  }
  assert.deepEqual(readText("{"), bad(undefined, "The message is no JSON"));
});

test("answers name the request and have an id of their own", () => {
  const answer = responseTo("q1", { type: "ACK-NAK" }) as Record<string, unknown>;
  assert.deepEqual(Object.keys(answer), ["$fw.version", "id", "refs", "body"]);
  assert.equal(answer.refs, "q1");
  assert.match(String(answer.id), /^[\w-]{10}$/);
  assert.equal("refs" in notification({ type: "ASYNC-ST" }), false);
  assert.notEqual(newId(), newId());
});

test("a request that is sent is read again, and anything else is read without a throw", () => {
  const id = fc.string({ minLength: 1, maxLength: 36 });
  const body = fc.record({ type: fc.string(), more: fc.jsonValue() });
  fc.assert(
    fc.property(id, body, (name, content) => {
      const sent = JSON.parse(JSON.stringify({ "$fw.version": "1.0", id: name, body: content }));
      assert.deepEqual(readText(JSON.stringify(sent)), { kind: "request", id: name, body: sent.body });
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      assert.ok(["request", "bad"].includes(readText(text).kind));
      assert.equal(typeof readPacket(text).type, "string");
    }),
    { numRuns: 2_000 },
  );
});

test("a body without an envelope is read where answers need no id, and only there; bytes of any kind are read", () => {
  const body = fc.record({ type: fc.string(), more: fc.jsonValue() });
  fc.assert(
    fc.property(body, (content) => {
      const text = JSON.stringify(content);
      const { kind, ...request } = readText(text, true);
      assert.deepEqual([kind, "body" in request && request.body], ["request", JSON.parse(text)]);
      assert.equal(readText(text).kind, "bad");
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from)), fc.boolean(), (bytes, bare) => {
      assert.ok(["request", "bad"].includes(readText(Buffer.from(bytes).toString("utf8"), bare).kind));
    }),
    { numRuns: 2_000 },
  );
});

test("lines are the same however the bytes are cut", () => {
  const line = fc.string({ unit: fc.constantFrom("a", "ä", " ", "{", "漢"), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(60), { maxLength: 6 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(""));
      const reader = new Lines(1_000);
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
      const read = at.slice(1).flatMap((to, index) => reader.take(bytes.subarray(at[index], to)));
      assert.deepEqual(read, lines);
      assert.equal(reader.tooLong, false);
    }),
  );
});

test("a line that is too long is left out, and known as soon as it is", () => {
  const reader = new Lines(4);
  assert.deepEqual(reader.take(Buffer.from("ab\n12345")), ["ab"]);
  assert.equal(reader.tooLong, true);
  assert.deepEqual(reader.take(Buffer.from("6\ncd\n")), ["cd"]);
  assert.equal(reader.tooLong, false);
});

test("packets of Socket.IO", () => {
  const event = (payload: unknown, ack?: string): Packet => ({ type: "event", name: EVENT, payload, ack });
  for (const [text, packet] of [
    ["1", { type: "close" }],
    ["2", { type: "ping", payload: "" }],
    ["2probe", { type: "ping", payload: "probe" }],
    ["3", { type: "pong" }],
    ["40", { type: "connect", namespace: "/" }],
    ['40{"token":"x"}', { type: "connect", namespace: "/" }],
    ["40/admin,", { type: "connect", namespace: "/admin" }],
    ["41", { type: "disconnect" }],
    ['42["fw",{"id":1}]', event({ id: 1 })],
    ['4217["fw",{}]', event({}, "17")],
    ['42["fw"]', event(undefined)],
    ['42/admin,["fw",{}]', { type: "other" }],
    ["42[7]", { type: "other" }],
    ["42{", { type: "other" }],
    ["42null", { type: "other" }],
    ['451-["fw",{"_placeholder":true,"num":0}]', { type: "other" }],
    ["6", { type: "other" }],
    ["", { type: "other" }],
  ] as const) {
    assert.deepEqual(readPacket(text), packet, text);
  }
  assert.equal(
    openPacket("s", [], 1, 2, 3),
    '0{"sid":"s","upgrades":[],"pingInterval":1,"pingTimeout":2,"maxPayload":3}',
  );
  assert.equal(connectPacket("s"), '40{"sid":"s"}');
  assert.equal(refusePacket("/admin"), '44/admin,{"message":"Invalid namespace"}');
  assert.equal(ackPacket("17"), "4317[]");
});

test("events that are sent are read again", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (payload) => {
      const sent = JSON.parse(JSON.stringify(payload));
      assert.deepEqual(readPacket(eventPacket(EVENT, payload)), {
        type: "event",
        name: EVENT,
        payload: sent,
        ack: undefined,
      });
    }),
  );
});
