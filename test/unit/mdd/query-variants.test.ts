import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import type { VariantScope } from "#mdd/query/layers.ts";
import {
  type DetectionPlan,
  equalsExpected,
  evaluateDuplicates,
  evaluateVariants,
  type MatchingParameter,
} from "#mdd/query/variants.ts";
import fc from "../../fixtures/properties.ts";

// Comparison rules: facts of the format, variant matching.
const EQUAL: readonly (readonly [value: unknown, expected: string, equal: boolean])[] = [
  [257, "257", true],
  [257, "0257", true],
  [3, "3.0", true],
  [0.5, "0.5", true],
  [257, "258", false],
  [257, "0x101", true],
  [257, "", false],
  [0, "", false],
  [9007199254740993n, "9007199254740993", true],
  ["On", "On", true],
  ["On", "on", false],
  ["0x04 0x80", "0480", true],
  ["0x04 0x80", "0x04 0x80", true],
  ["0xBE 0xEF", "be ef", true],
  ["0x04 0x80", "048", false],
  ["AB", "ab", false],
  [true, "true", true],
  [null, "null", false],
  [undefined, "", false],
  [{}, "{}", false],
];

for (const [value, expected, equal] of EQUAL) {
  const shown = typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  test(`${shown} ${equal ? "is" : "is not"} '${expected}'`, () => assert.equal(equalsExpected(value, expected), equal));
}

test("a byte field equals its own hex in every notation", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.constantFrom("", " ", ","), (bytes, separator) => {
      const value = [...bytes].map((byte) => `0x${toHex(Uint8Array.of(byte))}`).join(" ");
      assert.ok(equalsExpected(value, toHex(bytes, separator)));
    }),
  );
});

test("the comparison is total: no value and no expectation makes it throw", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, expected) => typeof equalsExpected(value, expected) === "boolean"),
  );
});

const variant = (name: string, index: number): VariantScope => ({
  kind: "variant",
  index,
  name,
  isBaseVariant: index === 0,
});
const when = (expected: string, parameter = "Id"): MatchingParameter => ({ service: "Ident", parameter, expected });

function plan(
  patterns: Readonly<Record<string, readonly (readonly MatchingParameter[])[]>>,
  base = true,
): DetectionPlan {
  return {
    services: [{ shortName: "Ident", table: 1 }],
    variants: Object.entries(patterns).map(([name, list], i) => ({ variant: variant(name, i + 1), patterns: list })),
    base: base ? variant("Base", 0) : undefined,
  };
}

const PLAN = plan({
  Empty: [[]],
  Both: [[when("1"), when("BEEF", "Part")], [when("2")]],
  One: [[when("1")]],
});

const answers = (Id: number, Part = "0x00") => new Map([["Ident", { Id, Part }]]);

const DETECTED: readonly (readonly [what: string, answers: ReturnType<typeof answers>, expected: string])[] = [
  ["every condition of a pattern must hold", answers(1, "0xBE 0xEF"), "Both"],
  ["the next variant that fits", answers(1), "One"],
  ["any pattern will do", answers(2), "Both"],
  ["none: the base variant", answers(3), "Base (fallback)"],
];

for (const [what, given, expected] of DETECTED) {
  test(`detection: ${what}`, () => {
    const result = evaluateVariants(PLAN, given, true);
    assert.ok(result.state === "Detected");
    assert.equal(result.variant.name + (result.isFallback ? " (fallback)" : ""), expected);
  });
}

test("without fallback, or without a base variant, nothing is detected", () => {
  assert.equal(evaluateVariants(PLAN, answers(3), false).state, "NotDetected");
  assert.equal(evaluateVariants(plan({}, false), answers(3), true).state, "NotDetected");
});

test("a negative response is an answer, silence is none", () => {
  assert.equal(evaluateVariants(PLAN, new Map([["Ident", undefined]]), false).state, "NotDetected");
  assert.equal(evaluateVariants(PLAN, new Map(), true).state, "Offline");
});

// Duplicates: facts of the transport, 4.3.
const MEMBERS = [
  { name: "A", plan: plan({ A1: [[when("1")]] }) },
  { name: "B", plan: plan({ B1: [[when("1")], [when("2")]] }) },
  { name: "C", plan: plan({ C1: [[when("3")]] }) },
];

const GROUPS: readonly (readonly [what: string, answers: ReturnType<typeof answers>, states: readonly string[]])[] = [
  ["the first that fits wins", answers(1), ["Detected", "Duplicate", "Duplicate"]],
  ["any member may win", answers(2), ["Duplicate", "Detected", "Duplicate"]],
  ["a base variant proves nothing", answers(9), ["NotDetected", "NotDetected", "NotDetected"]],
  ["nobody answers", new Map(), ["Offline", "Offline", "Offline"]],
];

for (const [what, given, states] of GROUPS) {
  test(`duplicates: ${what}`, () => {
    assert.deepEqual(
      [...evaluateDuplicates(MEMBERS, given).values()].map(({ state }) => state),
      states,
    );
  });
}
