// Input that is damaged, hostile or incomplete: a typed fault with file and line, never a crash.

import assert from "node:assert/strict";
import test from "node:test";
import { strToU8, zipSync } from "fflate";
import { Fault } from "#core/errors.ts";
import { encodeRequest } from "#mdd/codec/codec.ts";
import { convertOdx } from "#mdd/odx/convert.ts";
import { DEFAULT_ODX_LIMITS, type OdxLimits } from "#mdd/odx/limits.ts";
import { leadsOutside, readZip } from "#mdd/odx/zip.ts";
import fc from "../../fixtures/properties.ts";
import {
  container,
  convert,
  dop,
  ecu,
  layer,
  name,
  odx,
  param,
  parent,
  parents,
  plansOf,
  ref,
  refusal,
  service,
  snref,
  source,
  structure,
  t,
  uint,
  value,
  x,
} from "./odx-support.ts";

const GOOD = ecu({ services: [service("S", 1, [])] });
const U8 = x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8)));

interface Bad {
  readonly name: string;
  readonly documents: string | Readonly<Record<string, string>>;
  readonly message: RegExp;
  readonly limits?: Partial<OdxLimits>;
}

const BROKEN: readonly Bad[] = [
  {
    name: "a tag that is not closed",
    documents: "<ODX>\n<A>\n</ODX>",
    message: /^test\.odx-d:3: XML: unexpected close tag/,
  },
  { name: "a file that ends early", documents: GOOD.slice(0, -20), message: /^test\.odx-d:\d+: XML: unclosed tag/ },
  { name: "no XML", documents: "MDD version 0", message: /^test\.odx-d:1: XML: / },
  { name: "an empty file", documents: "", message: /^test\.odx-d:1: XML: / },
  { name: "another root element", documents: "<CATALOG/>", message: /^test\.odx-d:1: root element is CATALOG/ },
  {
    name: "a document type, and with it entities",
    documents: '<?xml version="1.0"?>\n<!DOCTYPE ODX [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n<ODX>&b;</ODX>',
    message: /^test\.odx-d:2: a DOCTYPE is refused/,
  },
  {
    name: "an entity that nobody declared",
    documents: "<ODX>\n&boom;</ODX>",
    message: /^test\.odx-d:2: XML: undefined entity/,
  },
  {
    name: "deep nesting",
    documents: `<ODX>${"<A>".repeat(500)}`,
    message: /^test\.odx-d:1: elements nested deeper than 128/,
  },
  {
    name: "deep nesting where nothing is kept",
    documents: `<ODX><FLASH>${"<A>".repeat(500)}`,
    message: /^test\.odx-d:1: elements nested deeper than 128/,
  },
  {
    name: "endless text",
    documents: `<ODX><DIAG-LAYER-CONTAINER><SHORT-NAME>${"a".repeat(200_000)}</SHORT-NAME>`,
    message: /^test\.odx-d:1: text/,
    limits: { maxTextBytes: 1000 },
  },
  {
    name: "an endless attribute",
    documents: `<ODX><DIAG-LAYER-CONTAINER ID="${"a".repeat(400_000)}`,
    message: /^test\.odx-d:1: text or tag longer/,
    limits: { maxTextBytes: 1000 },
  },
  {
    name: "too many elements",
    documents: GOOD,
    message: /^test\.odx-d:\d+: more than 20 elements/,
    limits: { maxElements: 20 },
  },
  {
    name: "a file that is too large",
    documents: GOOD,
    message: /^test\.odx-d:0: more than 100 bytes/,
    limits: { maxFileBytes: 100 },
  },
  {
    name: "two categories in one file",
    documents: "<ODX><DIAG-LAYER-CONTAINER/>\n<COMPARAM-SPEC/></ODX>",
    message: /^test\.odx-d:2: a second category/,
  },
  {
    name: "an encoding that nobody knows",
    documents: '<?xml version="1.0" encoding="EBCDIC-X"?><ODX/>',
    message: /^test\.odx-d:1: unknown encoding/,
  },
  { name: "no layers", documents: container("DLC"), message: /neither a base variant nor a functional group/ },
];

const structures = (...list: readonly string[]) => [U8, x("STRUCTURES", {}, ...list)];
const using = (dictionary: readonly string[], dopId: string) =>
  ecu({ dictionary, services: [service("S", 1, [value("v", dopId)])] });

const WRONG: readonly Bad[] = [
  {
    name: "a link that leads nowhere",
    documents: using([U8], "u9"),
    message: /^test\.odx-d:\d+: DOP-REF: nothing has ID u9/,
  },
  {
    name: "a link into a document that is missing",
    documents: ecu({
      services: [service("S", 1, [param("VALUE", "v", {}, ref("DOP-REF", "u8", { doc: "GONE", type: "LAYER" }))])],
    }),
    message: /DOP-REF: nothing has ID u8 in GONE/,
  },
  {
    name: "a link that leads to something else",
    documents: using([U8], "S.RQ"),
    message: /DOP-REF leads to REQUEST RQ_S, not to DATA-OBJECT-PROP/,
  },
  {
    name: "a short name that nothing has",
    documents: ecu({ services: [service("S", 1, [param("VALUE", "v", {}, snref("DOP-SNREF", "gone"))])] }),
    message: /DOP-SNREF: nothing here is named gone/,
  },
  {
    name: "layers that are each other's parents",
    documents: container(
      "DLC",
      x("BASE-VARIANTS", {}, layer("BASE-VARIANT", "A", { more: parents(parent("B", "FUNCTIONAL-GROUP")) })),
      x("FUNCTIONAL-GROUPS", {}, layer("FUNCTIONAL-GROUP", "B", { more: parents(parent("A", "BASE-VARIANT")) })),
    ),
    message: /^test\.odx-d:\d+: BASE-VARIANT A needs itself/,
  },
  {
    name: "a structure that contains itself",
    documents: using(structures(structure("s", [value("again", "s")])), "s"),
    message: /STRUCTURE s needs itself/,
  },
  {
    name: "structures nested without end in sight",
    documents: using(
      structures(
        ...Array.from({ length: 300 }, (_, i) => structure(`s${i}`, [value("v", i === 299 ? "u8" : `s${i + 1}`)])),
      ),
      "s0",
    ),
    message: /is nested deeper than 100/,
  },
  {
    name: "a number that is none",
    documents: using([x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8).replace(">8<", ">eight<")))], "u8"),
    message: /BIT-LENGTH: 'eight' is no integer/,
  },
  {
    name: "a number out of range",
    documents: using([x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8).replace(">8<", ">-8<")))], "u8"),
    message: /BIT-LENGTH: -8 is not within/,
  },
  {
    name: "an unknown word",
    documents: using([x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8), { physical: "A_UINT64" }))], "u8"),
    message: /PHYSICAL-TYPE: 'A_UINT64' is none of A_INT32/,
  },
  {
    name: "an unknown kind of parameter",
    documents: ecu({ services: [service("S", 1, [param("VALUES", "v")])] }),
    message: /PARAM of unknown xsi:type 'VALUES'/,
  },
  {
    name: "a kind of parameter that objects have by nature",
    documents: ecu({ services: [service("S", 1, [param("constructor", "v")])] }),
    message: /PARAM of unknown xsi:type 'constructor'/,
  },
  {
    name: "a missing SHORT-NAME",
    documents: using([U8.replace(name("u8"), "")], "u8"),
    message: /DATA-OBJECT-PROP has no SHORT-NAME/,
  },
  {
    name: "a protocol that is missing",
    documents: ecu({ services: [service("S", 1, [], [], x("PROTOCOL-SNREFS", {}, snref("PROTOCOL-SNREF", "P")))] }),
    message: /no protocol is named P/,
  },
];

for (const { name: what, documents, message, limits } of [...BROKEN, ...WRONG])
  test(`refused: ${what}`, () => {
    const fault = refusal(documents, limits === undefined ? {} : { limits });
    assert.equal(fault.kind, "invalidData");
    assert.match(fault.message, message);
  });

test("layers that inherit one from the other without end in sight are refused", () => {
  const groups = Array.from({ length: 20_000 }, (_, i) =>
    layer("FUNCTIONAL-GROUP", `G${i}`, { more: i === 19_999 ? "" : parents(parent(`G${i + 1}`, "FUNCTIONAL-GROUP")) }),
  );
  const base = layer("BASE-VARIANT", "ECU", {
    services: [service("S", 1, [])],
    more: parents(parent("G0", "FUNCTIONAL-GROUP")),
  });
  const document = container("DLC", x("BASE-VARIANTS", {}, base), x("FUNCTIONAL-GROUPS", {}, ...groups));
  assert.match(refusal(document).message, /FUNCTIONAL-GROUP G100 is inherited over more than 100 layers/);
});

test("links of trouble codes that fork and join stay small", () => {
  const compuMethod = x("COMPU-METHOD", {}, t("CATEGORY", "IDENTICAL"));
  const link = (i: number) => x("LINKED-DTC-DOP", {}, ref("DTC-DOP-REF", `d${i}`));
  const dtc = x("DTC", { ID: "dtc" }, name("A"), t("TROUBLE-CODE", 1));
  const dops = Array.from({ length: 60 }, (_, i) =>
    x(
      "DTC-DOP",
      { ID: `d${i}` },
      name(`d${i}`),
      uint(24),
      x("PHYSICAL-TYPE", { "BASE-DATA-TYPE": "A_UINT32" }),
      compuMethod,
      i === 59 ? x("DTCS", {}, dtc) : x("LINKED-DTC-DOPS", {}, link(i + 1), link(i + 1)),
    ),
  );
  const { databases } = convert(using([x("DTC-DOPS", {}, ...dops)], "d0"));
  const param = databases[0]!.description.variants![0]!.diag_layer!.diag_services![0]!.request!.params![2]!;
  const found = param.specific_data_type === "Value" ? param.specific_data.dop : undefined;
  assert.equal(found?.specific_data_type === "DTCDOP" && found.specific_data.dtcs?.length, 1);
});

test("every error is reported with its place, not only the first", () => {
  const fault = refusal(ecu({ services: [service("S", 1, [value("a", "x1"), value("b", "x2")])] }));
  const entries = fault.details!.report as { severity: string; line: number; message: string }[];
  // two links and two parameters without DOP, in request and response
  assert.equal(entries.filter(({ severity }) => severity === "error").length, 8);
  assert.ok(entries.every(({ line }) => line > 0));
  assert.match(fault.message, /and 7 more errors/);
});

test("a lenient conversion goes on where the format allows it", () => {
  const comParam = x(
    "COMPARAM-REFS",
    {},
    ref("COMPARAM-REF", "gone", { doc: "SUB", type: "COMPARAM-SUBSET" }, t("SIMPLE-VALUE", 1)),
  );
  const table = (id: string) => x("TABLE", { ID: id }, name(id), ref("KEY-DOP-REF", "u8"));
  const twoTables = param("TABLE-KEY", "key", { id: "k" }, ref("TABLE-REF", "t1"), ref("TABLE-REF", "t2"));
  const document = ecu(
    {
      dictionary: [U8, x("TABLES", {}, table("t1"), table("t2"))],
      services: [service("S", 1, [twoTables])],
      more: comParam,
    },
    x(
      "ECU-SHARED-DATAS",
      {},
      layer("ECU-SHARED-DATA", "ESD", { more: x("DIAG-VARIABLES", {}, x("DIAG-VARIABLE", { ID: "dv" })) }),
    ),
  );
  assert.match(refusal(document).message, /DIAG-VARIABLES has no place/);
  const { databases, report } = convert(document, { isLenient: true });
  assert.deepEqual([...new Set(report.map(({ severity }) => severity))], ["warning"]);
  assert.deepEqual(
    report.map(({ message }) => message.split(/[ :]/)[0]),
    ["DIAG-VARIABLES", "TABLE-KEY", "TABLE-KEY", "COMPARAM-REF"],
  );
  const key = databases[0]!.description.variants![0]!.diag_layer!.diag_services![0]!.request!.params![2]!;
  assert.equal(key.specific_data_type === "TableKey" && key.specific_data.table_key_reference?.short_name, "t1");
});

test("what has no place in the database is told with file and line", () => {
  const endMarker = x(
    "DYNAMIC-ENDMARKER-FIELDS",
    {},
    x("DYNAMIC-ENDMARKER-FIELD", { ID: "dem" }, name("dem"), ref("BASIC-STRUCTURE-REF", "s")),
  );
  const document = ecu({
    dictionary: [...structures(structure("s", [value("v", "u8")])), endMarker],
    services: [
      service("S", 1, [value("v", "dem", { byte: 3 })], [], x("POS-RESPONSE-SUPPRESSABLE", {}, x("BIT-MASK"))),
    ],
    more: x("SUB-COMPONENTS", {}, x("SUB-COMPONENT")),
  });
  const { databases, report } = convert({ "a.odx-d": document, "b.odx-f": odx("FLASH", "F") });
  assert.deepEqual(
    report.map(({ severity, file, message }) => [severity, file, message.split(" ")[0]]),
    [
      ["left-out", "a.odx-d", "POS-RESPONSE-SUPPRESSABLE"],
      ["left-out", "a.odx-d", "SUB-COMPONENTS"],
      ["left-out", "b.odx-f", "FLASH"],
      ["left-out", "a.odx-d", "DYNAMIC-ENDMARKER-FIELD"],
    ],
  );
  const line = document.split("\n").findIndex((one) => one.includes("<DYNAMIC-ENDMARKER-FIELD ID")) + 1;
  assert.equal(report.at(-1)!.line, line);
  const param = databases[0]!.description.variants![0]!.diag_layer!.diag_services![0]!.request!.params![2]!;
  assert.deepEqual(param.specific_data, { dop: { dop_type: "DYNAMIC_END_MARKER_FIELD", short_name: "dem" } });
  const plan = plansOf(convert(document)).get("S")!;
  assert.throws(() => encodeRequest(plan, { v: [] }), { kind: "invalidDatabase" });
});

test("another version of ODX is read with a warning", () => {
  const { report } = convert(GOOD.replace("2.2.0", "2.0.1"));
  assert.deepEqual(report, [
    { severity: "warning", file: "test.odx-d", line: 2, message: "MODEL-VERSION 2.0.1 is read as 2.2" },
  ]);
});

test("encodings: byte order marks and declarations count", () => {
  const document = ecu({ head: t("LONG-NAME", "Grüße") });
  const nameIn = (bytes: Uint8Array) =>
    convertOdx([source("a.odx-d", bytes)]).databases[0]!.description.variants![0]!.diag_layer!.long_name!.value;
  const latin = document.replace("UTF-8", "ISO-8859-1");
  assert.equal(nameIn(strToU8(document)), "Grüße");
  assert.equal(nameIn(Buffer.from(latin, "latin1")), "Grüße");
  assert.equal(nameIn(Buffer.from(`\ufeff${document}`, "utf16le")), "Grüße");
  assert.throws(() => nameIn(Buffer.from(document, "latin1")), /a\.odx-d:\d+: bytes that are no utf-8/);
});

test("the report is bounded and says how much it dropped", () => {
  const params = Array.from({ length: 20 }, (_, i) => value(`v${i}`, "gone"));
  const fault = refusal(ecu({ services: [service("S", 1, params)] }), { limits: { maxReportEntries: 5 } });
  const entries = fault.details!.report as { message: string }[];
  assert.equal(entries.length, 6);
  assert.equal(entries[5]!.message, "75 more entries");
});

// archives

const ZIP_BOMB = zipSync({ "bomb.odx-d": new Uint8Array(32 * 1024 * 1024) });

test("names that lead outside an archive are refused", () => {
  for (const bad of ["../a", "a/../../b", "/etc/passwd", "C:\\a", "a\\..\\b", "\\\\host\\share", "a\0b", ""])
    assert.equal(leadsOutside(bad), true, bad);
  for (const good of ["a.odx-d", "a/b.odx-d", "..a/b..c"]) assert.equal(leadsOutside(good), false, good);
  const slip = zipSync({ "ok.odx-d": strToU8(GOOD), "../evil.odx-d": strToU8(GOOD) });
  assert.throws(() => readZip("a.pdx", slip, DEFAULT_ODX_LIMITS), {
    kind: "invalidData",
    message: "a.pdx: ../evil.odx-d: the name leads outside the archive",
  });
});

test("archives that inflate too much are refused before they do", () => {
  const refused = (limits: Partial<OdxLimits>, message: RegExp) =>
    assert.throws(() => readZip("a.pdx", ZIP_BOMB, { ...DEFAULT_ODX_LIMITS, ...limits }), {
      kind: "invalidData",
      message,
    });
  refused({}, /bomb\.odx-d: inflates to more than 400 times its size/);
  refused({ maxFileBytes: 1024 }, /bomb\.odx-d: 33554432 bytes, at most 1024/);
  refused({ maxTotalBytes: 1024 }, /inflates to more than 1024 bytes/);
  const many = zipSync(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`${i}.txt`, strToU8("x")])));
  assert.throws(() => readZip("a.pdx", many, { ...DEFAULT_ODX_LIMITS, maxFiles: 10 }), {
    message: /more than 10 entries/,
  });
});

test("an archive is read file by file", () => {
  const sources = readZip(
    "a.pdx",
    zipSync({ "index.xml": strToU8("<x/>"), "sub/a.odx-d": strToU8(GOOD) }),
    DEFAULT_ODX_LIMITS,
  );
  assert.deepEqual(
    sources.map((one) => one.name),
    ["index.xml", "sub/a.odx-d"],
  );
  assert.equal(convertOdx(sources).databases[0]!.ecuName, "ECU");
});

// garbage

/** Every outcome but a result or a Fault is a failure. */
function survives(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
}

test("no bytes make the archive reader do anything but refuse", () => {
  const zip = zipSync({ "a.odx-d": strToU8(GOOD) });
  const damaged = fc.tuple(fc.nat(zip.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = zip.slice();
    bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) =>
      survives(() => {
        for (const one of readZip("a.pdx", bytes, { ...DEFAULT_ODX_LIMITS, maxFileBytes: 1 << 20 })) one.read();
      }),
    ),
    { numRuns: 500 },
  );
});

test("no damage to a document does anything but refuse or convert", () => {
  const document = using(structures(structure("s", [value("a", "u8"), value("b", "u8")])), "s");
  const damage = fc.tuple(
    fc.nat(document.length),
    fc.nat(40),
    fc.constantFrom("", "<", ">", "&", '"', "u8", "s", "9", "<A/>"),
  );
  fc.assert(
    fc.property(damage, ([at, length, text]) =>
      survives(() => convert(document.slice(0, at) + text + document.slice(at + length))),
    ),
    { numRuns: 500 },
  );
});
