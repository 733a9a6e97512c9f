import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallMessage, Reply } from "#fleet/messages.ts";
import { CallPacker, idOf, ReplyPacker, splitCalls, unpackCalls, unpackReplies } from "#fleet/packets.ts";

const call = (id: number): CallMessage => ({
  type: "call",
  id,
  entity: "FLXC1000",
  call: "dataRead",
  args: { service: `s${id}` },
  deadlineMs: 1.5 + id,
});

test("calls come out as they went in, over a structured clone", () => {
  for (const count of [0, 1, 2, 9]) {
    const packer = new CallPacker();
    const calls = Array.from({ length: count }, (_, i) => call(i + 1));
    for (const { id, entity, call: name, args, deadlineMs } of calls) packer.add(id, entity, name, args, deadlineMs);
    assert.equal(packer.isEmpty, count === 0);
    const packet = structuredClone(packer.take());
    assert(packer.isEmpty);
    const received: CallMessage[] = [];
    unpackCalls(packet, (one) => received.push(one));
    assert.deepEqual(received, calls);
    assert.deepEqual(
      splitCalls(packet).map((single) => idOf(single)),
      calls.map(({ id }) => id),
    );
  }
});

const text = (value: string) => new TextEncoder().encode(value);
const json = (body: string): Reply => ({ status: 200, contentType: "application/json", body: text(body) });

const REPLIES: Readonly<Record<string, readonly Reply[]>> = {
  one: [json('{"a":1}')],
  several: [
    json('{"a":1}'),
    json('{"b":22}'),
    { status: 200, contentType: "application/octet-stream", body: text("xyz") },
  ],
  "without a body": [{ status: 204 }, json("{}"), { status: 201 }],
  "no body at all": [{ status: 204 }],
  "an empty body beside one": [{ status: 200, body: new Uint8Array(0) }, json("{}")],
  "a view of a larger buffer": [{ status: 200, body: text("abcdef").subarray(2, 4) }],
};

for (const [name, replies] of Object.entries(REPLIES)) {
  test(`replies come out as they went in: ${name}`, () => {
    const packer = new ReplyPacker();
    for (const [i, reply] of replies.entries()) assert(packer.add(i + 7, reply));
    const packet = structuredClone(packer.take());
    const received: [number, Reply][] = [];
    unpackReplies(packet, (id, reply) => received.push([id, reply]));
    assert.deepEqual(
      received.map(([id, reply]) => [id, { ...reply, ...(reply.body && { body: [...reply.body] }) }]),
      replies.map((reply, i) => [i + 7, { ...reply, ...(reply.body && { body: [...reply.body] }) }]),
    );
    assert(packer.isEmpty);
  });
}

test("a packet clones no more than its bodies", () => {
  const packer = new ReplyPacker();
  packer.add(1, { status: 200, body: new Uint8Array(new ArrayBuffer(1_000_000), 10, 5) });
  assert.equal(packer.take()[1].buffer.byteLength, 5);
});

test("a large body and a reply with facts go by themselves", () => {
  const packer = new ReplyPacker();
  assert.equal(packer.add(1, { status: 200, body: new Uint8Array(20_000) }), false);
  assert.equal(packer.add(1, { status: 200, meta: {} }), false);
  assert(packer.isEmpty);
});
