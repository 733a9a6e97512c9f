/** Query parameters: names and fixed words in any case, as the CDA lowers its whole URI; everything else as sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import { parseQuery, querySpec } from "#http/query.ts";

const SPEC = querySpec(
  Type.Object({
    flag: Type.Optional(Type.Boolean()),
    "include-hash": Type.Optional(Type.Literal("sha256")),
    "status[testFailed]": Type.Optional(Type.Union([Type.Literal("true"), Type.Literal("1")])),
    scope: Type.Optional(Type.String()),
    count: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
);

const READ: readonly [query: string, values: object][] = [
  ["", {}],
  ["FLAG=True&Include-Hash=SHA256", { flag: true, "include-hash": "sha256" }],
  ["status%5BtestFailed%5D=TRUE", { "status[testFailed]": "true" }],
  ["STATUS[TESTFAILED]=1&scope=FaultMem", { "status[testFailed]": "1", scope: "FaultMem" }],
  ["count=3&unknown=4&unknown=5", { count: 3 }],
];
for (const [query, values] of READ) {
  test(`query ${query}`, () => assert.deepEqual(parseQuery(SPEC, query), values));
}

const REFUSED: readonly [query: string, text: RegExp][] = [
  ["flag=1", /flag: provided string was not `true` or `false`$/],
  ["include-hash=md5", /include-hash: expected `sha256`$/],
  ["status[testFailed]=maybe", /status\[testFailed\]: expected `true` or `1`$/],
  ["count=-1", /count: must be >= 0$/],
  ["count=x", /count: invalid digit found in string$/],
  ["flag=true&FLAG=true", /duplicate field `flag`$/],
];
for (const [query, text] of REFUSED) {
  test(`query ${query} is refused`, () => {
    const refusal = (error: unknown) =>
      error instanceof Fault &&
      error.kind === "badRequest" &&
      error.message.startsWith("Failed to deserialize query string: ") &&
      text.test(error.message);
    assert.throws(() => parseQuery(SPEC, query), refusal);
  });
}
