// One ECU with every kind of coded type, compu method, DOP and parameter, and the bytes that each value must have, worked out by hand.

import {
  coefficients,
  compu,
  constant,
  dop,
  ecu,
  leading,
  limit,
  minMax,
  name,
  param,
  paramLength,
  ref,
  scale,
  service,
  snref,
  std,
  structure,
  t,
  text,
  uint,
  value,
  x,
} from "./odx-support.ts";

export interface Case {
  readonly name: string;
  /** Children of DIAG-DATA-DICTIONARY-SPEC groups: `[wrapper, element]`. */
  readonly dictionary: readonly (readonly [wrapper: string, xml: string])[];
  readonly params: readonly string[];
  readonly data: Readonly<Record<string, unknown>>;
  /** Hex of what follows the service identifier and id. */
  readonly bytes: string;
  /** What is sent when it differs from what is shown. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** Only read: the format has nothing to write it from. */
  readonly isReadOnly?: boolean;
}

const simple = (xml: string) => ["DATA-OBJECT-PROPS", xml] as const;
const struct = (xml: string) => ["STRUCTURES", xml] as const;
const U8 = simple(dop("u8", uint(8)));
const U16 = simple(dop("u16", uint(16)));

/** One simple value at byte 3. */
function one(caseName: string, xml: string, data: unknown, bytes: string): Case {
  const id = /ID="([^"]+)"/.exec(xml)![1]!;
  return { name: caseName, dictionary: [simple(xml)], params: [value("v", id, { byte: 3 })], data: { v: data }, bytes };
}

const float = { physical: "A_FLOAT64" };
const bytes = { physical: "A_BYTEFIELD" };
const word = { physical: "A_UNICODE2STRING" };

const CODED: readonly Case[] = [
  one("uint 24 bit", dop("u24", uint(24)), 0x123456, "123456"),
  one("little endian", dop("le16", uint(16, { le: true })), 258, "0201"),
  one("int, two's complement", dop("i8", std("A_INT32", 8), { physical: "A_INT32" }), -1, "ff"),
  one("sign and magnitude", dop("sm8", std("A_INT32", 8, { encoding: "SM" }), { physical: "A_INT32" }), -2, "82"),
  one("one's complement", dop("oc8", std("A_INT32", 8, { encoding: "1C" }), { physical: "A_INT32" }), -2, "fd"),
  one("packed BCD", dop("bcdp", uint(16, { encoding: "BCD-P" })), 1234, "1234"),
  one("unpacked BCD", dop("bcdup", uint(16, { encoding: "BCD-UP" })), 12, "0102"),
  one("float 32", dop("f32", std("A_FLOAT32", 32), { physical: "A_FLOAT32" }), 1.5, "3fc00000"),
  one("float 64", dop("f64", std("A_FLOAT64", 64), float), -2, "c000000000000000"),
  one("ASCII", dop("ascii", std("A_ASCIISTRING", 32), word), "ABCD", "41424344"),
  one("UTF-8", dop("utf8", std("A_UTF8STRING", 24), word), "aé", "61c3a9"),
  one("UCS-2", dop("ucs2", std("A_UNICODE2STRING", 32), word), "AB", "00410042"),
  one("byte field", dop("field", std("A_BYTEFIELD", 16), bytes), "0x01 0xAB", "01ab"),
  one("mask", dop("masked", uint(8, { mask: "3C" })), 0x3c, "3c"),
  one("condensed mask", dop("condensed", uint(8, { mask: "3C", condensed: true })), 15, "3c"),
  one("leading length", dop("lead", leading("A_BYTEFIELD", 8), bytes), "0xAA 0xBB", "02aabb"),
  one(
    "up to the end",
    dop("eop", minMax("A_BYTEFIELD", 1, undefined, "END-OF-PDU"), bytes),
    "0x01 0x02 0x03",
    "010203",
  ),
  {
    name: "zero terminated, then a value",
    dictionary: [simple(dop("zero", minMax("A_ASCIISTRING", 0, 10, "ZERO"), word)), U8],
    params: [value("v", "zero", { byte: 3 }), value("next", "u8")],
    data: { v: "AB", next: 0x77 },
    bytes: "41420077",
  },
  {
    name: "FF terminated, then a value",
    dictionary: [simple(dop("ff", minMax("A_BYTEFIELD", 1, 10, "HEX-FF"), bytes)), U8],
    params: [value("v", "ff", { byte: 3 }), value("next", "u8")],
    data: { v: "0x05", next: 1 },
    bytes: "05ff01",
  },
  {
    name: "length key in bits",
    dictionary: [U8, simple(dop("keyed", paramLength("A_BYTEFIELD", "length.key"), bytes))],
    params: [
      param("LENGTH-KEY", "key", { byte: 3, id: "length.key" }, ref("DOP-REF", "u8")),
      value("v", "keyed", { byte: 4 }),
    ],
    data: { key: 16, v: "0xAA 0xBB" },
    bytes: "10aabb",
  },
  {
    name: "bit fields",
    dictionary: [simple(dop("u4", uint(4))), simple(dop("u12", uint(12)))],
    params: [
      value("low", "u4", { byte: 3, bit: 0 }),
      value("high", "u4", { byte: 3, bit: 4 }),
      value("wide", "u12", { byte: 4, bit: 4 }),
    ],
    data: { low: 5, high: 10, wide: 0xabc },
    bytes: "a5abc0",
  },
  {
    name: "one behind the other",
    dictionary: [U8, U16],
    params: [value("a", "u8"), value("b", "u16"), value("c", "u8")],
    data: { a: 1, b: 0x0203, c: 4 },
    bytes: "01020304",
  },
];

const LINE = [scale(coefficients([-40, 1]))];

const COMPU: readonly Case[] = [
  one("LINEAR", dop("temp", uint(8), { compu: compu("LINEAR", LINE), physical: "A_INT32" }), 25, "41"),
  one(
    "LINEAR, tenths",
    dop("tenth", uint(8), { compu: compu("LINEAR", [scale(coefficients([0, 1], [10]))]), ...float }),
    12.3,
    "7b",
  ),
  one(
    "SCALE-LINEAR",
    dop("scales", uint(8), {
      compu: compu("SCALE-LINEAR", [
        scale(limit("LOWER", 0), limit("UPPER", 100), coefficients([0, 1], [1])),
        scale(limit("LOWER", 100, "OPEN"), limit("UPPER", 200), coefficients([100, 2], [1])),
      ]),
    }),
    320,
    "6e",
  ),
  one(
    "TEXTTABLE",
    dop("onoff", uint(8), {
      compu: compu("TEXTTABLE", [text(0, 0, "off"), text(1, 1, "on"), text(2, 9, "many")]),
      ...word,
    }),
    "on",
    "01",
  ),
  one(
    "TEXTTABLE with inverse value",
    dop("inverse", uint(8), {
      compu: compu("TEXTTABLE", [
        scale(
          limit("LOWER", 0),
          limit("UPPER", 5),
          x("COMPU-INVERSE-VALUE", {}, t("V", 5)),
          x("COMPU-CONST", {}, t("VT", "few")),
        ),
      ]),
      ...word,
    }),
    "few",
    "05",
  ),
  one(
    "TAB-INTP",
    dop("points", uint(8), {
      compu: compu("TAB-INTP", [
        scale(limit("LOWER", 0), x("COMPU-CONST", {}, t("V", 0))),
        scale(limit("LOWER", 10), x("COMPU-CONST", {}, t("V", 100))),
      ]),
      ...float,
    }),
    50,
    "05",
  ),
  one(
    "RAT-FUNC",
    dop("rational", uint(8), {
      compu: compu("RAT-FUNC", [scale(coefficients([1, 2], [1]))], [scale(coefficients([-1, 1], [2]))]),
      ...float,
    }),
    11,
    "05",
  ),
  one(
    "SCALE-RAT-FUNC",
    dop("rationals", uint(8), {
      compu: compu(
        "SCALE-RAT-FUNC",
        [
          scale(limit("LOWER", 0), limit("UPPER", 9), coefficients([0, 3], [1])),
          scale(limit("LOWER", 10), limit("UPPER", 20), coefficients([0, 10], [1])),
        ],
        [
          scale(limit("LOWER", 0), limit("UPPER", 27), coefficients([0, 1], [3])),
          scale(limit("LOWER", 100), limit("UPPER", 200), coefficients([0, 1], [10])),
        ],
      ),
      ...float,
    }),
    120,
    "0c",
  ),
];

const PAIR = struct(structure("pair", [value("a", "u8", { byte: 0 }), value("b", "u8", { byte: 1 })]));
const field = (tag: string, id: string, ...content: readonly string[]) =>
  x(tag, { ID: id }, name(id), ref("BASIC-STRUCTURE-REF", "pair"), ...content);
const DTCS = x(
  "DTC-DOP",
  { ID: "dtcs" },
  name("dtcs"),
  uint(24),
  x("PHYSICAL-TYPE", { "BASE-DATA-TYPE": "A_UINT32" }),
  compu("IDENTICAL"),
  x(
    "DTCS",
    {},
    x(
      "DTC",
      { ID: "dtc.1" },
      name("Overheat"),
      t("TROUBLE-CODE", 0x1e240),
      t("DISPLAY-TROUBLE-CODE", "P1E240"),
      t("TEXT", "too hot"),
      t("LEVEL", 2),
    ),
  ),
);

const COMPLEX: readonly Case[] = [
  {
    name: "STRUCTURE with BYTE-SIZE",
    dictionary: [U8, struct(structure("padded", [value("a", "u8", { byte: 0 })], 3))],
    params: [value("s", "padded", { byte: 3 }), value("next", "u8", { byte: 6 })],
    data: { s: { a: 7 }, next: 9 },
    bytes: "07000009",
  },
  {
    name: "constant in a structure",
    dictionary: [
      U8,
      struct(structure("tagged", [constant("tag", 0x5a, uint(8), { byte: 0 }), value("a", "u8", { byte: 1 })])),
    ],
    params: [value("s", "tagged", { byte: 3 })],
    data: { s: { tag: 0x5a, a: 7 } },
    bytes: "5a07",
  },
  {
    name: "STATIC-FIELD",
    dictionary: [
      U8,
      PAIR,
      ["STATIC-FIELDS", field("STATIC-FIELD", "twice", t("FIXED-NUMBER-OF-ITEMS", 2), t("ITEM-BYTE-SIZE", 3))],
    ],
    params: [value("v", "twice", { byte: 3 })],
    data: {
      v: [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    },
    bytes: "010200030400",
  },
  {
    name: "END-OF-PDU-FIELD",
    dictionary: [
      U8,
      PAIR,
      [
        "END-OF-PDU-FIELDS",
        field("END-OF-PDU-FIELD", "rest", t("MAX-NUMBER-OF-ITEMS", 3), t("MIN-NUMBER-OF-ITEMS", 1)),
      ],
    ],
    params: [value("v", "rest", { byte: 3 })],
    data: {
      v: [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    },
    bytes: "01020304",
  },
  {
    name: "DYNAMIC-LENGTH-FIELD",
    dictionary: [
      U8,
      PAIR,
      [
        "DYNAMIC-LENGTH-FIELDS",
        field(
          "DYNAMIC-LENGTH-FIELD",
          "counted",
          t("OFFSET", 1),
          x("DETERMINE-NUMBER-OF-ITEMS", {}, t("BYTE-POSITION", 0), ref("DATA-OBJECT-PROP-REF", "u8")),
        ),
      ],
    ],
    params: [value("v", "counted", { byte: 3 })],
    data: {
      v: [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    },
    bytes: "0201020304",
  },
  {
    name: "MUX, a case",
    dictionary: [U8, PAIR, ["MUXS", mux("choice")]],
    params: [value("v", "choice", { byte: 3 })],
    data: { v: { Selector: 1, first: { a: 8, b: 9 } } },
    bytes: "010809",
  },
  {
    name: "MUX, the default case",
    dictionary: [U8, PAIR, ["MUXS", mux("other")]],
    params: [value("v", "other", { byte: 3 })],
    data: { v: { Selector: 7, otherwise: { a: 8, b: 9 } } },
    bytes: "070809",
  },
  {
    name: "DTC-DOP",
    dictionary: [["DTC-DOPS", DTCS]],
    params: [value("v", "dtcs", { byte: 3 })],
    data: { v: { code: 0x1e240, display_code: "P1E240", fault_name: "too hot", severity: 2 } },
    input: { v: 0x1e240 },
    bytes: "01e240",
  },
  {
    name: "ENV-DATA-DESC",
    dictionary: [
      U8,
      U16,
      ["DTC-DOPS", DTCS],
      ["ENV-DATAS", envData("common", [value("km", "u16", { byte: 0 })], x("ALL-VALUE"))],
      [
        "ENV-DATAS",
        envData("hot", [value("degrees", "u8", { byte: 0 })], x("DTC-VALUES", {}, t("DTC-VALUE", 0x1e240))),
      ],
      [
        "ENV-DATA-DESCS",
        x(
          "ENV-DATA-DESC",
          { ID: "env" },
          name("env"),
          snref("PARAM-SNREF", "code"),
          x("ENV-DATA-REFS", {}, ref("ENV-DATA-REF", "common"), ref("ENV-DATA-REF", "hot")),
        ),
      ],
    ],
    params: [value("code", "dtcs", { byte: 3 }), value("env", "env", { byte: 6 })],
    data: { code: { code: 0x1e240, display_code: "P1E240", fault_name: "too hot", severity: 2 }, degrees: 99 },
    bytes: "01e24063",
    isReadOnly: true,
  },
  {
    name: "TABLE-KEY and TABLE-STRUCT",
    dictionary: [U8, PAIR, ["TABLES", table("rows")]],
    params: [
      param("TABLE-KEY", "key", { byte: 3, id: "rows.key" }, ref("TABLE-REF", "rows")),
      param("TABLE-STRUCT", "details", { byte: 4 }, snref("TABLE-KEY-SNREF", "key")),
    ],
    data: { key: 2, details: { two: { a: 1, b: 2 } } },
    input: { key: "two", details: { two: { a: 1, b: 2 } } },
    bytes: "020102",
  },
  {
    name: "RESERVED, PHYS-CONST",
    dictionary: [simple(dop("celsius", uint(8), { compu: compu("LINEAR", LINE), physical: "A_INT32" })), U8],
    params: [
      param("RESERVED", "gap", { byte: 3 }, t("BIT-LENGTH", 8)),
      param("PHYS-CONST", "fixed", { byte: 4 }, t("PHYS-CONSTANT-VALUE", 20), ref("DOP-REF", "celsius")),
      value("v", "u8", { byte: 5 }),
    ],
    data: { gap: 0, fixed: 20, v: 3 },
    input: { v: 3 },
    bytes: "003c03",
  },
  {
    name: "SYSTEM",
    dictionary: [U8],
    params: [
      param("SYSTEM", "tester", { byte: 3 }, ref("DOP-REF", "u8")).replace("<PARAM ", '<PARAM SYSPARAM="TESTERID" '),
    ],
    data: { tester: 0xf1 },
    bytes: "f1",
    isReadOnly: true,
  },
];

function mux(id: string): string {
  const at = (caseName: string, ...content: readonly string[]) =>
    x(caseName === "otherwise" ? "DEFAULT-CASE" : "CASE", {}, name(caseName), ref("STRUCTURE-REF", "pair"), ...content);
  return x(
    "MUX",
    { ID: id },
    name(id),
    t("BYTE-POSITION", 1),
    x("SWITCH-KEY", {}, t("BYTE-POSITION", 0), ref("DATA-OBJECT-PROP-REF", "u8")),
    at("otherwise"),
    x("CASES", {}, at("first", limit("LOWER", 1), limit("UPPER", 3))),
  );
}

function envData(id: string, params: readonly string[], which: string): string {
  return x("ENV-DATA", { ID: id }, name(id), x("PARAMS", {}, ...params), which);
}

function table(id: string): string {
  const row = (rowName: string, key: number) =>
    x("TABLE-ROW", { ID: `${id}.${rowName}` }, name(rowName), t("KEY", key), ref("STRUCTURE-REF", "pair"));
  return x("TABLE", { ID: id }, name(id), ref("KEY-DOP-REF", "u8"), row("one", 1), row("two", 2));
}

export const CASES: readonly Case[] = [...CODED, ...COMPU, ...COMPLEX];

export const serviceName = (index: number) => `Case_${index}`;
export const serviceId = (index: number) => 0xa000 + index;

/** The whole ECU: one service per case. */
export function everything(): string {
  const groups = new Map<string, Set<string>>();
  for (const { dictionary } of CASES)
    for (const [wrapper, xml] of dictionary) groups.set(wrapper, (groups.get(wrapper) ?? new Set()).add(xml));
  const order = [
    "DTC-DOPS",
    "ENV-DATA-DESCS",
    "DATA-OBJECT-PROPS",
    "STRUCTURES",
    "STATIC-FIELDS",
    "DYNAMIC-LENGTH-FIELDS",
    "END-OF-PDU-FIELDS",
    "MUXS",
    "ENV-DATAS",
    "TABLES",
  ];
  return ecu({
    dictionary: order.map((wrapper) => x(wrapper, {}, ...(groups.get(wrapper) ?? []))),
    services: CASES.map((one, i) => service(serviceName(i), serviceId(i), one.params)),
  });
}
