// Where parameters stand, and the picture of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Param } from "#mdd/generated/description.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { baseVariant } from "#mdd/query/layers.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { layoutOf } from "#mdd/tools/layout.ts";
import { type MessageView, type ParamView, viewService } from "#mdd/tools/view.ts";
import * as d from "#mdd/writer/dsl.ts";
import { writeEcuData } from "#mdd/writer/write.ts";

/** The positive response of a service with these parameters behind `62 F1 00`. */
function viewOf(params: readonly Param[], maxParams?: number): MessageView {
  const service = d.readService("Read", 0xf100, params);
  const base = d.baseVariant(d.diagLayer("ECU", { services: [service] }));
  const database = openDatabase(writeEcuData({ ecu_name: "ECU", variants: [base] }));
  const [entry] = serviceIndex(database, baseVariant(database)!).services;
  const view = viewService(database, entry!, {
    positions: "sequential",
    ...(maxParams !== undefined && { maxParams }),
  });
  return view.messages.find(({ kind }) => kind === "positive")!;
}

const rowsOf = (params: readonly Param[]): string[] =>
  layoutOf(viewOf(params)).map(({ first, last, bits, begins }) =>
    [`${first}-${last}`, bits, ...begins.map(({ letter, path }) => `${letter}:${path}`)].join(" "),
  );

const HEAD = ["0-0 aaaaaaaa a:SID_PR", "1-1 bbbbbbbb b:DID_PR", "2-2 bbbbbbbb"];

const u = (bits: number) => d.unsigned(`u${bits}`, bits);
const le = (bits: number) =>
  d.normalDop(`le${bits}`, {
    coded: d.standardLength("A_UINT_32", bits, { littleEndian: true }),
    physical: d.physicalType("A_UINT_32"),
  });

const PICTURES: readonly (readonly [of: string, params: readonly Param[], rows: readonly string[]])[] = [
  ["a byte", [d.value("v", u(8))], ["3-3 cccccccc c:v"]],
  ["twelve bits", [d.value("v", u(12))], ["3-3 ....cccc c:v", "4-4 cccccccc"]],
  ["ten bits from bit 3 on", [d.value("v", u(10), { byte: 3, bit: 3 })], ["3-3 ...ccccc c:v", "4-4 ccccc..."]],
  ["twelve bits little endian", [d.value("v", le(12))], ["3-3 cccccccc c:v", "4-4 ....cccc"]],
  [
    "two in a byte",
    [d.value("low", u(4), { byte: 3 }), d.value("high", u(4), { byte: 3, bit: 4 })],
    ["3-3 ddddcccc c:low d:high"],
  ],
  [
    "two in the same bits",
    [d.value("one", u(4), { byte: 3 }), d.value("two", u(2), { byte: 3 })],
    ["3-3 ....cc** c:one d:two"],
  ],
  ["a gap", [d.value("v", u(8), { byte: 4 })], ["3-3 ........", "4-4 cccccccc c:v"]],
  ["many bytes", [d.value("v", d.ascii("text", 17))], ["3-19 cccccccc c:v"]],
  [
    "a structure",
    [d.value("s", d.structure("S", [d.value("a", u(8)), d.value("b", u(8))])), d.value("v", u(8))],
    ["3-3 cccccccc c:s.a", "4-4 dddddddd d:s.b", "5-5 eeeeeeee e:v"],
  ],
];

for (const [of, params, rows] of PICTURES)
  test(`layout: ${of}`, () => assert.deepEqual(rowsOf(params), [...HEAD, ...rows]));

const find = (params: readonly ParamView[], name: string): ParamView =>
  params.find((one) => one.name === name) ?? assert.fail(`no ${name}`);

test("behind a value of variable length nothing has a place", () => {
  const text = d.normalDop("text", {
    coded: d.minMaxLength("A_ASCIISTRING", { minBytes: 0, maxBytes: 8, termination: "ZERO" }),
    physical: d.physicalType("A_UNICODE_2_STRING"),
  });
  const { params, bytes } = viewOf([d.value("t", text), d.value("after", u(8))]);
  assert.equal(bytes, undefined);
  assert.deepEqual([find(params, "t").byte, find(params, "t").bytes], [3, undefined]);
  assert.deepEqual([find(params, "after").byte, find(params, "after").offset], [undefined, undefined]);
  assert.equal(find(params, "t").type, "A_ASCIISTRING 0…8 bytes ZERO");
});

test("what a parameter means is told in short", () => {
  const { params } = viewOf([
    d.value("state", d.textDop("State", 8, d.textTable({ 0: "Off", 1: "On" })), { default: "Off" }),
    d.value("volt", d.unsigned("Volt", 16, { compu: d.linear(-40, 1, 2), unit: d.unit("V", "V") })),
  ]);
  const state = find(params, "state");
  assert.deepEqual(state.compu, { category: "TEXT_TABLE", scales: ['0 = "Off"', '1 = "On"'] });
  assert.equal(state.default, "Off");
  const volt = find(params, "volt");
  assert.deepEqual(volt.compu, { category: "LINEAR", scales: ["(-40 + x) / (2)"] });
  assert.equal(volt.unit, "V");
  assert.equal(find(params, "SID_PR").value, "0x62 (98)");
  assert.equal(find(params, "DID_PR").value, "byte 1…2 of the request");
});

test("fields and multiplexers show what they hold", () => {
  const item = d.structure("Item", [d.value("a", u(8))]);
  const { params } = viewOf([
    d.value("fixed", d.staticField("Fixed", item, 2, 3), { byte: 3 }),
    d.value("rest", d.endOfPduField("Rest", item, 0, 4), { byte: 9 }),
  ]);
  const fixed = find(params, "fixed");
  assert.deepEqual([fixed.bytes, fixed.groups?.[0]?.label], [6, "items exactly 2"]);
  assert.equal(find(fixed.groups![0]!.params, "a").byte, 3);
  assert.match(find(params, "rest").groups![0]!.label, /to the end/);
});

test("unfolding stops at its budget", () => {
  const count = (params: readonly ParamView[]): number =>
    params.reduce((sum, { groups = [] }) => sum + 1 + groups.reduce((n, group) => n + count(group.params), 0), 0);
  let dop = d.structure("leaf", [d.value("a", u(8)), d.value("b", u(8))]);
  for (let depth = 0; depth < 12; depth++) dop = d.structure(`s${depth}`, [d.value("l", dop), d.value("r", dop)]);
  assert.ok(count(viewOf([d.value("tree", dop)], 500).params) <= 500);
});
