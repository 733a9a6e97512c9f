import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import { type ComParamSetting, resolveFrom } from "#mdd/query/com-param-resolution.ts";
import { type ComParams, type ComParamValue, comParamJson } from "#mdd/query/com-params.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";

const READERS = { parse: parseComParam, readConfig: readComParamConfig };

const simple = (text: string, factorToSi?: number): ComParamValue => ({
  kind: "simple",
  text,
  unit: factorToSi === undefined ? undefined : { factorToSi, offsetToSi: undefined },
});

const table = (parts: Readonly<Record<string, string>>): ComParamValue => ({
  kind: "complex",
  parts: new Map(Object.entries(parts).map(([name, text]) => [name, simple(text)])),
});

function resolve(field: string, params: ComParams, global?: ComParamSetting, ecu?: ComParamSetting) {
  const [group, member] = field.split(".") as [string, string];
  const row = COM_PARAM_ROWS.find((candidate) => candidate.group === group && candidate.field === member);
  assert.ok(row !== undefined);
  const settings = (setting?: ComParamSetting) =>
    setting === undefined ? {} : { [group]: { [row.def.key]: setting } };
  const sources = { rows: COM_PARAM_ROWS, readers: READERS, global: settings(global), ecu: settings(ecu) };
  return resolveFrom(params, sources).get(field);
}

const GATEWAY = "doip.logicalGatewayAddress";
const DATABASE: ComParams = new Map([["CP_DoIPLogicalGatewayAddress", simple("4096")]]);
const NOTHING: ComParams = new Map();

// Order of sources: facts of the transport, com params.
const PRECEDENCE: readonly (readonly [
  what: string,
  database: ComParams,
  global: ComParamSetting | undefined,
  ecu: ComParamSetting | undefined,
  value: number,
  isResolved: boolean,
])[] = [
  ["built in", NOTHING, undefined, undefined, 0, false],
  ["configured for all", NOTHING, { value: 1 }, undefined, 1, false],
  ["configured for the ECU", NOTHING, { value: 1 }, { value: 2 }, 2, false],
  ["database over configured", DATABASE, { value: 1 }, { value: 2 }, 4096, true],
  ["forced for all over database", DATABASE, { value: 1, precedence: "Config" }, undefined, 1, true],
  [
    "forced for the ECU over forced for all",
    DATABASE,
    { value: 1, precedence: "Config" },
    { value: 2, precedence: "Config" },
    2,
    true,
  ],
  ["the ECU's value under the force for all", DATABASE, { value: 1, precedence: "Config" }, { value: 2 }, 2, true],
  [
    "the ECU may ask the database again",
    DATABASE,
    { value: 1, precedence: "Config" },
    { precedence: "Database" },
    4096,
    true,
  ],
  ["another name", DATABASE, { name: "CP_Other", value: 1 }, undefined, 1, false],
  [
    "an unreadable value of the database",
    new Map([["CP_DoIPLogicalGatewayAddress", simple("0x1000")]]),
    { value: 1 },
    undefined,
    1,
    false,
  ],
  [
    "a complex value is none",
    new Map([["CP_DoIPLogicalGatewayAddress", table({})]]),
    { value: 1 },
    undefined,
    1,
    false,
  ],
];

for (const [what, database, global, ecu, value, isResolved] of PRECEDENCE) {
  test(`precedence: ${what}`, () => {
    const resolved = resolve(GATEWAY, database, global, ecu);
    assert.equal(resolved?.value, value);
    assert.equal(resolved?.isResolved, isResolved);
  });
}

test("what could not be read is told", () => {
  assert.match(
    resolve(GATEWAY, new Map([["CP_DoIPLogicalGatewayAddress", simple("x")]]))?.rejected ?? "",
    /CP_DoIP.*x/,
  );
  assert.match(
    resolve(GATEWAY, NOTHING, { value: "x", precedence: "Config" })?.rejected ?? "",
    /logical_gateway_address/,
  );
});

test("the ECU's address is a part of the response id table, whatever that is called", () => {
  const params: ComParams = new Map([["CP_MyTable", table({ CP_DoIPLogicalEcuAddress: "8192" })]]);
  assert.equal(resolve("doip.logicalEcuAddress", params)?.isResolved, false);
  const sources = {
    rows: COM_PARAM_ROWS,
    readers: READERS,
    global: { doip: { logical_response_id_table_name: "CP_MyTable" } },
  };
  assert.deepEqual(resolveFrom(params, sources).get("doip.logicalEcuAddress"), { value: 8192, isResolved: true });
});

test("CAN ids of the table win over those beside it", () => {
  const params: ComParams = new Map([
    ["CP_UniqueRespIdTable", table({ CP_CanPhysReqId: "0x641" })],
    ["CP_CanPhysReqId", simple("1")],
    ["CP_CanRespUSDTId", simple("0x642")],
  ]);
  assert.equal(resolve("can.physicalRequestId", params)?.value, 0x641);
  assert.equal(resolve("can.physicalResponseId", params)?.value, 0x642);
});

// Durations: hand-derived vectors of mdd-golden.json (duration_com_param).
const DURATIONS: readonly (readonly [text: string, factor: number | undefined, ms: number])[] = [
  ["1000000", 1e-6, 1_000],
  ["50", 1e-3, 50],
  ["50", undefined, 0.05],
  ["0", 1e-6, 1_000],
];

for (const [text, factor, ms] of DURATIONS) {
  test(`duration ${text} with factor ${factor} is ${ms} ms`, () => {
    assert.equal(resolve("uds.p6MaxMs", new Map([["CP_P6Max", simple(text, factor)]]))?.value, ms);
  });
}

test("the comparam resource shows values with their units, parts by name", () => {
  assert.deepEqual(comParamJson(simple("50", 1e-3)), {
    value: "50",
    unit: { factor_to_si_unit: 1e-3, offset_to_si_unit: null },
  });
  assert.deepEqual(comParamJson(table({ A: "1" })), { A: { value: "1", unit: null } });
});

test("a default configuration changes nothing but what it lists", () => {
  const { com_params } = defaultConfig();
  const resolved = resolveFrom(DATABASE, { rows: COM_PARAM_ROWS, readers: READERS, global: com_params });
  assert.deepEqual(
    [...resolved].filter(([, { rejected }]) => rejected !== undefined),
    [],
  );
  assert.equal(resolved.get(GATEWAY)?.value, 4096);
  assert.equal(resolved.get("uds.p6MaxMs")?.value, 1_000);
});
