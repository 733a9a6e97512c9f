import assert from "node:assert/strict";
import { test } from "node:test";
import { dtcView, parseDtc, parseDtcId } from "#sim/dtc.ts";
import { answer } from "#sim/matching.ts";
import { SERVICES } from "#sim/services/index.ts";
import { initialState } from "#sim/state.ts";
import { hex, upper } from "../../e2e/simulator-support.ts";

const IDS: readonly [text: string, id: number | string][] = [
  ["123456", 0x123456],
  ["0a0b0c", 0x0a0b0c],
  ["P0ABCDE", 0x0abcde],
  ["C1ABCDE", 0x5abcde],
  ["B2ABCDE", 0xaabcde],
  ["U3FFFFF", 0xffffff],
  ["u3FFFFF", "lowerCaseLetter"],
  ["P4ABCDE", "malformed"],
  ["12345", "malformed"],
  ["", "malformed"],
];
for (const [text, id] of IDS) test(`DTC id "${text}"`, () => assert.equal(parseDtcId(text), id));

test("status mask wins over status bits, testFailed and confirmedDtc are set by default", () => {
  const statusOf = (input: object) => {
    const parsed = parseDtc({ id: "000001", ...input });
    return "dtc" in parsed ? parsed.dtc.status : parsed.problem;
  };
  assert.equal(statusOf({}), 0x09);
  assert.equal(statusOf({ status: { testFailed: false, pendingDtc: true } }), 0x0c);
  assert.equal(statusOf({ status: { warningIndicatorRequested: true } }), 0x89);
  assert.equal(statusOf({ statusMask: "2f", status: { testFailed: false } }), 0x2f);
  assert.equal(statusOf({ statusMask: "123" }), "malformed");
  assert.equal(statusOf({ extendedData: [{ recordNumber: "01", data: "1" }] }), "malformed");
  assert.equal(statusOf({ snapshots: [{ recordNumber: "01", records: [{ did: "01", data: "" }] }] }), "malformed");
});

test("snapshots and extended data stand in 19 04 and 19 06, all records whatever the number", () => {
  const parsed = parseDtc({
    id: "01E240",
    statusMask: "09",
    emissionsRelated: true,
    snapshots: [
      {
        recordNumber: "01",
        records: [
          { did: "0101", data: "0102" },
          { did: "0202", data: "AABBCC" },
        ],
      },
      { recordNumber: "02", records: [{ did: "0101", data: "0304" }] },
    ],
    extendedData: [
      { recordNumber: "01", data: "11" },
      { recordNumber: "02", data: "2222" },
    ],
  });
  assert.ok("dtc" in parsed);
  const state = initialState("VIN");
  state.dtcs.Standard.set(parsed.dtc.id, parsed.dtc);
  const ask = (request: string) => upper(answer(SERVICES, state, hex(request))!);
  assert.equal(ask("190401E240FF"), "590401E24009 0102 01010102 0202AABBCC 0201 01010304".replaceAll(" ", ""));
  assert.equal(ask("190601E24007"), "590601E24009 0111 022222".replaceAll(" ", ""));
  assert.equal(ask("190104"), "5901FF010000");
  assert.equal(ask("190209"), "5902FF01E24009");
  assert.deepEqual(dtcView(parsed.dtc).snapshots, [
    {
      recordNumber: "01",
      records: [
        { did: "0101", data: "0102" },
        { did: "0202", data: "AABBCC" },
      ],
    },
    { recordNumber: "02", records: [{ did: "0101", data: "0304" }] },
  ]);
  assert.equal(dtcView(parsed.dtc).id, "1e240");
});

test("clearing by memory", () => {
  const state = initialState("VIN");
  const parsed = parseDtc({ id: "000001" });
  assert.ok("dtc" in parsed);
  const fill = () => {
    for (const memory of Object.values(state.dtcs)) memory.set(1, parsed.dtc);
  };
  const left = () => [state.dtcs.Standard.size, state.dtcs.Development.size];
  const CASES: readonly [request: string, left: number[]][] = [
    ["14FFFFFF", [0, 0]],
    ["14FFFFFF00", [0, 1]],
    ["14FFFFFF01", [1, 0]],
    ["14FFFFFF02", [1, 1]],
    ["14000001", [0, 0]],
    ["14000002", [1, 1]],
    ["31014200", [1, 0]],
  ];
  for (const [request, expected] of CASES) {
    fill();
    answer(SERVICES, state, hex(request));
    assert.deepEqual(left(), expected, request);
  }
});
