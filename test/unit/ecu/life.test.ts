import assert from "node:assert/strict";
import test from "node:test";
import { BORN, type Finding, type Life, live, needsDetection, WORDS, wordOf } from "#ecu/life.ts";

const variant = { kind: "variant", index: 1, name: "V", isBaseVariant: false } as const;
const detected: Finding = { kind: "Detected", variant, isFallback: false };
const notDetected: Finding = { kind: "NotDetected" };
const duplicate: Finding = { kind: "Duplicate" };
const notTested: Finding = { kind: "NotTested" };

const ROWS: readonly [Life["connectivity"], Finding, string, boolean][] = [
  ["Offline", duplicate, "Duplicate", false],
  ["Online", duplicate, "Duplicate", false],
  ["Online", detected, "Online", false],
  ["Online", notDetected, "NoVariantDetected", false],
  ["Online", notTested, "NotTested", true],
  ["Offline", notTested, "Offline", true],
  ["Offline", detected, "Disconnected", true],
  ["Offline", notDetected, "Disconnected", true],
];

for (const [connectivity, finding, word, detect] of ROWS) {
  test(`${connectivity} and ${finding.kind}: ${word}`, () => {
    assert.equal(wordOf({ connectivity, finding }), word);
    assert.equal(needsDetection({ connectivity, finding }), detect);
  });
}

test("the rows cover every pair of the table", () => {
  const pairs = Object.values(WORDS).flatMap((row) => Object.keys(row)).length;
  assert.equal(ROWS.length, pairs);
});

test("a gateway that comes back asks for a new detection, one that stays does not", () => {
  const online: Life = { connectivity: "Online", finding: detected };
  assert.equal(live(online, { kind: "gatewayConnected" }), online);
  const away = live(online, { kind: "gatewayClosed" });
  assert.deepEqual(away, { connectivity: "Offline", finding: detected });
  assert.deepEqual(live(away, { kind: "gatewayConnected" }), { connectivity: "Online", finding: notTested });
});

test("silence and a closed gateway keep what detection found", () => {
  for (const kind of ["silent", "gatewayClosed"] as const) {
    assert.equal(wordOf(live({ connectivity: "Online", finding: detected }, { kind })), "Disconnected");
    assert.equal(live(BORN, { kind }), BORN);
  }
});

test("what is found is online", () => {
  assert.equal(wordOf(live(BORN, { kind: "found", finding: detected })), "Online");
  assert.equal(wordOf(live(BORN, { kind: "found", finding: notDetected })), "NoVariantDetected");
});
