/** The table of deviations: every row names a file and an option that exist; every option that bends the CDA is in a row. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { DEVIATIONS, renderCompatibility } from "#sovd/compatibility.ts";
import { SOVD_DEFAULTS, type SovdOptions } from "#sovd/context.ts";

const SRC = new URL("../../../src/", import.meta.url);

for (const { subject, where, option } of DEVIATIONS) {
  test(`deviation: ${subject}`, () => {
    assert.ok(existsSync(new URL(where, SRC)), `${where} is not there`);
    if (option !== undefined) assert.ok(option in SOVD_DEFAULTS);
  });
}

test("subjects are told once", () => {
  const subjects = DEVIATIONS.map(({ subject }) => subject);
  assert.equal(new Set(subjects).size, subjects.length);
});

/** Options that are no choice between the CDA's way and another. */
const PLAIN: readonly (keyof SovdOptions)[] = [
  "healthEnabled",
  "updatesEnabled",
  "retryAfterS",
  "maxSubscriptions",
  "maxEndedExecutions",
  "componentFields",
];

test("every other option is some row's", () => {
  const named = new Set<string>(DEVIATIONS.flatMap(({ option }) => option ?? []));
  const missing = Object.keys(SOVD_DEFAULTS).filter(
    (key) => !named.has(key) && !PLAIN.includes(key as keyof SovdOptions),
  );
  assert.deepEqual(missing, []);
});

test("the page has a line per row", () => {
  const lines = renderCompatibility()
    .split("\n")
    .filter((line) => line.startsWith("| "));
  assert.equal(lines.length, DEVIATIONS.length + 1);
  for (const line of lines) assert.equal(line.replaceAll("\\|", "").split("|").length, 7, line);
});
