import assert from "node:assert/strict";
import { test } from "node:test";
import { isObject, parsed, parsedObject } from "#core/json.ts";

const ROWS: readonly [text: string, value: unknown, isObject: boolean][] = [
  ['{"a":1}', { a: 1 }, true],
  ["{}", {}, true],
  ["[1]", [1], false],
  ["null", null, false],
  ['"a"', "a", false],
  ["1", 1, false],
  ["{", undefined, false],
  ["", undefined, false],
];

test("a text is a JSON value, an object, or neither", () => {
  for (const [text, value, is] of ROWS) {
    assert.deepEqual(parsed(text), value, text);
    assert.equal(isObject(parsed(text)), is, text);
    assert.deepEqual(parsedObject(text), is ? value : undefined, text);
  }
});
