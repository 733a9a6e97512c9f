import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { mddFiles } from "../../../scripts/generate-mdd.ts";
import type { FieldType } from "../../../src/mdd/schema.ts";
import { ENUMS, FIELDS, isUnion, TABLES, UNIONS } from "../../../src/mdd/schema.ts";

test("the schema has the size that was measured on the converter's", () => {
  assert.deepEqual(
    [TABLES, ENUMS, UNIONS].map((part) => Object.keys(part).length),
    [93, 20, 9],
  );
  let slots = 0;
  for (const fields of FIELDS.values()) slots += (fields.at(-1)?.id ?? -1) + 1;
  assert.equal(slots, 349);
});

test("every reference leads to a definition of its kind", () => {
  const definitions = { table: TABLES, enum: ENUMS, union: UNIONS };
  const check = (type: FieldType, where: string): void => {
    if (type.kind === "list") check(type.of, where);
    else if ("of" in type) assert.ok(Object.hasOwn(definitions[type.kind], type.of), `${where}: ${type.of}`);
  };
  for (const [table, fields] of FIELDS) for (const { name, type } of fields) check(type, `${table}.${name}`);
  for (const members of Object.values(UNIONS)) for (const member of members) assert.ok(Object.hasOwn(TABLES, member));
});

const KNOWN_IDS = [
  ["EcuData", "dtcs", 7],
  ["Param", "specific_data", 9],
  ["DOP", "specific_data", 4],
  ["ParentRef", "not_inherited_global_neg_responses_short_names", 6],
  ["ComplexValue", "entries", 1],
  ["ComParam", "specific_data", 8],
  ["TableRow", "is_final", 13],
] as const;

for (const [table, name, id] of KNOWN_IDS) {
  test(`${table}.${name} has id ${id}`, () => {
    assert.equal(FIELDS.get(table)?.find((field) => field.name === name)?.id, id);
  });
}

test("ids are dense, a union's value leaves one free for its type", () => {
  for (const fields of FIELDS.values()) {
    let next = 0;
    for (const { id, type } of fields) {
      assert.equal(id, next + (isUnion(type) ? 1 : 0));
      next = id + 1;
    }
  }
});

test("the generated files are those of the schema", () => {
  for (const [path, text] of Object.entries(mddFiles())) {
    assert.equal(readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8"), text, path);
  }
});
