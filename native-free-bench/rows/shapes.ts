/** Services of our own, one for each coded type, computation and complex type: what a value looks like and the response that holds it. */
import type { Param } from "#mdd/generated/description.ts";
import {
  ascii,
  byteField,
  codedConst,
  compuMethod,
  compuScale,
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
  plainDop,
  reserved,
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

export interface Shape {
  readonly params: readonly Param[];
  /** Data of the response behind service and identifier, hexadecimal. */
  readonly data: string;
}

/** First byte behind service and identifier. */
const FIRST = { byte: 3 } as const;
const one = (name: string, dop: Parameters<typeof value>[1], data: string): Shape => ({
  params: [value(name, dop, FIRST)],
  data,
});
const coded = (name: string, type: Parameters<typeof standardLength>[0], dop: ReturnType<typeof standardLength>) =>
  normalDop(name, { coded: dop, physical: physicalType(type) });
const float64 = physicalType("A_FLOAT_64");
const text = physicalType("A_UNICODE_2_STRING");
const onOff = textDop("OnOff", 8, textTable({ 0: "Off", 1: "On" }));
const record = structure("Record", [value("Id", unsigned("Id", 24), { byte: 0 }), value("State", onOff, { byte: 3 })]);
const count = { byte: 0, dop: unsigned("Count", 8) };
const key = lengthKey("Length", unsigned("Bits", 8), FIRST);
const rows = tableDop("Rows", unsigned("Key", 8), [
  tableRow("First", "1", { structure: record }),
  tableRow("Second", "2", { structure: record }),
]);
const rowKey = tableKey("Row", rows, FIRST);

const scaled = compuMethod("SCALE_LINEAR", {
  scales: [0, 100, 200].map((lower) =>
    compuScale({ lower: limit(lower), upper: limit(lower + 99), numerator: [lower, 2] }),
  ),
});
const interpolated = compuMethod("TAB_INTP", {
  scales: [0, 100, 255].map((lower) => compuScale({ lower: limit(lower), constant: { v: 2 * lower } })),
});
const rational = compuMethod(
  "RAT_FUNC",
  { scales: [compuScale({ numerator: [0, 10], denominator: [1] })] },
  { scales: [compuScale({ numerator: [0, 1], denominator: [10] })] },
);
const codes = Array.from({ length: 64 }, (_, i) => dtc(`DTC${i}`, { code: 0x01_0000 + i, text: `Fault ${i}` }));

export const SHAPES: Readonly<Record<string, Shape>> = {
  "a VIN": one("VIN", ascii("VIN", 17), "5343454454323654384244303035323631"),
  "an unsigned number": one("Number", unsigned("U32", 32), "01020304"),
  "a signed number of 12 bits": one("Number", signed("S12", 12), "fff0"),
  "a little-endian number": one(
    "Number",
    coded("LE", "A_UINT_32", standardLength("A_UINT_32", 32, { littleEndian: true })),
    "01020304",
  ),
  "a BCD number": one(
    "Number",
    coded("BCD", "A_UINT_32", standardLength("A_UINT_32", 32, { encoding: "BCD-P" })),
    "12345678",
  ),
  "a float": one("Number", plainDop("F32", "A_FLOAT_32", 32), "3fc00000"),
  "a double": one("Number", plainDop("F64", "A_FLOAT_64", 64), "3ff8000000000000"),
  "a byte field": one("Bytes", byteField("Bytes", 16), "000102030405060708090a0b0c0d0e0f"),
  "a UTF-16 text": one("Text", plainDop("U16", "A_UNICODE_2_STRING", 128), "00480065006c006c006f00200077006f"),
  "a text with leading length": one(
    "Text",
    coded("Leading", "A_ASCIISTRING", leadingLength("A_ASCIISTRING", 8)),
    "0548656c6c6f",
  ),
  "a text up to its end": one(
    "Text",
    coded("MinMax", "A_ASCIISTRING", minMaxLength("A_ASCIISTRING", { minBytes: 1, maxBytes: 20, termination: "ZERO" })),
    "48656c6c6f00",
  ),
  "bytes with a length key": {
    params: [key, value("Bytes", coded("Keyed", "A_BYTEFIELD", paramLength("A_BYTEFIELD", key)), { byte: 4 })],
    data: "0401020304",
  },
  "a linear value": one("Volts", unsigned("Volts", 16, { compu: linear(0, 0.1), physical: float64 }), "0078"),
  "a value of linear scales": one("Scaled", unsigned("Scaled", 16, { compu: scaled, physical: float64 }), "0078"),
  "an interpolated value": one("Curve", unsigned("Curve", 8, { compu: interpolated, physical: float64 }), "78"),
  "a rational function": one("Ratio", unsigned("Ratio", 16, { compu: rational, physical: float64 }), "0078"),
  "a text table": one("State", onOff, "01"),
  "constants and reserved bits": {
    params: [
      codedConst("Mark", 0x5a, 8, FIRST),
      reserved("Spare", 8, { byte: 4 }),
      physConst("On", "On", onOff, { byte: 5 }),
      value("Number", unsigned("U8", 8), { byte: 6 }),
    ],
    data: "5a000107",
  },
  "24 signals": {
    params: [
      ...Array.from({ length: 16 }, (_, i) =>
        value(`Flag${i}`, unsigned("Bit", 1), { byte: 3 + (i >> 3), bit: i & 7 }),
      ),
      ...Array.from({ length: 8 }, (_, i) =>
        value(`Volts${i}`, unsigned("Volts", 16, { compu: linear(0, 0.1), physical: float64 }), { byte: 5 + 2 * i }),
      ),
    ],
    data: "a5a500100020003000400050006000700080",
  },
  "100 records to the end": one("Records", endOfPduField("List", record), "01020301".repeat(100)),
  "4 records": one("Records", staticField("List", record, 4, 4), "01020301".repeat(4)),
  "a counted list": one("Records", dynamicLengthField("List", record, 1, count), `04${"01020301".repeat(4)}`),
  "a multiplexer": one(
    "Choice",
    mux("Choice", {
      byte: 1,
      switchKey: count,
      cases: [muxCase("A", limit(0), limit(0), record), muxCase("B", limit(1), limit(9), record)],
    }),
    "0101020301",
  ),
  "a row of a table": { params: [rowKey, tableStruct("Content", rowKey, { byte: 4 })], data: "0201020301" },
  "a trouble code": one("Code", dtcDop("Codes", codes, standardLength("A_UINT_32", 24), text), "010007"),
};
