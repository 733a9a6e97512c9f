// Differences between databases, row by row.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DiagService, EcuData } from "#mdd/generated/description.ts";
import { type Change, diffDatabases } from "#mdd/tools/diff.ts";
import * as d from "#mdd/writer/dsl.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { SMALL_ECU } from "../../fixtures/small-ecu.ts";

const byte = d.unsigned("byte", 8);
const speed = (...params: Parameters<typeof d.readService>[2]): DiagService =>
  d.readService("Speed_Read", 0xf101, params);
const value = (name: string, dop = byte) => d.value(name, dop, { byte: 3 });

function ecu(services: readonly DiagService[], variants: EcuData["variants"] = []): EcuData {
  const base = d.baseVariant(d.diagLayer("ECU", { services }));
  return readDescription(writeEcuData({ ecu_name: "ECU", variants: [base, ...variants] }));
}

const MESSAGE = "ECU/Speed_Read/pos_responses[0]";

const ROWS: readonly (readonly [of: string, a: EcuData, b: EcuData, Change[]])[] = [
  ["nothing", ecu([speed(value("v"))]), ecu([speed(value("v"))]), []],
  ["a service added", ecu([]), ecu([speed()]), [{ change: "added", kind: "service", place: "ECU/Speed_Read" }]],
  ["a service removed", ecu([speed()]), ecu([]), [{ change: "removed", kind: "service", place: "ECU/Speed_Read" }]],
  [
    "a parameter added",
    ecu([speed()]),
    ecu([speed(value("v"))]),
    [{ change: "added", kind: "parameter", place: `${MESSAGE}/v` }],
  ],
  [
    "a parameter renamed",
    ecu([speed(value("v"))]),
    ecu([speed(value("w"))]),
    [
      { change: "removed", kind: "parameter", place: `${MESSAGE}/v` },
      { change: "added", kind: "parameter", place: `${MESSAGE}/w` },
    ],
  ],
  [
    "a parameter moved",
    ecu([speed(d.value("v", byte, { byte: 3 }))]),
    ecu([speed(d.value("v", byte, { byte: 4, bit: 2 }))]),
    [
      { change: "changed", kind: "byte_position", place: `${MESSAGE}/v`, from: 3, to: 4 },
      { change: "changed", kind: "bit_position", place: `${MESSAGE}/v`, to: 2 },
    ],
  ],
  [
    "a parameter longer",
    ecu([speed(value("v"))]),
    ecu([speed(value("v", d.unsigned("byte", 16)))]),
    [{ change: "changed", kind: "bit_length", place: `${MESSAGE}/v/dop/diag_coded_type`, from: 8, to: 16 }],
  ],
  [
    "parameters in another order",
    ecu([speed(d.value("a", byte), d.value("b", byte))]),
    ecu([speed(d.value("b", byte), d.value("a", byte))]),
    [
      {
        change: "changed",
        kind: "order of parameters",
        place: MESSAGE,
        from: ["SID_PR", "DID_PR", "a", "b"],
        to: ["SID_PR", "DID_PR", "b", "a"],
      },
    ],
  ],
  [
    "a variant added",
    ecu([]),
    ecu([], [d.ecuVariant(d.diagLayer("A"), [])]),
    [{ change: "added", kind: "variant", place: "A" }],
  ],
];

for (const [of, a, b, changes] of ROWS) test(`diff: ${of}`, () => assert.deepEqual(diffDatabases(a, b), changes));

test("what is shared is compared once, and told wherever it counts", () => {
  const many = (dop: ReturnType<typeof d.unsigned>) =>
    ecu(Array.from({ length: 20 }, (_, i) => d.readService(`S${i}_Read`, i, [value("v", dop)])));
  const changes = diffDatabases(many(byte), many(d.unsigned("byte", 9)));
  assert.equal(changes.length, 20);
});

test("changes are summed up beyond their limit", () => {
  const services = Array.from({ length: 9 }, (_, i) => d.readService(`S${i}_Read`, i, []));
  const changes = diffDatabases(ecu([]), ecu(services), { maxChanges: 3 });
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ["service", "service", "service", "6 more differences"],
  );
});

test("a database does not differ from itself, read again", () => {
  const read = () => readDescription(writeEcuData(SMALL_ECU));
  assert.deepEqual(diffDatabases(read(), read()), []);
});
