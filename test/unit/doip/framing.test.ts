import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { encodeDiagnosticMessage, encodeHeader } from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";
import fc from "../../fixtures/properties.ts";
import { hex } from "./support.ts";

function record(maxPayloadBytes = 1_000_000) {
  const seen: string[] = [];
  const payloads: Uint8Array[] = [];
  const framer = new StreamFramer(
    {
      onMessage: (version, type, payload) => {
        payloads.push(payload);
        seen.push(`${version} ${type.toString(16)} ${toHex(payload)}`);
      },
      onRefused: (nack, closes, type) => seen.push(`${nack}${closes ? " closes" : ""} ${type?.toString(16) ?? "-"}`),
    },
    { maxPayloadBytes },
  );
  return { framer, seen, payloads };
}

const ACK = "02FD800200000005 10000E0000";
const RESPONSE = "02FD800100000006 10000E007E00";
const TWO = ["2 8002 10000E0000", "2 8001 10000E007E00"];

test("framer: ACK and response in one segment (as the CDA test simulator sends them)", () => {
  const { framer, seen } = record();
  framer.push(hex(ACK + RESPONSE));
  assert.deepEqual(seen, TWO);
});

test("framer: byte by byte", () => {
  const { framer, seen } = record();
  for (const value of hex(ACK + RESPONSE)) framer.push(Uint8Array.of(value));
  assert.deepEqual(seen, TWO);
});

test("framer: a message within one chunk is a view, not a copy", () => {
  const { framer, payloads } = record();
  const chunk = hex(ACK + RESPONSE);
  framer.push(chunk);
  for (const payload of payloads) assert.equal(payload.buffer, chunk.buffer);
});

const REFUSALS: readonly { name: string; stream: string; max?: number; seen: string[] }[] = [
  { name: "wrong inverse ends the stream", stream: `02FE0005${ACK}`, seen: ["incorrectPattern closes -"] },
  { name: "two wrong bytes suffice", stream: "4745", seen: ["incorrectPattern closes -"] },
  {
    name: "an unknown type is skipped, the stream goes on",
    stream: `02FD777700000003AABBCC${ACK}`,
    seen: ["unknownPayloadType 7777", TWO[0]!],
  },
  {
    name: "an unknown type without payload is skipped",
    stream: `02FD777700000000${ACK}`,
    seen: ["unknownPayloadType 7777", TWO[0]!],
  },
  {
    name: "too large is skipped, the stream goes on",
    stream: `02FD80010000000B10000E0000000000000000${ACK}`,
    max: 10,
    seen: ["messageTooLarge 8001", TWO[0]!],
  },
  {
    name: "a length that the type cannot have ends the stream",
    stream: `02FD80010000000410000E00${ACK}`,
    seen: ["invalidPayloadLength closes 8001"],
  },
  {
    name: "a wrong NACK names its type, so that nobody answers it",
    stream: "02FD000000000002AABB",
    seen: ["invalidPayloadLength closes 0"],
  },
];
for (const { name, stream, max, seen: expected } of REFUSALS) {
  test(`framer: ${name}, whole and bytewise`, () => {
    const whole = record(max);
    whole.framer.push(hex(stream));
    assert.deepEqual(whole.seen, expected);
    const bytewise = record(max);
    for (const value of hex(stream)) bytewise.framer.push(Uint8Array.of(value));
    assert.deepEqual(bytewise.seen, expected);
  });
}

test("framer: stop inside a message drops the rest of the chunk", () => {
  let messages = 0;
  const framer: StreamFramer = new StreamFramer(
    {
      onMessage: () => {
        messages++;
        framer.stop();
      },
      onRefused: () => assert.fail(),
    },
    { maxPayloadBytes: 100 },
  );
  framer.push(hex(ACK + RESPONSE));
  assert.equal(messages, 1);
});

test("framer: any cutting of a stream gives the same messages", () => {
  const message = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 64 })), (messages, cuts) => {
      const stream = Buffer.concat(messages.map((uds) => encodeDiagnosticMessage(3, 0x1000, 0x0e00, uds)));
      const { framer, seen } = record();
      let at = 0;
      for (const cut of cuts) {
        framer.push(stream.subarray(at, at + cut));
        at += cut;
      }
      framer.push(stream.subarray(at));
      assert.deepEqual(
        seen,
        messages.map((uds) => `3 8001 10000E00${toHex(uds)}`),
      );
    }),
  );
});

test("framer: a payload larger than its first buffer arrives whole", () => {
  const uds = new Uint8Array(300_000).map((_, i) => i * 7);
  const stream = encodeDiagnosticMessage(2, 0x1000, 0x0e00, uds);
  const { framer, payloads } = record();
  for (let at = 0; at < stream.length; at += 1_460) framer.push(stream.subarray(at, at + 1_460));
  assert.equal(payloads.length, 1);
  assert.ok(Buffer.from(payloads[0]!.subarray(4)).equals(uds));
});

test("framer: a length field alone claims no memory", () => {
  const { framer } = record(0xffff_ffff);
  const before = process.memoryUsage().arrayBuffers;
  framer.push(encodeHeader({ version: 2, payloadType: 0x8001, payloadBytes: 0x7fff_ffff }));
  framer.push(new Uint8Array(100));
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
});

test("framer: garbage never throws, and after a closing refusal nothing follows", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const { framer, seen } = record(64);
      for (const chunk of chunks) framer.push(chunk);
      const closed = seen.findIndex((line) => line.includes("closes"));
      assert.ok(closed < 0 || closed === seen.length - 1);
    }),
  );
});
