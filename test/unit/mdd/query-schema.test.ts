import assert from "node:assert/strict";
import { test } from "node:test";
import type { CompuMethod, DataType, DOP, Limit, NormalDOP, Param } from "#mdd/generated/description.ts";
import { requestSchema, responseSchema, type SchemaOptions } from "#mdd/query/json-schema.ts";
import { baseVariant } from "#mdd/query/layers.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import type { JsonSchema } from "#mdd/query/value-schema.ts";
import { base, layer, open, service } from "./query-build.ts";

function normal(type: DataType, rest: Partial<NormalDOP> = {}): DOP {
  return {
    specific_data_type: "NormalDOP",
    specific_data: { physical_type: { base_data_type: type }, ...rest },
  };
}

function value(short_name: string, dop: DOP, rest: { default?: string; semantic?: string; byte?: number } = {}): Param {
  return {
    short_name,
    semantic: rest.semantic ?? "DATA",
    byte_position: rest.byte ?? 3,
    specific_data_type: "Value",
    specific_data: { dop, ...(rest.default === undefined ? {} : { physical_default_value: rest.default }) },
  };
}

function structure(...params: Param[]): DOP {
  return { specific_data_type: "Structure", specific_data: { params } };
}

function opened(request: readonly Param[], response: readonly Param[]) {
  const any = { ...service("Any_Read", "22A001", {}, request), pos_responses: [{ params: response }] };
  const database = open({ variants: [base(layer("Base", [any]))] });
  const entry = serviceIndex(database, baseVariant(database) ?? assert.fail()).services[0] ?? assert.fail();
  return { database, entry };
}

function ofRequest(...params: Param[]) {
  const { database, entry } = opened(params, []);
  return requestSchema(database, entry).schema;
}

function ofResponse(params: readonly Param[], options?: SchemaOptions, request: readonly Param[] = []) {
  const { database, entry } = opened(request, params);
  return responseSchema(database, entry, options).schema;
}

function propertyOf(schema: JsonSchema | undefined, name: string): JsonSchema {
  const properties = schema?.properties as Readonly<Record<string, JsonSchema>> | undefined;
  return properties?.[name] ?? assert.fail(`no property ${name}`);
}

const U8 = normal("A_UINT_32");
const U8_SCHEMA = { type: "integer", format: "int64" };

const limit = (value: string, interval_type: "OPEN" | "CLOSED" | "INFINITE"): Limit => ({ value, interval_type });

const ON_OFF: CompuMethod = {
  category: "TEXT_TABLE",
  internal_to_phys: {
    compu_scales: [{ consts: { vt: "Off" } }, { consts: { vt_ti: "TI" } }, { consts: { vt: "Off" } }],
    compu_default_value: { values: { vt: "Unknown" } },
  },
};

const VALUES: readonly (readonly [what: string, dop: DOP, defaultText: string | undefined, schema: object])[] = [
  ["unsigned", U8, undefined, U8_SCHEMA],
  ["signed with a default", normal("A_INT_32"), "-7", { type: "integer", format: "int32", default: -7 }],
  ["float", normal("A_FLOAT_32"), undefined, { type: "number", format: "float" }],
  ["double with a default", normal("A_FLOAT_64"), "12.5", { type: "number", format: "double", default: 12.5 }],
  ["a default that is no number", normal("A_UINT_32"), "x", U8_SCHEMA],
  ["text", normal("A_UNICODE_2_STRING"), "EU", { type: "string", default: "EU" }],
  ["bytes", normal("A_BYTEFIELD"), "BEEF", { type: "string", format: "hex", default: "BEEF" }],
  [
    "texts",
    normal("A_UTF_8_STRING", { compu_method: ON_OFF }),
    "Off",
    { type: "string", enum: ["Off", "TI"], default: "Off" },
  ],
  [
    "closed and open limits",
    normal("A_INT_32", { phys_constr: { lower_limit: limit("-5", "OPEN"), upper_limit: limit("5", "CLOSED") } }),
    undefined,
    { type: "integer", format: "int32", exclusiveMinimum: -5, maximum: 5 },
  ],
  [
    "no limits",
    normal("A_INT_32", { phys_constr: { lower_limit: limit("", "CLOSED"), upper_limit: limit("9", "INFINITE") } }),
    undefined,
    { type: "integer", format: "int32" },
  ],
  [
    "the coded type when there is no physical one",
    { specific_data_type: "NormalDOP", specific_data: { diag_coded_type: { base_data_type: "A_ASCIISTRING" } } },
    undefined,
    { type: "string" },
  ],
];

for (const [what, dop, defaultText, schema] of VALUES) {
  test(`value: ${what}`, () => {
    const built = ofRequest(value("v", dop, defaultText === undefined ? {} : { default: defaultText }));
    assert.deepEqual(propertyOf(built, "v"), schema);
  });
}

test("an answer may hold the default text of a text table", () => {
  const built = ofResponse([value("v", normal("A_UTF_8_STRING", { compu_method: ON_OFF }))]);
  assert.deepEqual(built?.properties, { v: { type: "string", enum: ["Off", "TI", "Unknown"] } });
});

test("a request needs what has no default and cannot be empty", () => {
  const maybeEmpty = normal("A_ASCIISTRING", {
    diag_coded_type: { specific_data_type: "MinMaxLengthType", specific_data: { min_length: 0 } },
  });
  const list: DOP = {
    specific_data_type: "EndOfPduField",
    specific_data: { field: { basic_structure: structure(value("a", U8)) } },
  };
  const built = ofRequest(
    value("needed", U8),
    value("defaulted", U8, { default: "1" }),
    value("empty", maybeEmpty),
    value("list", list),
  );
  assert.deepEqual(built?.required, ["needed"]);
});

test("fields are arrays with as many items as they may have", () => {
  const field = { basic_structure: structure(value("a", U8)) };
  const items = { type: "object", properties: { a: U8_SCHEMA } };
  const dops: readonly (readonly [DOP, object])[] = [
    [
      { specific_data_type: "StaticField", specific_data: { fixed_number_of_items: 3, field } },
      { type: "array", items, minItems: 3, maxItems: 3 },
    ],
    [
      { specific_data_type: "EndOfPduField", specific_data: { field, min_number_of_items: 1, max_number_of_items: 2 } },
      { type: "array", items, minItems: 1, maxItems: 2 },
    ],
    [
      { specific_data_type: "DynamicLengthField", specific_data: { field } },
      { type: "array", items },
    ],
  ];
  for (const [dop, schema] of dops) assert.deepEqual(ofResponse([value("f", dop)])?.properties, { f: schema });
});

test("a multiplexer names its cases beside the selector", () => {
  const mux: DOP = {
    specific_data_type: "MUXDOP",
    specific_data: {
      switch_key: { dop: U8 },
      cases: [{ short_name: "One", structure: structure(value("p", U8)) }, { short_name: "Bare" }],
      default_case: { short_name: "Else", structure: structure(value("r", U8)) },
    },
  };
  const option = (title: string, content?: object) => ({
    title,
    type: "object",
    properties: {
      Selector: U8_SCHEMA,
      ...(content === undefined ? {} : { [title]: { type: "object", properties: content } }),
    },
  });
  assert.deepEqual(ofResponse([value("m", mux)])?.properties, {
    m: { anyOf: [option("One", { p: U8_SCHEMA }), option("Bare"), option("Else", { r: U8_SCHEMA })] },
  });
});

test("structures and environment data can be shown as they are merged into the answer", () => {
  const env: DOP = {
    specific_data_type: "EnvDataDesc",
    specific_data: { env_datas: [{ specific_data_type: "EnvData", specific_data: { params: [value("rpm", U8)] } }] },
  };
  const params = [value("s", structure(value("a", U8))), value("env", env)];
  const rpm = { type: "object", properties: { rpm: U8_SCHEMA } };
  assert.deepEqual(ofResponse(params, { flatten: true }), {
    type: "object",
    properties: { a: U8_SCHEMA },
    anyOf: [rpm],
  });
  assert.deepEqual(ofResponse(params)?.properties, {
    s: { type: "object", properties: { a: U8_SCHEMA } },
    env: { anyOf: [rpm] },
  });
});

test("a trouble code is a number to the ECU and an object from it", () => {
  const dtc: DOP = {
    specific_data_type: "DTCDOP",
    specific_data: { dtcs: [{ trouble_code: 5 }, { trouble_code: 5 }] },
  };
  assert.deepEqual(ofRequest(value("d", dtc))?.properties, { d: { type: "integer", format: "int32", enum: [5] } });
  const answer = propertyOf(ofResponse([value("d", dtc)]), "d");
  assert.deepEqual(Object.keys(answer.properties as object), ["code", "display_code", "fault_name", "severity"]);
  assert.deepEqual(answer.required, ["code"]);
});

test("a table key names its rows, the table part follows the row", () => {
  const rows = [
    { short_name: "RowA", structure: structure(value("ra", U8)) },
    { short_name: "RowB" },
    { short_name: "RowC", dop: U8 },
  ];
  const key: Param = {
    short_name: "key",
    specific_data_type: "TableKey",
    specific_data: {
      table_key_reference_type: "TableDop",
      table_key_reference: { key_dop: normal("A_ASCIISTRING"), rows },
    },
  };
  const part: Param = { short_name: "tab", specific_data_type: "TableStruct", specific_data: { table_key: key } };
  const tab = {
    anyOf: [
      { type: "object", properties: { RowA: { type: "object", properties: { ra: U8_SCHEMA } } } },
      { type: "object", properties: {} },
      { type: "object", properties: { RowC: U8_SCHEMA } },
    ],
  };
  const answer = ofResponse([key, part]);
  assert.deepEqual(answer?.properties, { key: { type: "string" }, tab });
  const request = ofRequest(key, part);
  assert.deepEqual(propertyOf(request, "key"), { type: "string", enum: ["RowA", "RowB", "RowC"] });
  assert.deepEqual(request?.required, ["key"]);
});

test("an answer shows repeated request values, constants and data, not what has another semantic", () => {
  const matching: Param = {
    short_name: "echo",
    specific_data_type: "MatchingRequestParam",
    specific_data: { request_byte_pos: 3, byte_length: 1 },
  };
  const fixed: Param = {
    short_name: "k",
    specific_data_type: "PhysConst",
    specific_data: { phys_constant_value: "12", dop: U8 },
  };
  const built = ofResponse([matching, fixed, value("v", U8), value("hidden", U8, { semantic: "STATUS" })], {}, [
    value("asked", U8),
  ]);
  assert.deepEqual(built?.properties, { echo: U8_SCHEMA, k: { ...U8_SCHEMA, const: 12 }, v: U8_SCHEMA });
});

test("a service without parameters has no schema", () => {
  const { database, entry } = opened([], []);
  assert.deepEqual(requestSchema(database, entry), { name: "Request_Any_Read", title: "Request for Any_Read" });
  assert.deepEqual(responseSchema(database, entry), { name: "Responses_Any_Read", title: "Responses for Any_Read" });
});

test("structures shared a thousandfold do not unfold without end", () => {
  let dop = structure(value("leaf", U8));
  for (let level = 0; level < 40; level++) dop = structure(value("a", dop), value("b", dop), value("c", dop));
  assert.ok(JSON.stringify(ofRequest(value("root", dop))).length < 2_000_000);
});
