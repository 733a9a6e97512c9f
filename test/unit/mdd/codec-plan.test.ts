// What plans decide beside values: positions, responses, names, shapes, problems, the cache.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { PlanCache, planBytes } from "#mdd/codec/cache.ts";
import { decodeRequest, decodeResponse, encodeRequest, writeResponseJson } from "#mdd/codec/codec.ts";
import { failureFault } from "#mdd/codec/errors.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import { type CodecOptions, readingOf } from "#mdd/codec/options.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import type { DOP, Param } from "#mdd/generated/description.ts";
import {
  byteField,
  codedConst,
  compuMethod,
  dtc,
  dtcDop,
  dynamic,
  endOfPduField,
  envData,
  envDataDesc,
  lengthKey,
  limit,
  matchingRequest,
  mux,
  muxCase,
  negativeResponse,
  normalDop,
  nrcConst,
  paramLength,
  physicalType,
  readService,
  service,
  standardLength,
  structure,
  system,
  tableDop,
  tableKey,
  tableRow,
  tableStruct,
  textDop,
  textTable,
  unsigned,
  value,
} from "#mdd/writer/dsl.ts";
import { compile, compileAll, symmetric } from "./codec-support.ts";

const u8 = unsigned("u8", 8);
const u16 = unsigned("u16", 16);
const SEQUENTIAL: Partial<CodecOptions> = { positions: "sequential" };

const hex = (text: string): Uint8Array => fromHex(text)!;
const dataOf = (plan: ServicePlan, payload: string, request?: string) =>
  decodeResponse(plan, hex(payload), request === undefined ? undefined : hex(request)).data;

/** Where a parameter without BYTE-POSITION is read; source: facts on odx-converter files, ISO 22901-1 §7.4.8. */
const POSITIONS: readonly { name: string; params: Param[]; converter: unknown; sequential: unknown }[] = [
  {
    name: "simple values follow",
    params: [value("a", u8, { byte: 3 }), value("b", u16), value("c", u8)],
    converter: { a: 1, b: 0x0203, c: 4 },
    sequential: { a: 1, b: 0x0203, c: 4 },
  },
  {
    name: "a structure stands at 0 in files that cannot store a zero",
    params: [value("a", u8, { byte: 3 }), value("s", structure("s", [value("x", u8)]))],
    converter: { a: 1, x: 0x6e },
    sequential: { a: 1, x: 2 },
  },
  {
    name: "an end-of-PDU field follows",
    params: [value("a", u8, { byte: 3 }), value("f", endOfPduField("f", structure("s", [value("x", u8)])))],
    converter: { a: 1, f: [{ x: 2 }, { x: 3 }, { x: 4 }] },
    sequential: { a: 1, f: [{ x: 2 }, { x: 3 }, { x: 4 }] },
  },
  {
    name: "members: the first at 0, a bit field above one in byte 0 in that byte",
    params: [
      value(
        "s",
        structure("s", [value("lo", unsigned("u4", 4)), value("hi", unsigned("u4", 4), { bit: 4 }), value("n", u8)]),
        {
          byte: 3,
        },
      ),
    ],
    converter: { lo: 1, hi: 0, n: 2 },
    sequential: { lo: 1, hi: 0, n: 3 },
  },
];

for (const { name, params, converter, sequential } of POSITIONS)
  test(`positions: ${name}`, () => {
    const [asConverter, inSequence] = [{ positions: "converter" }, SEQUENTIAL].map((options) =>
      dataOf(compile(symmetric(params), options as Partial<CodecOptions>), "6E F00D 01 02 03 04"),
    );
    assert.deepEqual(asConverter, converter);
    assert.deepEqual(inSequence, sequential);
  });

test("positions: whose files mean what", () => {
  assert.deepEqual(readingOf("sovd-edge 1.0"), { positions: "sequential", lengthKeyUnit: "bits" });
  assert.deepEqual(readingOf("odx-converter 0.1.0 (ae6e814)"), { positions: "converter", lengthKeyUnit: "bytes" });
  assert.equal(readingOf(undefined).positions, "converter");
});

const mixed = readService("Mixed_Read", 0x0100, [
  value("shown", u8, { byte: 3 }),
  value("hidden", u8, { byte: 4, semantic: "STATUS" }),
  value("plain", u8, { byte: 5, semantic: null }),
]);

test("responses: semantic decides what is shown, the first DATA parameter where raw data begins", () => {
  const plan = compile(mixed, SEQUENTIAL);
  const decoded = decodeResponse(plan, hex("62 0100 01 02 03"));
  assert.deepEqual(decoded.data, { shown: 1, plain: 3 });
  assert.equal(toHex(decoded.raw), "010203");
  assert.deepEqual(decodeRequest(plan, hex("22 0100")).data, { SID_RQ: 0x22, DID_RQ: 0x0100 });
});

test("responses: a payload is kept where it lies, and no request of another service is answered", () => {
  const plan = compile(mixed, SEQUENTIAL);
  const foreign = decodeResponse(plan, hex("7E 00"));
  assert.equal(foreign.isMapped, false);
  assert.equal(foreign.type, "positive");
  assert.equal(toHex(foreign.raw), "7E00");
  assert.equal(decodeResponse(plan, new Uint8Array()).isMapped, false);
});

test("responses: of two with one SID the one whose constants fit is taken", () => {
  const positive = (kind: number, called: string): Param[] => [
    codedConst("SID_PR", 0x62, 8, { byte: 0, semantic: "SERVICE-ID" }),
    codedConst("KIND", kind, 8, { byte: 1, semantic: "ID" }),
    value(called, u8, { byte: 2 }),
  ];
  const two = service("Two", [codedConst("SID_RQ", 0x22, 8, { byte: 0 })], positive(1, "first"));
  const plan = compile(
    { ...two, pos_responses: [...(two.pos_responses ?? []), { params: positive(2, "second") }] },
    SEQUENTIAL,
  );
  assert.deepEqual(dataOf(plan, "62 01 07"), { first: 7 });
  assert.deepEqual(dataOf(plan, "62 02 07"), { second: 7 });
  assert.deepEqual(dataOf(plan, "62 03 07"), { first: 7 });
});

test("matching parameters mean what the request's parameter means, and must repeat it", () => {
  const request = [
    codedConst("SID_RQ", 0x36, 8, { byte: 0, semantic: "SERVICE-ID" }),
    value("Block", textDop("b", 8, textTable({ 1: "first" })), { byte: 1 }),
  ];
  const response = [
    codedConst("SID_PR", 0x76, 8, { byte: 0, semantic: "SERVICE-ID" }),
    matchingRequest("Echo", 1, 1, { byte: 1 }),
  ];
  const described = service("Transfer", request, response);
  const plan = compile(described, SEQUENTIAL);
  assert.deepEqual(dataOf(plan, "76 01", "36 01"), { Block: "first" });
  assert.deepEqual(dataOf(compile(described, { ...SEQUENTIAL, shape: "iso" }), "76 01"), { Echo: "first" });
  assert.match(
    decodeResponse(plan, hex("76 02"), hex("36 01")).failure?.message ?? "",
    /Block: Expected \[1\], got \[2\]/,
  );
});

/** Source: ISO 14229-1 §8.4 for the bytes; facts on the CDA for the texts. */
test("negative responses: code, text and SID, with and without a response in the database", () => {
  const nrcText = (code: number) => (code === 0x12 ? "Sub-function Not Supported" : "");
  const nrc = value("NRC", textDop("nrc", 8, textTable({ 49: "ROOR" })), { byte: 2 });
  const plan = compile(readService("R", 0x0100, [], { negative: [negativeResponse([nrc])] }), {
    ...SEQUENTIAL,
    nrcText,
  });
  const known = decodeResponse(plan, hex("7F 22 31"));
  assert.equal(known.type, "negative");
  assert.deepEqual(known.nrc, { code: 0x31, description: "ROOR", sid: 0x22 });
  assert.deepEqual(known.data, { SIDRQ_NR: 0x22, NRC: "ROOR" });
  assert.equal(decodeResponse(plan, hex("7F 22 12")).nrc?.description, "Sub-function Not Supported");
  assert.equal(decodeResponse(plan, hex("7F 22 99")).nrc?.description, "ISO SAE Reserved");
  assert.match(decodeResponse(plan, hex("7F")).failure?.message ?? "", /NRC without accompanying SID_RQ/);

  const bare = compile(readService("R", 0x0100, []), { ...SEQUENTIAL, nrcText });
  assert.deepEqual(decodeResponse(bare, hex("7F 22 12")).nrc, {
    code: 0x12,
    description: "Sub-function Not Supported",
    sid: 0x22,
  });
  assert.equal(decodeResponse(bare, hex("7F 22 12")).isMapped, false);
});

test("NRC-CONST chooses among negative responses and is checked", () => {
  const negative = (codes: string[], called: string) =>
    negativeResponse([
      nrcConst("NRC", codes, standardLength("A_UINT_32", 8), { byte: 2 }),
      value(called, u8, { byte: 3 }),
    ]);
  const plan = compile(
    readService("R", 0x0100, [], { negative: [negative(["18"], "a"), negative(["49", "51"], "b")] }),
    SEQUENTIAL,
  );
  assert.deepEqual(dataOf(plan, "7F 22 12 07"), { SIDRQ_NR: 0x22, NRC: 0x12, a: 7 });
  assert.deepEqual(dataOf(plan, "7F 22 33 07"), { SIDRQ_NR: 0x22, NRC: 0x33, b: 7 });
  assert.match(decodeResponse(plan, hex("7F 22 10 07")).failure?.message ?? "", /NRC: Expected \[18\], got \[16\]/);
});

test("shapes: structures are flattened or nested; of equal names the last counts", () => {
  const pair = structure("pair", [value("x", u8, { byte: 0 }), value("y", u8, { byte: 1 })]);
  const described = symmetric([value("s", pair, { byte: 3 }), value("t", pair, { byte: 5 })]);
  const payload = "6E F00D 01 02 03 04";
  const flat = compile(described, { ...SEQUENTIAL, shape: "cda" });
  assert.deepEqual(dataOf(flat, payload), { x: 3, y: 4 });
  assert.deepEqual(dataOf(compile(described, { ...SEQUENTIAL, shape: "iso" }), payload), {
    s: { x: 1, y: 2 },
    t: { x: 3, y: 4 },
  });
  const out = new JsonBytes();
  writeResponseJson(flat, hex(payload), undefined, out);
  assert.equal(Buffer.from(out.view()).toString(), '{"x":3,"y":4}');
});

test("environment data join the object around, by trouble code or for all", () => {
  const dop = dtcDop("d", [dtc("D", { code: 1 })], standardLength("A_UINT_32", 24), physicalType("A_UINT_32"));
  const datas = [
    envData("one", [value("rpm", u16, { byte: 0 })], [1]),
    envData("all", [value("any", u8, { byte: 0 })]),
  ];
  const record = structure("r", [
    value("dtc", dop, { byte: 0 }),
    value("env", envDataDesc("e", "dtc", datas), { byte: 3 }),
  ]);
  const plan = compile(symmetric([value("list", endOfPduField("f", record), { byte: 3 })]), {
    ...SEQUENTIAL,
    shape: "iso",
  });
  const known = { code: 1, fault_name: "", severity: 0 };
  assert.deepEqual(dataOf(plan, "6E F00D 000001 1234 000002 07"), {
    list: [
      { dtc: known, rpm: 0x1234 },
      { dtc: { code: 2 }, any: 7 },
    ],
  });
  assert.throws(() => encodeRequest(plan, { list: [{ dtc: 1, env: {} }] }), /EnvData\(Desc\)/);
});

test("byte fields are read and shown as base64 when asked", () => {
  const plan = compile(symmetric([value("b", byteField("b", 3), { byte: 3 })]), SEQUENTIAL);
  const call = { byteFormat: "base64" } as const;
  assert.equal(toHex(encodeRequest(plan, { b: "AasA" }, call)), "2EF00D01AB00");
  assert.deepEqual(decodeResponse(plan, hex("6E F00D 01AB00"), undefined, call).data, { b: "AasA" });
  assert.throws(() => encodeRequest(plan, { b: "0x1" }, call), /not base64/);
});

test("requests: raw bytes go behind the constants, strict ones name what is unknown", () => {
  const plan = compile(symmetric([value("v", u8, { byte: 3 })]), SEQUENTIAL);
  assert.equal(toHex(encodeRequest(plan, hex("01 02"))), "2EF00D0102");
  assert.equal(toHex(encodeRequest(plan, { v: 1, x: 2 })), "2EF00D01");
  assert.throws(
    () => encodeRequest(plan, { v: 1, x: 2, y: 3 }, { isStrict: true }),
    /Unexpected parameters in request: \["x", "y"\]/,
  );
  assert.equal(toHex(encodeRequest(plan, { v: 1 }, { isStrict: true })), "2EF00D01");
});

test("errors name the parameter and the CDA's kind", () => {
  const list = endOfPduField("f", structure("r", [value("a/b", u8, { byte: 0 })]));
  const plan = compile(symmetric([value("list", list, { byte: 3 })]), SEQUENTIAL);
  assert.throws(
    () => encodeRequest(plan, { list: [{ "a/b": 1 }, { "a/b": 256 }] }),
    (error) =>
      error instanceof Fault &&
      error.kind === "badRequest" &&
      error.details?.kind === "ParameterConversionError" &&
      error.details.parameter === "/list/1/a~1b",
  );
  const short = decodeResponse(compile(mixed, SEQUENTIAL), hex("62 0100"));
  assert.equal(short.failure?.path, "/shown");
  assert.equal(failureFault(short.failure!).kind, "payloadTooShort");
});

/** Definitions that a converter would not write; each must be told when it is used, and spoil nothing else. */
const BROKEN: readonly { name: string; dop: DOP; problem: RegExp }[] = [
  { name: "a length of 0", dop: unsigned("u", 0), problem: /length 0/ },
  { name: "an integer of 65 bits", dop: unsigned("u", 65), problem: /65 bits/ },
  {
    name: "a LINEAR without scale",
    dop: unsigned("u", 8, { compu: compuMethod("LINEAR", { scales: [] }) }),
    problem: /LINEAR with 0 scales/,
  },
  {
    name: "a float of 16 bits",
    dop: normalDop("f", { coded: standardLength("A_FLOAT_32", 16), physical: physicalType("A_FLOAT_32") }),
    problem: /A_FLOAT32 of 16 bits/,
  },
  { name: "a DOP of no kind", dop: { short_name: "none" }, problem: /unknown kind/ },
  { name: "a field of numbers", dop: endOfPduField("f", u8), problem: /needs a structure/ },
];

for (const { name, dop, problem } of BROKEN)
  test(`damaged database: ${name}`, () => {
    const plan = compile(symmetric([value("bad", dop, { byte: 3 }), value("good", u8, { byte: 4 })]), SEQUENTIAL);
    const decoded = decodeResponse(plan, hex("6E F00D 01 02"));
    assert.deepEqual(decoded.data, { good: 2 });
    assert.match(decoded.errors[0]?.error ?? "", problem);
    assert.equal(decoded.errors[0]?.path, "/bad");
    assert.throws(
      () => encodeRequest(plan, { bad: 1, good: 2 }),
      (e) => e instanceof Fault && e.kind === "invalidDatabase" && problem.test(e.message),
    );
  });

test("COMPU-CODE is told by name; the raw value is marked", () => {
  const plan = compile(
    symmetric([value("v", unsigned("c", 8, { compu: compuMethod("COMPU_CODE", {}) }), { byte: 3 })]),
    SEQUENTIAL,
  );
  const { data, notes } = decodeResponse(plan, hex("6E F00D 05"));
  assert.deepEqual(data, { v: 5 });
  assert.match(notes[0]?.error ?? "", /COMPU-CODE/);
  assert.throws(() => encodeRequest(plan, { v: 5 }), /COMPU-CODE is not supported/);
});

test("SYSTEM is shown, DYNAMIC passed over, neither can be sent", () => {
  const plan = compile(
    symmetric([system("sy", u8, "TIMESTAMP", { byte: 3 }), dynamic("dy", { byte: 4 }), value("v", u8, { byte: 5 })]),
    SEQUENTIAL,
  );
  assert.deepEqual(dataOf(plan, "6E F00D 01 02 03"), { sy: 1, v: 3 });
  assert.throws(() => encodeRequest(plan, { sy: 1, v: 3 }), /Mapping System DoP to UDS payload not implemented/);
});

test("a key that stands behind what needs it is still read and written first", () => {
  const rows = tableDop("T", u8, [tableRow("Wide", "1", { dop: u16 }), tableRow("Slim", "2", { dop: u8 })]);
  const key = tableKey("key", rows, { byte: 5 });
  const plan = compile(symmetric([tableStruct("row", key, { byte: 3 }), key]), SEQUENTIAL);
  assert.deepEqual(dataOf(plan, "6E F00D 0102 01"), { key: 1, row: { Wide: 0x0102 } });
  assert.equal(toHex(encodeRequest(plan, { key: "Slim", row: { Slim: 7 } })), "2EF00D070002");
});

test("a length key counts bits when asked", () => {
  const key = lengthKey("len", u8, { byte: 3 });
  const bytes = normalDop("b", { coded: paramLength("A_BYTEFIELD", key), physical: physicalType("A_BYTEFIELD") });
  const plan = compile(symmetric([key, value("b", bytes, { byte: 4 })]), { ...SEQUENTIAL, lengthKeyUnit: "bits" });
  assert.deepEqual(dataOf(plan, "6E F00D 10 BEEF"), { len: 16, b: "0xBE 0xEF" });
  assert.equal(toHex(encodeRequest(plan, { b: "BEEF" })), "2EF00D10BEEF");
});

test("an inner length key does not outlive its structure", () => {
  const key = lengthKey("len", u8, { byte: 0 });
  const bytes = normalDop("b", { coded: paramLength("A_BYTEFIELD", key), physical: physicalType("A_BYTEFIELD") });
  const inner = structure("s", [key, value("b", bytes, { byte: 1 })]);
  const params = [lengthKey("len", u8, { byte: 3 }), value("s", inner, { byte: 4 }), value("tail", bytes)];
  const plan = compile(symmetric(params), { ...SEQUENTIAL, shape: "iso" });
  const data = { len: 2, s: { len: 1, b: "0xAA" }, tail: "0xBE 0xEF" };
  assert.deepEqual(dataOf(plan, "6E F00D 02 01AA BEEF"), data);
  assert.equal(toHex(encodeRequest(plan, data)), "2EF00D0201AABEEF");
});

test("a nested multiplexer keeps its own selector, and no list runs without bytes", () => {
  const inner = mux("i", {
    byte: 1,
    switchKey: { byte: 0, dop: u8 },
    cases: [muxCase("C", limit(2), limit(2), structure("s", [value("x", u8, { byte: 0 })]))],
  });
  const outer = mux("o", {
    byte: 1,
    switchKey: { byte: 0, dop: u8 },
    cases: [muxCase("O", limit(1), limit(1), structure("t", [value("m", inner, { byte: 0 })]))],
  });
  const plan = compile(symmetric([value("m", outer, { byte: 3 })]), { ...SEQUENTIAL, shape: "iso" });
  assert.deepEqual(dataOf(plan, "6E F00D 01 02 07"), { m: { Selector: 1, O: { m: { Selector: 2, C: { x: 7 } } } } });
  const empty = compile(symmetric([value("f", endOfPduField("f", structure("none", [])), { byte: 3 })]), SEQUENTIAL);
  assert.match(decodeResponse(empty, hex("6E F00D 01")).failure?.message ?? "", /no bytes/);
});

test("a case that is no structure says so, whatever else the database has", () => {
  const damaged = mux("m", {
    byte: 1,
    switchKey: { byte: 0, dop: u8 },
    cases: [muxCase("Bad", limit(1), limit(1), u8)],
  });
  const members = [
    value("s", structure("s", [value("x", u8, { byte: 0 })]), { byte: 3 }),
    value("m", damaged, { byte: 4 }),
  ];
  for (const params of [members, members.slice(1)]) {
    const plan = compile(symmetric(params), { ...SEQUENTIAL, shape: "iso" });
    const { errors, failure, data } = decodeResponse(plan, hex("6E F00D 07 01 09"));
    assert.equal(failure, undefined);
    assert.deepEqual(errors, [{ path: "/m/Bad", error: "a case needs a structure", value: "" }]);
    assert.deepEqual(data?.m, { Selector: 1 });
  }
});

test("every value of a long list survives the growth of its buffers", () => {
  const item = structure("s", [value("n", u8, { byte: 0 }), value("f", unsigned("u4", 4), { byte: 1 })]);
  const plan = compile(symmetric([value("list", endOfPduField("f", item), { byte: 3 })]), {
    ...SEQUENTIAL,
    shape: "iso",
  });
  const list = Array.from({ length: 5000 }, (_, i) => ({ n: i % 256, f: i % 16 }));
  const payload = encodeRequest(plan, { list });
  payload[0] = 0x6e;
  assert.deepEqual(decodeResponse(plan, payload).data, { list });
});

test("an answer beyond the value limit is refused, not collected", () => {
  const bits = Array.from({ length: 64 }, (_, i) => value(`b${i}`, unsigned("b", 1), { byte: 0, bit: i & 7 }));
  const item = structure("s", bits, 1);
  const plan = compile(symmetric([value("f", endOfPduField("f", item), { byte: 3 })]), SEQUENTIAL);
  const payload = new Uint8Array(1 << 15);
  payload.set(hex("6E F00D"));
  assert.match(decodeResponse(plan, payload).failure?.message ?? "", /too many values/);
  assert.deepEqual(dataOf(plan, "6E F00D"), { f: [] });
});

test("cache: keeps what is used, within plans and bytes", () => {
  const [a, b, c] = compileAll([mixed, mixed, mixed]) as [ServicePlan, ServicePlan, ServicePlan];
  const plans = new Map([
    [1, a],
    [2, b],
    [3, c],
  ]);
  const compiled: number[] = [];
  const compilePlan = (table: number) => {
    compiled.push(table);
    return plans.get(table)!;
  };
  const cache = new PlanCache(2);
  for (const table of [1, 2, 1, 3, 1, 2]) assert.equal(cache.get(table, compilePlan), plans.get(table));
  assert.deepEqual(compiled, [1, 2, 3, 2]);
  assert.equal(cache.size, 2);
  assert.equal(cache.byteSize, planBytes(a) + planBytes(b));

  const small = new PlanCache(10, planBytes(a));
  small.get(1, compilePlan);
  small.get(2, compilePlan);
  assert.equal(small.size, 1);
  small.clear();
  assert.equal(small.byteSize, 0);
});

test("members stand in the order of their names, at every depth, as bytes and as objects", () => {
  const inner = structure("inner", [value("z", u8), value("A", u8), value("m", u8)]);
  const params = [value("y", u8, { byte: 3 }), value("b", inner), value("a", endOfPduField("f", inner))];
  const plan = compile(symmetric(params), { ...SEQUENTIAL, shape: "iso" });
  const payload = "6EF00D01020304050607";
  const text = '{"a":[{"A":6,"m":7,"z":5}],"b":{"A":3,"m":4,"z":2},"y":1}';
  assert.equal(JSON.stringify(dataOf(plan, payload)), text);
  const out = new JsonBytes();
  writeResponseJson(plan, hex(payload), undefined, out);
  assert.equal(Buffer.from(out.view()).toString(), text);
});
