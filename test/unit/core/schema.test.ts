import assert from "node:assert/strict";
import { test } from "node:test";
import * as TypeBox from "typebox";
import { Type } from "#core/schema.ts";
import { problemsOf } from "#core/validate.ts";

type Builders = typeof Type;

/** Each builder, with and without options, as the program writes them. */
const CASES: readonly [name: string, make: (t: Builders) => object][] = [
  ["text", (t) => t.String()],
  ["text with bounds", (t) => t.String({ minLength: 1, maxLength: 8, pattern: "^a", description: "d" })],
  ["numbers", (t) => t.Array(t.Union([t.Number({ minimum: 0 }), t.Integer({ maximum: 3 })]), { maxItems: 2 })],
  ["boolean with a default", (t) => t.Boolean({ default: false })],
  ["words", (t) => t.Union([t.Literal("a"), t.Literal("b", { description: "d" }), t.Null()], { default: "a" })],
  ["constants of other types", (t) => t.Union([t.Literal(3), t.Literal(true)])],
  ["enumeration", (t) => t.Enum(["a", "b"], { description: "d" })],
  ["anything", (t) => t.Unknown({ description: "d" })],
  ["empty object", (t) => t.Object({})],
  ["object without required members", (t) => t.Object({ a: t.Optional(t.String()) })],
  [
    "object",
    (t) =>
      t.Object(
        { a: t.String(), b: t.Optional(t.Object({ c: t.Integer() })) },
        { additionalProperties: false, $id: "x" },
      ),
  ],
  [
    "an optional schema leaves its original required",
    (t) => [t.String()].map((a) => t.Object({ a, b: t.Optional(a) }))[0]!,
  ],
  ["record", (t) => t.Record(t.String(), t.Unknown())],
  ["record of some names", (t) => t.Record(t.String({ pattern: "^x-" }), t.Boolean(), { maxProperties: 3 })],
  ["schema from elsewhere", (t) => t.Unsafe<string>({ type: "string", format: "hex" })],
];

for (const [name, make] of CASES) {
  test(`schema, to the byte as TypeBox makes it: ${name}`, () => {
    assert.equal(JSON.stringify(make(Type)), JSON.stringify(make(TypeBox.Type as unknown as Builders)));
  });
}

const Shape = Type.Object({
  id: Type.String({ pattern: "^[a-z]+$" }),
  kind: Type.Optional(Type.Union([Type.Literal("a"), Type.Literal("b")])),
  list: Type.Optional(Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 2 })),
});

const VALUES: readonly [value: unknown, problems: string | undefined][] = [
  [{ id: "a", kind: "b", list: [0, 1], more: 1 }, undefined],
  [{}, "body: must have required properties id"],
  [[], "body: must be object"],
  [{ id: "A" }, 'id: must match pattern "^[a-z]+$"'],
  [{ id: "a", list: [0, -1] }, "list.1: must be >= 0"],
  [{ id: "a", list: [1, 2, 3] }, "list: must not have more than 2 items"],
  [
    { id: "a", kind: "c" },
    "kind: must be equal to constant; kind: must be equal to constant; kind: must match a schema in anyOf",
  ],
];

for (const [value, problems] of VALUES) {
  test(`check of ${JSON.stringify(value)}`, () => assert.equal(problemsOf(Shape, value), problems));
}
