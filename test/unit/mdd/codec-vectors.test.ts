// Golden vectors of our own: one DOP each, physical value ↔ bytes behind the identifier. Sources: ISO 22901-1 clauses, worked out by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import type { DOP, Param } from "#mdd/generated/description.ts";
import {
  ascii,
  byteField,
  codedConst,
  compuMethod,
  compuScale,
  constraint,
  dtc,
  dtcDop,
  dynamicLengthField,
  endOfPduField,
  leadingLength,
  lengthKey,
  limit,
  linear,
  minMaxLength,
  mux,
  muxCase,
  normalDop,
  paramLength,
  physConst,
  physicalType,
  reserved,
  scaleConstraint,
  signed,
  standardLength,
  staticField,
  structure,
  tableDop,
  tableKey,
  tableRow,
  tableStruct,
  textDop,
  textTable,
  unsigned,
  value,
} from "#mdd/writer/dsl.ts";
import { compile, symmetric } from "./codec-support.ts";

interface Vector {
  readonly name: string;
  readonly params: readonly Param[];
  /** `hex` decodes to `data`, `data` encodes to `hex`; both behind `2E F00D`. */
  readonly both?: readonly (readonly [hex: string, data: Record<string, unknown>])[];
  readonly decodes?: readonly (readonly [hex: string, data: Record<string, unknown>])[];
  readonly encodes?: readonly (readonly [data: Record<string, unknown>, hex: string])[];
  /** Refused, with a part of the message. */
  readonly refuses?: readonly (readonly [data: Record<string, unknown>, text: RegExp])[];
  /** Bytes without a meaning, with a part of the message. */
  readonly fails?: readonly (readonly [hex: string, text: RegExp])[];
}

const one = (dop: DOP, bit?: number): readonly Param[] => [value("v", dop, { byte: 3, bit })];
const u8 = unsigned("u8", 8);
const onOff = textDop("onOff", 8, textTable({ 0: "Off", 1: "On" }));
const pair = structure("pair", [value("a", u8, { byte: 0 }), value("b", unsigned("u16", 16), { byte: 1 })]);
const double = physicalType("A_FLOAT_64");
const rows = tableDop("Rows", u8, [
  tableRow("Pair", "1", { structure: pair }),
  tableRow("Number", "2", { dop: u8 }),
  tableRow("Nothing", "3"),
]);
const rowKey = tableKey("key", rows, { byte: 3 });
const lengthOf = lengthKey("len", u8, { byte: 3 });

const VECTORS: readonly Vector[] = [
  {
    name: "UINT32 of 12 bits (§7.3.6.2.2)",
    params: one(unsigned("u12", 12)),
    both: [["0ABC", { v: 0xabc }]],
    decodes: [["FABC", { v: 0xabc }]],
    refuses: [
      [{ v: 4096 }, /exceeds maximum 4095 for bit length 12/],
      [{ v: -1 }, /Invalid value for UInt32: -1/],
      [{ v: 1.5 }, /Invalid value for UInt32: 1.5/],
      [{ v: true }, /Non-numeric JSON value true/],
      [{}, /Required parameter 'v' missing/],
    ],
    encodes: [
      [{ v: "0xabc" }, "0ABC"],
      [{ v: "0b101" }, "0005"],
      [{ v: "0o17" }, "000F"],
      [{ v: "12" }, "000C"],
    ],
    fails: [["0A", /expected at least 5 bytes, got 4 bytes/]],
  },
  {
    name: "INT32 of 8 bits, two's complement",
    params: one(signed("i8", 8)),
    both: [
      ["FF", { v: -1 }],
      ["80", { v: -128 }],
    ],
    refuses: [[{ v: -129 }, /below minimum -128/]],
  },
  {
    name: "64 bits: numbers up to 2^53, bigint beyond",
    params: one(unsigned("u64", 64)),
    both: [
      ["0000000100000000", { v: 2 ** 32 }],
      ["FFFFFFFFFFFFFFFF", { v: 2n ** 64n - 1n }],
    ],
    encodes: [[{ v: "18446744073709551615" }, "FFFFFFFFFFFFFFFF"]],
    refuses: [[{ v: 2n ** 64n }, /exceeds maximum/]],
  },
  {
    name: "little endian at bit 5",
    params: one(plain("A_UINT_32", 20, { littleEndian: true }), 5),
    both: [["C09B5701", { v: 0xabcde }]],
  },
  {
    name: "one's complement and sign-magnitude",
    params: [
      value("one", plain("A_INT_32", 8, { encoding: "1C" }), { byte: 3 }),
      value("sm", plain("A_INT_32", 8, { encoding: "SM" }), { byte: 4 }),
    ],
    both: [["FD82", { one: -2, sm: -2 }]],
    decodes: [["FF80", { one: 0, sm: 0 }]],
    refuses: [[{ one: -128, sm: 0 }, /below minimum -127/]],
  },
  {
    name: "BCD, packed and unpacked",
    params: [
      value("p", plain("A_UINT_32", 16, { encoding: "BCD-P" }), { byte: 3 }),
      value("u", plain("A_UINT_32", 16, { encoding: "BCD-UP" }), { byte: 5 }),
    ],
    both: [["12340102", { p: 1234, u: 12 }]],
    refuses: [[{ p: 10000, u: 0 }, /exceeds maximum 9999/]],
    fails: [["12A40102", /not a BCD digit/]],
  },
  {
    name: "masks share a byte; a condensed one packs",
    params: [
      value("plain", plain("A_UINT_32", 8, { mask: [0xaa] }), { byte: 3 }),
      value("packed", plain("A_UINT_32", 8, { mask: [0x55], condensed: true }), { byte: 3 }),
    ],
    both: [["A5", { plain: 0xa0, packed: 0b11 }]],
    refuses: [[{ plain: 0, packed: 16 }, /exceeds maximum 15 for bit length 4/]],
  },
  {
    name: "floats: shortest single, double, no NaN in",
    params: [
      value("s", plain("A_FLOAT_32", 32), { byte: 3 }),
      value("d", plain("A_FLOAT_64", 64, { littleEndian: true }), { byte: 7 }),
    ],
    both: [["3DCCCCCD000000000000F8BF", { s: 0.1, d: -1.5 }]],
    decodes: [["7FC00000000000000000F07F", { s: null, d: null }]],
    refuses: [
      [{ s: "NaN", d: 0 }, /Invalid value for Float/],
      [{ s: 1e39, d: 0 }, /out of range/],
    ],
  },
  {
    name: "texts and byte fields of fixed length",
    params: [value("t", ascii("t", 3), { byte: 3 }), value("b", byteField("b", 2), { byte: 6 })],
    both: [["414200BEEF", { t: "AB\u0000", b: "0xBE 0xEF" }]],
    encodes: [[{ t: "A", b: "a3f" }, "410000A30F"]],
    refuses: [
      [{ t: "ABCD", b: "" }, /too long/],
      [{ t: 5, b: "" }, /Invalid value for AsciiString/],
      [{ t: "", b: "xy" }, /Non-hex character/],
      [{ t: "日", b: "" }, /encoding does not know/],
    ],
  },
  {
    name: "leading length, its own byte order, empty values",
    params: [
      value(
        "t",
        normalDop("t", {
          coded: leadingLength("A_ASCIISTRING", 16, { littleEndian: true }),
          physical: physicalType("A_ASCIISTRING"),
        }),
        { byte: 3 },
      ),
      value("n", u8),
    ],
    both: [
      ["0200486907", { t: "Hi", n: 7 }],
      ["000007", { t: "", n: 7 }],
    ],
    fails: [["05004869", /expected at least 10 bytes/]],
  },
  {
    name: "min-max: the terminator is consumed, and left out at full length",
    params: [
      value(
        "t",
        normalDop("t", {
          coded: minMaxLength("A_ASCIISTRING", { minBytes: 1, maxBytes: 3, termination: "ZERO" }),
          physical: physicalType("A_ASCIISTRING"),
        }),
        { byte: 3 },
      ),
      value("n", u8),
    ],
    both: [
      ["41420007", { t: "AB", n: 7 }],
      ["41424307", { t: "ABC", n: 7 }],
    ],
    refuses: [
      [{ t: "", n: 1 }, /shorter than 1 bytes/],
      [{ t: "ABCD", n: 1 }, /longer than 3 bytes/],
      [{ t: "A\u0000", n: 1 }, /holds the byte that ends it/],
    ],
  },
  {
    name: "length key: given, derived, contradicted",
    params: [
      lengthOf,
      value(
        "b",
        normalDop("b", { coded: paramLength("A_BYTEFIELD", lengthOf), physical: physicalType("A_BYTEFIELD") }),
        { byte: 4 },
      ),
    ],
    both: [["02BEEF", { len: 2, b: "0xBE 0xEF" }]],
    encodes: [[{ b: "BEEF" }, "02BEEF"]],
    refuses: [
      [{ len: 3, b: "BEEF" }, /LengthKey parameter 'len' contradicts/],
      [{ len: 2 }, /Required parameter 'b' missing/],
    ],
  },
  {
    name: "LINEAR shows the physical type and checks the coded range (§7.3.6.6.2)",
    params: one(unsigned("c", 8, { compu: linear(-40, 0.5), physical: double })),
    both: [["41", { v: -7.5 }]],
    encodes: [[{ v: "-7.5" }, "41"]],
    refuses: [[{ v: 100 }, /exceeds maximum 255/]],
  },
  {
    name: "limits of a scale hold for the internal value; outside them decoding gives the raw one",
    params: one(
      unsigned("c", 8, {
        compu: compuMethod("LINEAR", {
          scales: [compuScale({ lower: limit(10), upper: limit(100), numerator: [0, 2] })],
        }),
      }),
    ),
    both: [["14", { v: 40 }]],
    encodes: [[{ v: 201 }, "64"]],
    decodes: [["05", { v: 5 }]],
    refuses: [
      [{ v: 2 }, /Value 2 is out of range/],
      [{ v: 202 }, /Value 202 is out of range/],
    ],
  },
  {
    name: "a step is not lost to binary rounding, other values are cut",
    params: one(unsigned("c", 16, { compu: linear(0, 0.1), physical: double })),
    encodes: [
      [{ v: 0.7 }, "0007"],
      [{ v: 12.34 }, "007B"],
    ],
  },
  {
    name: "SCALE-LINEAR takes the first scale, in both directions",
    params: one(
      unsigned("c", 8, {
        compu: compuMethod("SCALE_LINEAR", {
          scales: [
            compuScale({ lower: limit(0), upper: limit(100), numerator: [0, 1] }),
            compuScale({ lower: limit(100, "OPEN"), upper: limit(200), numerator: [300, -1] }),
          ],
        }),
        physical: physicalType("A_INT_32"),
      }),
    ),
    both: [
      ["32", { v: 50 }],
      ["65", { v: 199 }],
    ],
    refuses: [[{ v: 250 }, /Failed to find matching scale/]],
  },
  {
    name: "TEXTTABLE: default, inverse value, point without upper limit",
    params: one(
      textDop(
        "t",
        8,
        compuMethod(
          "TEXT_TABLE",
          {
            scales: [
              compuScale({ lower: limit(1), constant: { vt: "One" } }),
              compuScale({ lower: limit(2), upper: limit(9), constant: { vt: "Some" }, inverse: { v: 5 } }),
            ],
            default: { vt: "Else" },
          },
          { default: { v: 255 } },
        ),
      ),
    ),
    both: [
      ["01", { v: "One" }],
      ["05", { v: "Some" }],
      ["FF", { v: "Else" }],
    ],
    decodes: [["0A", { v: "Else" }]],
    refuses: [
      [{ v: "one" }, /Failed to find matching TextTable value/],
      [{ v: 1 }, /Failed to convert value to string/],
    ],
  },
  {
    name: "RAT-FUNC needs its inverse; TAB-INTP interpolates",
    params: [
      value(
        "r",
        unsigned("r", 8, {
          compu: compuMethod("RAT_FUNC", { scales: [compuScale({ numerator: [1, 0, 1], denominator: [2] })] }),
          physical: double,
        }),
        { byte: 3 },
      ),
      value(
        "t",
        unsigned("t", 8, {
          compu: compuMethod("TAB_INTP", {
            scales: [
              compuScale({ lower: limit(0), constant: { v: 0 } }),
              compuScale({ lower: limit(10), constant: { v: 20 } }),
            ],
          }),
          physical: double,
        }),
        { byte: 4 },
      ),
    ],
    decodes: [["0405", { r: 8.5, t: 10 }]],
    refuses: [[{ r: 8.5, t: 10 }, /no COMPU-PHYS-TO-INTERNAL/]],
    fails: [["040B", /outside the table/]],
  },
  {
    name: "constraints refuse when encoding",
    params: one(
      unsigned("c", 8, {
        internalConstraint: constraint({
          lower: limit(0),
          upper: limit(250),
          scales: [scaleConstraint("NOT_VALID", limit(200), limit(209), "reserved")],
        }),
        physicalConstraint: constraint({ lower: limit(10, "OPEN") }),
      }),
    ),
    both: [["0B", { v: 11 }]],
    refuses: [
      [{ v: 10 }, /outside its limits/],
      [{ v: 205 }, /reserved/],
      [{ v: 251 }, /outside its limits/],
    ],
    decodes: [["CD", { v: 205 }]],
  },
  {
    name: "constants: written always, checked always, not to be overridden",
    params: [
      codedConst("c", 171, 8, { byte: 3 }),
      physConst("p", "On", onOff, { byte: 4 }),
      reserved("r", 4, { byte: 5, bit: 4 }),
      value("v", unsigned("u4", 4), { byte: 5 }),
    ],
    both: [["AB0105", { c: 171, p: "On", r: 0, v: 5 }]],
    encodes: [[{ v: 5 }, "AB0105"]],
    refuses: [[{ p: "Off", v: 5 }, /'p' is a constant/]],
    fails: [
      ["AC0105", /c: Expected \[171\], got \[172\]/],
      ["AB0005", /p: Expected \[1\], got \[0\]/],
    ],
  },
  {
    name: "defaults fill in simple values",
    params: [value("n", u8, { byte: 3, default: "17" }), value("t", onOff, { byte: 4, default: "On" })],
    encodes: [[{}, "1101"]],
  },
  {
    name: "structure, static and end-of-PDU field",
    params: [
      value("s", structure("s", [value("x", u8, { byte: 0 })], 2), { byte: 3 }),
      value("f", staticField("f", pair, 1, 4), { byte: 5 }),
      value("e", endOfPduField("e", pair, 1, 2), { byte: 9 }),
    ],
    both: [
      [
        "0900 01000200 010002 030004",
        {
          s: { x: 9 },
          f: [{ a: 1, b: 2 }],
          e: [
            { a: 1, b: 2 },
            { a: 3, b: 4 },
          ],
        },
      ],
    ],
    decodes: [["0900 01000200 0100", { s: { x: 9 }, f: [{ a: 1, b: 2 }], e: [] }]],
    refuses: [
      [{ s: { x: 9 }, f: [], e: [] }, /StaticField expected different amount/],
      [{ s: { x: 9 }, f: [{ a: 1, b: 2 }], e: [] }, /EndOfPdu expected different amount/],
      [{ s: 5 }, /object type, but it was: Number\(5\)/],
      [{ s: { x: 9 }, f: { a: 1 } }, /Expected array value/],
    ],
  },
  {
    name: "dynamic-length field",
    params: one(dynamicLengthField("f", pair, 1, { byte: 0, bit: 4, dop: unsigned("u4", 4) })),
    both: [
      [
        "20 010002 030004",
        {
          v: [
            { a: 1, b: 2 },
            { a: 3, b: 4 },
          ],
        },
      ],
      ["00", { v: [] }],
    ],
    decodes: [["30 010002 03", { v: [{ a: 1, b: 2 }] }]],
    refuses: [[{ v: Array(16).fill({ a: 1, b: 2 }) }, /exceeds maximum 15/]],
  },
  {
    name: "multiplexer: case by physical value, default, short case",
    params: one(
      mux("m", {
        byte: 1,
        switchKey: { byte: 0, dop: onOff },
        cases: [muxCase("WhenOn", limit("On"), limit("On"), pair)],
        defaultCase: { name: "Other" },
      }),
    ),
    both: [
      ["01 010002", { v: { Selector: "On", WhenOn: { a: 1, b: 2 } } }],
      ["00", { v: { Selector: "Off" } }],
    ],
    decodes: [
      ["01 01", { v: { Selector: "On", WhenOn: {} } }],
      ["07", { v: { Selector: 7 } }],
    ],
    refuses: [[{ v: { Selector: "On" } }, /Mux case WhenOn value not found/]],
  },
  {
    name: "table: row by name or key, structure, simple DOP, nothing",
    params: [rowKey, tableStruct("row", rowKey, { byte: 4 })],
    both: [
      ["01 010002", { key: 1, row: { Pair: { a: 1, b: 2 } } }],
      ["02 07", { key: 2, row: { Number: 7 } }],
      ["03", { key: 3, row: {} }],
    ],
    encodes: [[{ key: "Pair", row: { Pair: { a: 1, b: 2 } } }, "01010002"]],
    refuses: [
      [{ key: "pair" }, /does not match any row. Available: \["Pair", "Number", "Nothing"\]/],
      [{ key: 3, row: { x: 1 } }, /has no structure/],
      [{ key: 2 }, /Required parameter 'Number' missing/],
      [{}, /Required TABLE-KEY parameter 'key' missing/],
    ],
    fails: [["04", /TABLE-KEY value '4' does not match any table row/]],
  },
  {
    name: "trouble codes: known, unknown, sent as a number",
    params: one(
      dtcDop(
        "d",
        [dtc("D", { code: 0x010011, text: "Air", displayCode: "P010011", level: 2 })],
        standardLength("A_UINT_32", 24),
        physicalType("A_UINT_32"),
      ),
    ),
    both: [
      ["010011", { v: { code: 0x010011, fault_name: "Air", severity: 2, display_code: "P010011" } }],
      ["000001", { v: { code: 1 } }],
    ],
    encodes: [[{ v: 65553 }, "010011"]],
    refuses: [[{ v: "P010011" }, /trouble code must be given as a number/]],
  },
];

function plain(
  type: "A_UINT_32" | "A_INT_32" | "A_FLOAT_32" | "A_FLOAT_64",
  bits: number,
  options: Parameters<typeof standardLength>[2] = {},
): DOP {
  return normalDop("p", { coded: standardLength(type, bits, options), physical: physicalType(type) });
}

function decodeHex(plan: ServicePlan, hex: string) {
  return decodeResponse(plan, fromHex(`6E F00D ${hex}`)!, fromHex("2E F00D"));
}

for (const { name, params, both = [], decodes = [], encodes = [], refuses = [], fails = [] } of VECTORS)
  test(`codec: ${name}`, () => {
    const plan = compile(symmetric(params), { shape: "iso", positions: "sequential" });
    for (const [hex, data] of [...both, ...decodes]) {
      const decoded = decodeHex(plan, hex);
      assert.equal(decoded.failure, undefined, hex);
      assert.deepEqual(decoded.data, data, hex);
    }
    for (const [data, hex] of [...encodes, ...both.map(([h, d]) => [d, h] as const)])
      assert.equal(toHex(encodeRequest(plan, data)), `2EF00D${hex.replaceAll(" ", "")}`);
    for (const [data, text] of refuses)
      assert.throws(
        () => encodeRequest(plan, data),
        (e) => e instanceof Fault && text.test(e.message) && "kind" in (e.details ?? {}),
      );
    for (const [hex, text] of fails) {
      const { failure, errors } = decodeHex(plan, hex);
      assert.match(failure?.message ?? errors[0]?.error ?? "decoded", text, hex);
    }
  });
