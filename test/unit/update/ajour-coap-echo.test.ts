/** What goes out to an address that anyone may have written: RFC 7252 §11.3, and the option Echo of RFC 9175. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#core/time.ts";
import { CODE, type CoapOption, decodeMessage, encodeMessage, OPTION, TYPE } from "#update/ajour/coap-codec.ts";
import { CoapExchanges } from "#update/ajour/coap-exchanges.ts";
import { type Command, decodeCommand, encodeStatus } from "#update/ajour/codec.ts";
import { Desk } from "#update/ajour/desk.ts";
import fc from "../../fixtures/properties.ts";

const FACTOR = 3;
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
const at = (address: string, port = 5_683) => ({ address, port });

/** Answers with so many bytes, if it is told to or not. */
function server({ answerBytes = 500, heeds = false, maxAmplification = FACTOR } = {}) {
  const clock = { ms: 1_000_000, now: () => clock.ms } as unknown as Clock & { ms: number };
  const counts = { served: 0 };
  const exchanges = new CoapExchanges({
    serve: (_, maxBytes) => {
      counts.served++;
      return {
        code: CODE.content,
        payload: new Uint8Array(heeds ? Math.min(answerBytes, Math.max(0, maxBytes)) : answerBytes),
      };
    },
    maxAmplification,
    understood: new Set([OPTION.uriPath]),
    maxBodyBytes: 4_096,
    clock,
  });
  return { exchanges, clock, counts };
}

let ids = 0;
const request = (options: readonly CoapOption[] = [], bytes = 30, messageId = ++ids) =>
  encodeMessage({
    type: TYPE.confirmable,
    code: CODE.post,
    messageId,
    token: Uint8Array.of(0x41),
    options,
    payload: new Uint8Array(bytes),
  });
const echoOption = (value: Uint8Array) => [{ number: OPTION.echo, value }];
const echoOf = (reply: Uint8Array | undefined) =>
  decodeMessage(reply!).options.find(({ number }) => number === OPTION.echo)?.value;

test("the bytes of a 4.01 with an Echo", () => {
  // the value of RFC 9175's first example, under the number that its §5 has: 252 is 13 and 239
  const value = Buffer.from("00000009437468756c687521", "hex");
  const message = {
    type: TYPE.acknowledgement,
    code: CODE.unauthorized,
    messageId: 0x1234,
    token: Uint8Array.of(0x41),
    options: echoOption(value),
    payload: new Uint8Array(0),
  };
  assert.equal(hex(encodeMessage(message)), `6181123441dcef${value.toString("hex")}`);
});

test("a long answer is for who sends back the Echo, at any of its ports, for a while", () => {
  const { exchanges, clock } = server();
  const first = exchanges.take(request(), at("10.0.0.1"))!;
  const { code, payload } = decodeMessage(first);
  assert.deepEqual([code, payload.length], [CODE.unauthorized, 0]);
  const echo = echoOf(first)!;
  assert.equal(echo.length, 8);
  const lengthTo = (address: string, options: readonly CoapOption[], port = 5_683) =>
    decodeMessage(exchanges.take(request(options), at(address, port))!).payload.length;
  assert.equal(lengthTo("10.0.0.2", echoOption(echo)), 0, "another's is no proof");
  assert.equal(lengthTo("10.0.0.1", echoOption(echo.map((byte) => byte ^ 1))), 0);
  assert.equal(lengthTo("10.0.0.1", echoOption(echo.subarray(0, 4))), 0);
  assert.equal(lengthTo("10.0.0.1", echoOption(echo)), 500);
  assert.equal(lengthTo("10.0.0.1", [], 40_000), 500, "once is enough");
  clock.ms += 246_000;
  assert.equal(lengthTo("10.0.0.1", echoOption(echo)), 500, "the same may come again");
  clock.ms += 250_000;
  assert.equal(lengthTo("10.0.0.1", []), 0);
  assert.equal(lengthTo("10.0.0.1", echoOption(echo)), 0, "too old");
});

test("a short answer goes out at once, and its Echo proves the address for the next", () => {
  const { exchanges, counts } = server({ heeds: true });
  const short = exchanges.take(request(), at("10.0.0.1"))!;
  assert.equal(decodeMessage(short).code, CODE.content);
  assert.ok(short.length <= FACTOR * request().length);
  const long = exchanges.take(request(echoOption(echoOf(short)!)), at("10.0.0.1"))!;
  assert.equal(decodeMessage(long).payload.length, 500);
  assert.equal(echoOf(long), undefined);
  assert.equal(counts.served, 2);
});

test("a number that comes again with less behind it is not answered again", () => {
  const { exchanges, counts } = server({ answerBytes: 80 });
  const whole = request([], 60, 7);
  const reply = exchanges.take(whole, at("10.0.0.1"));
  assert.equal(decodeMessage(reply!).payload.length, 80);
  assert.equal(exchanges.take(request([], 0, 7), at("10.0.0.1")), undefined);
  assert.equal(hex(exchanges.take(whole, at("10.0.0.1"))), hex(reply));
  assert.equal(counts.served, 1);
});

test("nothing makes more than its bytes three times over, as long as nothing is proved", () => {
  const option = fc.record({
    number: fc.constantFrom(...Object.values(OPTION), 9, 4_213),
    value: fc.uint8Array({ maxLength: 9 }),
  });
  const asked = fc.record({
    options: fc.array(option, { maxLength: 4 }),
    messageId: fc.nat(20),
    bytes: fc.nat(80),
    garbage: fc.boolean(),
  });
  for (const heeds of [false, true]) {
    const { exchanges } = server({ heeds });
    fc.assert(
      fc.property(asked, ({ options, messageId, bytes, garbage }) => {
        const sent = garbage
          ? request(options, bytes, messageId).subarray(0, 4 + (bytes % 9))
          : request(options, bytes, messageId);
        const reply = exchanges.take(sent, at("10.0.0.1"));
        assert.ok((reply?.length ?? 0) <= FACTOR * sent.length, `${hex(sent)} gives ${hex(reply)}`);
      }),
      { numRuns: 2_000 },
    );
  }
});

test("0: whatever there is goes to whoever is named", () => {
  const { exchanges } = server({ maxAmplification: 0 });
  const reply = exchanges.take(request([], 0), at("10.0.0.1"))!;
  assert.deepEqual([decodeMessage(reply).payload.length, echoOf(reply)], [500, undefined]);
});

const IMAGE = { version: Buffer.from("1.1"), sha256: "ab".repeat(32), sizeBytes: 1_000 };

/** A desk at which a device is to have an image. */
function desk() {
  const told: string[] = [];
  const made = new Desk({
    desired: () => ({ image: IMAGE, gate: "open", busy: false }) as never,
    images: { read: (_: string, offset: number, length: number) => new Uint8Array(length).fill(offset) } as never,
    clock: { now: () => 0 } as Clock,
    limits: {
      defaultBlockBytes: 512,
      minBlockBytes: 16,
      maxBlockBytes: 4_096,
      pollS: 1,
      gatePollS: 1,
    },
    maxDevices: 10,
    maxReportsPerS: 100,
    onReport: (_, { answer }) => told.push(answer),
  });
  const answer = (offset: number, maxBytes?: number): Command => {
    const report = encodeStatus(
      {
        version: Buffer.from("1.0"),
        mtu: 512,
        correlationId: 1,
        update: { version: Buffer.from("1.1"), offset },
      },
      "packed",
    );
    return decodeCommand(made.answer({ device: "d", application: "a" }, report, undefined, maxBytes));
  };
  return { answer, told };
}

for (const [maxBytes, blockBytes] of [
  [undefined, 488],
  [400, 256],
  [200, 128],
  [100, 64],
  [50, 32],
] as const) {
  test(`a block that has ${maxBytes ?? "any"} bytes of room is one of ${blockBytes}`, () => {
    const command = desk().answer(512, maxBytes);
    assert.equal(command.type === "write" && command.data.length, blockBytes);
    assert.equal(command.type === "write" && command.offset, 512);
  });
}

test("more reports than a device may send are refused", () => {
  const { answer, told } = desk();
  for (let at = 0; at < 100; at++) answer(0);
  assert.throws(() => answer(0), { kind: "tooManyRequests" });
  assert.equal(told.length, 100);
});

test("what has no room is not told, and the device not heard", () => {
  const { answer, told } = desk();
  assert.throws(() => answer(512, 20), { kind: "unauthorized" });
  assert.throws(() => answer(1_000, 40), { kind: "unauthorized" });
  assert.deepEqual(told, []);
  assert.equal(answer(1_000, 80).type, "swap");
  assert.deepEqual(told, ["swap"]);
});
