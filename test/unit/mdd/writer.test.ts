import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBuffer } from "flatbuffers";
import { Fault } from "../../../src/core/errors.ts";
import { decodeContainer, diagnosticDescription } from "../../../src/mdd/container/decode.ts";
import { EcuData, NormalDOP, type Param, ParamSpecificData, Value } from "../../../src/mdd/generated/dataformat.ts";
import type { EcuData as Description } from "../../../src/mdd/generated/description.ts";
import type { ElementField, FieldType } from "../../../src/mdd/schema.ts";
import { ENUMS, fieldsOf, MISTYPED, UNIONS } from "../../../src/mdd/schema.ts";
import { verifyEcuData } from "../../../src/mdd/verify/verify.ts";
import { codedConst, reserved } from "../../../src/mdd/writer/dsl.ts";
import { writeMdd } from "../../../src/mdd/writer/mdd.ts";
import { readDescription } from "../../../src/mdd/writer/read.ts";
import { describeSource } from "../../../src/mdd/writer/source.ts";
import { writeEcuData } from "../../../src/mdd/writer/write.ts";
import { deflateLzma } from "../../../src/store/lzma.ts";
import { databaseOf, NO_SHARED, REAL_FILES, sharedFile } from "../../fixtures/mdd.ts";
import fc from "../../fixtures/properties.ts";
import { SMALL_ECU } from "../../fixtures/small-ecu.ts";

test("the small ECU survives writing and reading", () => {
  const database = writeEcuData(SMALL_ECU);
  const read = readDescription(database);
  assert.equal(read.variants?.[0]?.diag_layer?.diag_services?.length, 15);
  assert.deepEqual(readDescription(writeEcuData(read)), read);
  assert.deepEqual(writeEcuData(SMALL_ECU), database, "writing is not deterministic");
});

for (const { path, flatBuffer } of REAL_FILES) {
  test(`${path}: read, written and read again it says the same`, async (t) => {
    const file = sharedFile(path);
    if (file === undefined) return t.skip(NO_SHARED);
    const read = readDescription(await databaseOf(file));
    const written = writeEcuData(read);
    assert.ok(verifyEcuData(written).ok);
    assert.ok(written.length <= flatBuffer, `${written.length} bytes, sharing is lost`);
    assert.deepEqual(readDescription(written), read);
  });
}

test("SYNTH.source.json describes what SYNTH.mdd holds", async (t) => {
  const source = sharedFile("facts/SYNTH.source.json");
  const file = sharedFile("facts/SYNTH.mdd");
  if (source === undefined || file === undefined) return t.skip(NO_SHARED);
  const description = describeSource(JSON.parse(Buffer.from(source).toString("utf8")));
  assert.deepEqual(readDescription(writeEcuData(description)), readDescription(await databaseOf(file)));
});

const oneOf = (members: readonly string[]) => fc.constantFrom(...members);

/** A random description of a table: fields of their type, absent or present, children until `depth` is used up. */
function describe(g: fc.GeneratorValue, table: string, depth: number): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const { name, type } of fieldsOf(table)) {
    if (table === MISTYPED.table && name === MISTYPED.field) continue;
    if (depth === 0 && refersToTable(type)) continue;
    if (!g(fc.boolean)) continue;
    if (isUnionField(type)) describeUnion(g, described, name, type, depth);
    else described[name] = contentOf(g, type, depth);
  }
  return described;
}

const refersToTable = (type: FieldType): boolean =>
  type.kind === "list" ? refersToTable(type.of) : type.kind === "table" || type.kind === "union";
const isUnionField = (type: FieldType): boolean => (type.kind === "list" ? type.of : type).kind === "union";

function describeUnion(
  g: fc.GeneratorValue,
  into: Record<string, unknown>,
  name: string,
  type: FieldType,
  depth: number,
) {
  const { of } = (type.kind === "list" ? type.of : type) as { of: keyof typeof UNIONS };
  const member = () => g(oneOf, UNIONS[of]);
  if (type.kind !== "list") {
    const kind = member();
    into[`${name}_type`] = kind;
    into[name] = describe(g, kind, depth - 1);
    return;
  }
  const kinds = Array.from({ length: g(fc.nat, { max: 2 }) }, member);
  into[`${name}_type`] = kinds;
  into[name] = kinds.map((kind) => describe(g, kind, depth - 1));
}

function contentOf(g: fc.GeneratorValue, type: FieldType, depth: number): unknown {
  if (type.kind !== "list") return elementOf(g, type, depth);
  return Array.from({ length: g(fc.nat, { max: 2 }) }, () => elementOf(g, type.of, depth));
}

function elementOf(g: fc.GeneratorValue, type: ElementField, depth: number): unknown {
  switch (type.kind) {
    case "string":
      return g(fc.string, { unit: "grapheme", maxLength: 6 });
    case "enum":
      return g(oneOf, ENUMS[type.of as keyof typeof ENUMS]);
    case "table":
      return describe(g, type.of, depth - 1);
    case "scalar":
      if (type.type === "bool") return g(fc.boolean);
      if (type.type === "f64") return g(fc.double);
      if (type.type === "i32") return g(fc.integer);
      return g(fc.nat, { max: type.type === "u8" ? 0xff : 0xffff_ffff });
    case "union":
      throw new Error("a union is described with its type");
  }
}

test("random descriptions: written, verified, read, and the same again", () => {
  fc.assert(
    fc.property(fc.gen(), (g) => {
      const description = describe(g, "EcuData", 6) as Description;
      const written = writeEcuData(description);
      const verified = verifyEcuData(written);
      assert.ok(verified.ok, JSON.stringify(verified));
      const read = readDescription(written);
      assert.deepEqual(read, withoutDefaults("EcuData", description));
      assert.deepEqual(readDescription(writeEcuData(read)), read);
    }),
    { numRuns: 60 },
  );
});

/** What reading leaves out: fields that say no more than their default. */
function withoutDefaults(table: string, described: object): Record<string, unknown> {
  const values = described as Record<string, unknown>;
  const kept: Record<string, unknown> = {};
  for (const { name, type } of fieldsOf(table)) {
    const value = values[name];
    if (value === undefined || isDefault(type, value)) continue;
    const kinds = values[`${name}_type`];
    if (kinds !== undefined) kept[`${name}_type`] = kinds;
    kept[name] = Array.isArray(value)
      ? value.map((element: unknown, i) => cleaned(type, (kinds as string[] | undefined)?.[i], element))
      : cleaned(type, kinds as string | undefined, value);
  }
  return kept;
}

function cleaned(type: FieldType, kind: string | undefined, value: unknown): unknown {
  const element = type.kind === "list" ? type.of : type;
  if (kind !== undefined) return withoutDefaults(kind, value as object);
  return element.kind === "table" ? withoutDefaults(element.of, value as object) : value;
}

function isDefault(type: FieldType, value: unknown): boolean {
  if (type.kind === "enum") return value === ENUMS[type.of as keyof typeof ENUMS][0];
  return type.kind === "scalar" && type.default !== null && value === type.default;
}

/** A request parameter, written and read through its accessor. */
function paramOf(param: unknown): Param {
  const description = { variants: [{ diag_layer: { diag_services: [{ request: { params: [param] } }] } }] };
  const ecu = EcuData.getRootAsEcuData(new ByteBuffer(writeEcuData(description as Description)));
  return ecu.variants(0)!.diagLayer()!.diagServices(0)!.request()!.params(0)!;
}

test("a zero of an optional scalar is stored, an absent one is not", () => {
  assert.equal(paramOf(codedConst("p", 1, 8, { byte: 0, bit: 0 })).bytePosition(), 0);
  assert.equal(paramOf(codedConst("p", 1, 8, { byte: 0, bit: 0 })).bitPosition(), 0);
  assert.equal(paramOf(reserved("p", 8)).bytePosition(), null);
});

test("false of a default-true flag is stored, and doubles keep their bits", () => {
  const coded = { is_high_low_byte_order: false };
  const compu = {
    internal_to_phys: { compu_scales: [{ consts: { v: -0 }, rational_co_effs: { numerator: [0.1, -0] } }] },
  };
  const dop = { specific_data_type: "NormalDOP", specific_data: { diag_coded_type: coded, compu_method: compu } };
  const param = paramOf({ specific_data_type: "Value", specific_data: { dop } });
  assert.equal(param.specificDataType(), ParamSpecificData.Value);
  const normal = param.specificData(new Value())!.dop()!.specificData(new NormalDOP())!;
  assert.equal(normal.diagCodedType()!.isHighLowByteOrder(), false);
  const scale = normal.compuMethod()!.internalToPhys()!.compuScales(0)!;
  assert.ok(Object.is(scale.consts()!.v(), -0));
  assert.deepEqual([scale.rationalCoEffs()!.numerator(0), scale.rationalCoEffs()!.numerator(1)], [0.1, -0]);
});

test("equal content is stored once, whether objects are shared or not", () => {
  const layer = () => ({
    diag_layer: { short_name: "LAYER", funct_classes: [{ short_name: "A" }, { short_name: "B" }] },
  });
  const one = writeEcuData({ variants: [layer()] });
  const many = writeEcuData({ variants: Array.from({ length: 10 }, layer) });
  assert.equal(many.length - one.length, 9 * 4 + ((4 - ((9 * 4) % 4)) % 4));
  const read = readDescription(many);
  assert.equal(read.variants?.[0], read.variants?.[9]);
});

const WRONG = [
  { name: "unknown field", value: { ecu_nam: "x" }, path: "EcuData.ecu_nam" },
  { name: "text for a number", value: { dtcs: [{ trouble_code: "1" }] }, path: "EcuData.dtcs[0].trouble_code" },
  { name: "number out of range", value: { dtcs: [{ level: -1 }] }, path: "EcuData.dtcs[0].level" },
  { name: "number for a text", value: { ecu_name: 7 }, path: "EcuData.ecu_name" },
  { name: "number for a flag", value: { dtcs: [{ is_temporary: 1 }] }, path: "EcuData.dtcs[0].is_temporary" },
  { name: "unknown member", value: { feature_flags: ["NEW"] }, path: "EcuData.feature_flags[0]" },
  { name: "object for a list", value: { variants: {} }, path: "EcuData.variants" },
  { name: "null for a table", value: { variants: [null] }, path: "EcuData.variants[0]" },
  {
    name: "union without its type",
    value: { variants: [{ parent_refs: [{ ref: {} }] }] },
    path: "EcuData.variants[0].parent_refs[0].ref",
  },
  {
    name: "union of an unknown type",
    value: { variants: [{ parent_refs: [{ ref_type: "Unit", ref: {} }] }] },
    path: "EcuData.variants[0].parent_refs[0].ref_type",
  },
] as const;

for (const { name, value, path } of WRONG) {
  test(`description refused: ${name}`, () => {
    assert.throws(
      () => writeEcuData(value as unknown as Description),
      (error) => error instanceof Fault && error.kind === "invalidData" && error.details?.path === path,
    );
  });
}

test("a description that holds itself is refused", () => {
  const group: { sds?: unknown[] } = {};
  group.sds = [{ sd_or_sdg_type: "SDG", sd_or_sdg: group }];
  const description = { variants: [{ diag_layer: { sdgs: { sdgs: [group] } } }] } as Description;
  assert.throws(() => writeEcuData(description), /nested too deeply/);
});

test("reading what does not verify is a fault", () => {
  assert.throws(
    () => readDescription(new Uint8Array(16)),
    (error) => error instanceof Fault && error.kind === "invalidDatabase",
  );
});

test("a whole file: container, compression, hash, further chunks", async () => {
  const embedded = { type: 3, name: "readme.txt", mimeType: "text/plain", content: Uint8Array.of(104, 105) };
  const options = { description: SMALL_ECU, metadata: { created: "2026-01-01T00:00:00Z" }, chunks: [embedded] };
  const file = await writeMdd({ ...options, deflate: deflateLzma });
  assert.deepEqual(file, await writeMdd({ ...options, deflate: deflateLzma }));
  const container = decodeContainer(file);
  assert.equal(container.ecuName, "SMALL");
  assert.equal(container.revision, "1.0");
  assert.deepEqual([...container.metadata], [["created", "2026-01-01T00:00:00Z"]]);
  assert.deepEqual(
    container.chunks.map(({ type, name, mimeType }) => [type, name, mimeType]),
    [
      [0, "SMALL", undefined],
      [3, "readme.txt", "text/plain"],
    ],
  );
  assert.deepEqual(new Uint8Array(await databaseOf(file)), writeEcuData(SMALL_ECU));
  const stored = decodeContainer(await writeMdd(options));
  assert.equal(diagnosticDescription(stored).compressionAlgorithm, undefined);
});

const SOURCE = { ecu_name: "E", dops: {}, layers: { L: {} }, variants: [{ name: "L", base: true }] };
const circle = { kind: "structure", params: [{ name: "again", dop: "circle" }] } as const;
const BAD_SOURCES = [
  { name: "unknown layer", source: { ...SOURCE, variants: [{ name: "X" }] }, message: /no layer named X/ },
  {
    name: "unknown DOP",
    source: {
      ...SOURCE,
      layers: { L: { services: [{ name: "S", did: "F190", params: [{ name: "p", dop: "u8" }] }] } },
    },
    message: /no DOP named u8/,
  },
  {
    name: "DOP that needs itself",
    source: {
      ...SOURCE,
      dops: { circle },
      layers: { L: { services: [{ name: "S", did: "F190", params: [{ name: "p", dop: "circle" }] }] } },
    },
    message: /DOP circle needs itself/,
  },
] as const;

for (const { name, source, message } of BAD_SOURCES) {
  test(`source refused: ${name}`, () => assert.throws(() => describeSource(source), message));
}
