import assert from "node:assert/strict";
import { test } from "node:test";
import { Builder } from "flatbuffers";
import type { EcuData, NormalDOP, SDG } from "../../../src/mdd/generated/description.ts";
import { verifyEcuData } from "../../../src/mdd/verify/verify.ts";
import { writeEcuData } from "../../../src/mdd/writer/write.ts";
import { databaseOf, NO_SHARED, REAL_FILES, sharedFile } from "../../fixtures/mdd.ts";
import fc from "../../fixtures/properties.ts";
import { SMALL_ECU } from "../../fixtures/small-ecu.ts";
import { walkAccessors } from "./verify-walk.ts";

const SMALL = writeEcuData(SMALL_ECU);

test("a written database verifies, and its accessors reach as many tables", () => {
  const result = verifyEcuData(SMALL);
  assert.deepEqual(result, { ok: true, tables: walkAccessors(SMALL) });
});

for (const { path } of REAL_FILES) {
  test(`${path} verifies and can be walked`, async (t) => {
    const file = sharedFile(path);
    if (file === undefined) return t.skip(NO_SHARED);
    const database = await databaseOf(file);
    assert.deepEqual(verifyEcuData(database), { ok: true, tables: walkAccessors(database) });
  });
}

/** Bytes that fail the test on each read outside, where a plain array yields undefined. */
function guarded(bytes: Uint8Array): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      const index = typeof key === "string" ? Number(key) : Number.NaN;
      if (!Number.isNaN(index)) assert.ok(index >= 0 && index < target.length, `read at ${index} of ${target.length}`);
      return Reflect.get(target, key, target);
    },
  });
}

const edit = fc.record({
  at: fc.nat({ max: SMALL.length - 1 }),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xff), fc.nat({ max: 255 })),
});

function edited(bytes: Uint8Array, edits: readonly { at: number; value: number }[]): Uint8Array {
  const copy = new Uint8Array(bytes);
  for (const { at, value } of edits) copy[at] = value;
  return copy;
}

test("on a damaged database it never reads outside, and what it passes can be walked", () => {
  let passed = 0;
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
      const bytes = edited(SMALL, edits);
      const result = verifyEcuData(guarded(bytes));
      if (!result.ok) return;
      passed++;
      walkAccessors(bytes);
    }),
    { numRuns: 300 },
  );
  assert.ok(passed > 0, "no damaged database passed: the walk was never tried");
});

test("on a truncated database it never reads outside", () => {
  fc.assert(
    fc.property(fc.nat({ max: SMALL.length - 1 }), (length) => {
      assert.equal(typeof verifyEcuData(guarded(SMALL.slice(0, length))).ok, "boolean");
    }),
    { numRuns: 100 },
  );
});

test("random bytes are judged, never thrown on", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const result = verifyEcuData(guarded(bytes));
      if (result.ok) walkAccessors(bytes);
    }),
    { numRuns: 1000 },
  );
});

/** Offset of a text's length word in a database. */
function placeOf(bytes: Uint8Array, text: string): number {
  return Buffer.from(bytes).indexOf(`${text}\0`) - 4;
}

function broken(bytes: Uint8Array, at: number, word: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  new DataView(copy.buffer).setUint32(at, word, true);
  return copy;
}

const NAMED: EcuData = { version: "v", ecu_name: "ECU_NAME", variants: [{ diag_layer: { short_name: "LAYER_A" } }] };
const named = writeEcuData(NAMED);
const unterminated = new Uint8Array(named);
unterminated[placeOf(named, "LAYER_A") + 4 + 7] = 1;

/** The root table's vtable: its size, then the table's size, as two 16-bit words. */
function rootVtable(size: number, tableBytes: number): Uint8Array {
  const view = new DataView(named.buffer, named.byteOffset, named.length);
  const root = view.getUint32(0, true);
  return broken(named, root - view.getInt32(root, true), size + tableBytes * 0x1_0000);
}

const maskType = { specific_data_type: "StandardLengthType", specific_data: { bit_mask: [0xaa, 0xbb, 0xcc] } } as const;
const masked = databaseOfType({ diag_coded_type: maskType });
const maskPlace = Buffer.from(masked).indexOf(Uint8Array.of(3, 0, 0, 0, 0xaa, 0xbb, 0xcc));

/** A database whose only content is a normal DOP. */
function databaseOfType(dop: NormalDOP): Uint8Array {
  const data = { key_dop: { specific_data_type: "NormalDOP", specific_data: dop } } as const;
  return writeEcuData({ variants: [{ parent_refs: [{ ref_type: "TableDop", ref: data }] }] });
}

/** The same database four bytes later: what was aligned to eight no longer is. */
function shifted(bytes: Uint8Array): Uint8Array {
  const moved = new Uint8Array(bytes.length + 4);
  moved.set(bytes, 4);
  new DataView(moved.buffer).setUint32(0, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) + 4, true);
  return moved;
}

const scales = [{ rational_co_effs: { numerator: [0.5] } }];
const coefficients = databaseOfType({ compu_method: { internal_to_phys: { compu_scales: scales } } });

const DOP_PATH = "EcuData.variants[0].parent_refs[0].ref.key_dop.specific_data";

const PROBLEMS = [
  { name: "vtable too long", bytes: rootVtable(0x7ffe, 8), problem: /vtable of 32766 bytes/, path: "EcuData" },
  { name: "vtable too short", bytes: rootVtable(2, 8), problem: /vtable of 2 bytes/, path: "EcuData" },
  { name: "vtable of odd size", bytes: rootVtable(21, 8), problem: /vtable of 21 bytes/, path: "EcuData" },
  { name: "table too long", bytes: rootVtable(4, 0x7ffc), problem: /table of 32764 bytes/, path: "EcuData" },
  { name: "table too short", bytes: rootVtable(4, 2), problem: /table of 2 bytes/, path: "EcuData" },
  {
    name: "list too long",
    bytes: broken(masked, maskPlace, 0xffff),
    problem: /list leads outside/,
    path: `${DOP_PATH}.diag_coded_type.specific_data.bit_mask`,
  },
  {
    name: "list of doubles not aligned",
    bytes: shifted(coefficients),
    problem: /list is not aligned/,
    path: `${DOP_PATH}.compu_method.internal_to_phys.compu_scales[0].rational_co_effs.numerator`,
  },
  {
    name: "double not aligned",
    bytes: shifted(databaseOfType({ unit_ref: { factorsitounit: 2 } })),
    problem: /field is not aligned/,
    path: `${DOP_PATH}.unit_ref.factorsitounit`,
  },
  { name: "empty", bytes: new Uint8Array(), problem: /no 0 bytes/, path: "EcuData" },
  { name: "root outside", bytes: broken(named, 0, 0x7fff_ff00), problem: /offset leads outside/, path: "EcuData" },
  { name: "root backwards", bytes: broken(named, 0, 0xffff_fff0), problem: /offset leads outside/, path: "EcuData" },
  { name: "root unaligned", bytes: broken(named, 0, named[0]! + 1), problem: /not aligned/, path: "EcuData" },
  {
    name: "string too long",
    bytes: broken(named, placeOf(named, "LAYER_A"), 0xffff),
    problem: /string leads outside/,
    path: "EcuData.variants[0].diag_layer.short_name",
  },
  {
    name: "string length negative",
    bytes: broken(named, placeOf(named, "ECU_NAME"), 0xffff_ffff),
    problem: /string leads outside/,
    path: "EcuData.ecu_name",
  },
  {
    name: "string without NUL",
    bytes: unterminated,
    problem: /not terminated/,
    path: "EcuData.variants[0].diag_layer.short_name",
  },
] as const;

for (const { name, bytes, problem, path } of PROBLEMS) {
  test(`${name}: the problem names its place`, () => {
    const result = verifyEcuData(bytes);
    assert.ok(!result.ok);
    assert.match(result.problem, problem);
    assert.equal(result.path, path);
  });
}

test("a missing NUL can be let pass", () => {
  assert.ok(verifyEcuData(unterminated, { ignoreMissingNullTerminator: true }).ok);
});

/** A chain of special data groups, `depth` deep, each holding the next `times` times. */
function nested(depth: number, times: number): EcuData {
  let group: SDG = { caption_sn: "leaf" };
  for (let i = 0; i < depth; i++) {
    const sds = Array.from({ length: times }, () => ({ sd_or_sdg_type: "SDG", sd_or_sdg: group }) as const);
    group = { caption_sn: `${i}`, sds };
  }
  return { variants: [{ diag_layer: { sdgs: { sdgs: [group] } } }] };
}

test("depth is that of the longest path", () => {
  // EcuData, Variant, DiagLayer, SDGS, then SDG and SDOrSDG by turns.
  const database = writeEcuData(nested(10, 1));
  assert.ok(verifyEcuData(database, { maxDepth: 25 }).ok);
  const result = verifyEcuData(database, { maxDepth: 24 });
  assert.match(result.ok ? "" : result.problem, /nested too deeply/);
});

test("depth counts through what was already seen nearer to the root", () => {
  let group: SDG = { caption_sn: "leaf" };
  const short = group;
  for (let i = 0; i < 10; i++) group = { sds: [{ sd_or_sdg_type: "SDG", sd_or_sdg: group }] };
  const database = writeEcuData({ variants: [{ diag_layer: { sdgs: { sdgs: [short, group] } } }] });
  assert.ok(!verifyEcuData(database, { maxDepth: 24 }).ok);
});

test("what unfolds to 4^40 tables is verified in one pass", () => {
  const database = writeEcuData(nested(40, 4));
  assert.deepEqual(verifyEcuData(database), { ok: true, tables: 85 });
  const limited = verifyEcuData(database, { maxApparentBytes: 1e12 });
  assert.match(limited.ok ? "" : limited.problem, /apparent size/);
});

test("the apparent size of a file without sharing is about its own", () => {
  const database = writeEcuData(nested(10, 1));
  assert.ok(verifyEcuData(database, { maxApparentBytes: database.length }).ok);
  assert.ok(!verifyEcuData(database, { maxApparentBytes: 300 }).ok);
});

test("tables are counted", () => {
  assert.ok(verifyEcuData(named, { maxTables: 3 }).ok);
  assert.ok(!verifyEcuData(named, { maxTables: 2 }).ok);
});

/** A base variant whose patterns are MatchingParameter tables, as converters write them. */
function mistyped(isBase: boolean): Uint8Array {
  const builder = new Builder();
  const expected = builder.createString("257, which no table is");
  builder.startObject(4);
  builder.addFieldOffset(0, expected, 0);
  const matching = builder.endObject();
  const list = (offset: number): number => {
    builder.startVector(4, 1, 4);
    builder.addOffset(offset);
    return builder.endVector();
  };
  const patterns = list(matching);
  builder.startObject(4);
  builder.addFieldInt8(1, Number(isBase), 0);
  builder.addFieldOffset(2, patterns, 0);
  const variants = list(builder.endObject());
  builder.startObject(8);
  builder.addFieldOffset(5, variants, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array();
}

test("a base variant's mistyped patterns are not followed", () => {
  assert.deepEqual(verifyEcuData(mistyped(true)), { ok: true, tables: 2 });
  assert.ok(!verifyEcuData(mistyped(false)).ok);
});

test("union lists must be as long as their types", () => {
  const database = writeEcuData({
    variants: [
      {
        diag_layer: {
          com_param_refs: [{ complex_value: { entries_type: ["SimpleValue"], entries: [{ value: "1" }] } }],
        },
      },
    ],
  });
  assert.ok(verifyEcuData(database).ok);
  // The one list of one byte: count 1, type 1 (SimpleValue).
  const types = Buffer.from(database).indexOf(Uint8Array.of(1, 0, 0, 0, 1));
  const result = verifyEcuData(broken(database, types, 0));
  assert.match(result.ok ? "" : result.problem, /differ in length/);
});
