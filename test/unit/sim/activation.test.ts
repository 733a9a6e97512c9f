import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, decideActivation, type SocketEntry } from "#sim/activation.ts";
import type { EntityMisbehaviour } from "#sim/misbehaviour.ts";

const idle: SocketEntry = { sourceAddress: undefined, secure: false };
const at = (sourceAddress: number): SocketEntry => ({ sourceAddress, secure: false });
const answer = (code: number) => ({ kind: "answer" as const, code });

/** ISO 13400-2:2019 clause 8.3 socket handler and table 48. */
const CASES: readonly {
  name: string;
  type?: number;
  own?: SocketEntry;
  others?: readonly SocketEntry[];
  rules?: EntityMisbehaviour;
  decision: Decision<SocketEntry>;
}[] = [
  { name: "free socket", decision: answer(0x10) },
  { name: "type required by regulation", type: 1, decision: answer(0x10) },
  { name: "unsupported type", type: 0xe0, decision: answer(0x06) },
  { name: "again on the same socket", own: at(0x0e00), decision: answer(0x10) },
  { name: "another source address on the same socket", own: at(0x0e01), decision: answer(0x02) },
  { name: "plain socket where TLS is required", rules: { tlsRequired: true }, decision: answer(0x07) },
  {
    name: "secure socket where TLS is required",
    own: { sourceAddress: undefined, secure: true },
    rules: { tlsRequired: true },
    decision: answer(0x10),
  },
  { name: "second connection, not strict", others: [at(0x0e00)], decision: answer(0x10) },
  {
    name: "second connection, strict",
    others: [at(0x0e00), at(0x0e05)],
    rules: { denySecondConnection: true },
    decision: { kind: "checkAlive", sockets: [at(0x0e00)], codeIfAlive: 0x03 },
  },
  {
    name: "no free slot",
    others: [at(0x0e01), idle, at(0x0e02)],
    rules: { maxSockets: 2 },
    decision: { kind: "checkAlive", sockets: [at(0x0e01), at(0x0e02)], codeIfAlive: 0x01 },
  },
  { name: "a slot is free", others: [at(0x0e01), idle], rules: { maxSockets: 2 }, decision: answer(0x10) },
];
for (const { name, type = 0, own = idle, others = [], rules = {}, decision } of CASES) {
  test(`routing activation: ${name}`, () => {
    const request = { sourceAddress: 0x0e00, activationType: type };
    assert.deepEqual(decideActivation(request, own, others, rules), decision);
  });
}
