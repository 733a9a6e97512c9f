import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, stringify } from "smol-toml";
import { locateKeys } from "#config/locate.ts";
import { isTree, type Path, pathText } from "#config/tree.ts";
import fc from "../../fixtures/properties.ts";

const TEXT = `# comment = 1
top = "a = 1 # not a comment"
[a.b] # head
c = 1
"d.e" = { f = 2, g = [1, { h = 3 }] }
i = """
j = 4
"""
k = [
  # l = 5
  "m",
]
[[n]]
o = 1
[[n]]
o = 2
[n.p]
q.r = 'x'
`;

const PLACES: [key: string, line: number, column: number][] = [
  ["top", 2, 1],
  ["a.b", 3, 2],
  ["a.b.c", 4, 1],
  ['a.b."d.e"', 5, 1],
  ['a.b."d.e".f', 5, 11],
  ['a.b."d.e".g[1].h', 5, 28],
  ["a.b.i", 6, 1],
  ["a.b.k[0]", 11, 3],
  ["n[0].o", 14, 1],
  ["n[1].o", 16, 1],
  ["n[1].p.q.r", 18, 1],
];

for (const [key, line, column] of PLACES) {
  test(`place of ${key}`, () => assert.deepEqual(locateKeys(TEXT).get(key), { line, column }));
}

test("what only looks like a key is none", () => {
  const keys = [...locateKeys(TEXT).keys()].join(" ");
  assert.doesNotMatch(keys, /comment|j|l\b|not/);
});

function keysOf(value: unknown, path: Path = []): string[] {
  const children = Array.isArray(value) ? [...value.entries()] : isTree(value) ? Object.entries(value) : [];
  return children.flatMap(([key, child]) => [pathText([...path, key]), ...keysOf(child, [...path, key])]);
}

test("every key of any TOML text is found", () => {
  const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.string(), { maxLength: 3 }));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.dictionary(
      fc.string({ minLength: 1, maxLength: 5 }).filter((key) => key !== "__proto__"),
      fc.oneof(leaf, tie("tree"), fc.array(tie("tree"), { maxLength: 2 })),
      { maxKeys: 4, noNullPrototype: true },
    ),
  }));
  fc.assert(
    fc.property(tree, (value) => {
      const text = stringify(value);
      const places = locateKeys(text);
      for (const key of keysOf(parse(text))) assert(places.has(key), `${key} in\n${text}`);
    }),
    { numRuns: 300 },
  );
});

test("garbage ends, and never throws", () => {
  const noise = fc.string({ unit: fc.constantFrom(..."[]{}=.,\"'#\n\\ab1 "), maxLength: 60 });
  fc.assert(fc.property(noise, (text) => assert(locateKeys(text).size >= 0)));
});
