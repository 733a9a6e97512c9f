import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDelay } from "#sim/delay-text.ts";
import { drawDelay } from "#sim/misbehaviour.ts";

const CASES: Readonly<Record<string, unknown>> = {
  "0": 0,
  "2.5": 2.5,
  "2-8": { kind: "uniform", minMs: 2, maxMs: 8 },
  "10~3": { kind: "normal", meanMs: 10, deviationMs: 3 },
  "5:90,50:10": {
    kind: "weighted",
    values: [
      { ms: 5, weight: 90 },
      { ms: 50, weight: 10 },
    ],
  },
  "": undefined,
  "-1": undefined,
  "8-2": undefined,
  "5:0": undefined,
  fast: undefined,
  "5:90,": undefined,
};
for (const [text, expected] of Object.entries(CASES)) {
  test(`delay "${text}"`, () => assert.deepEqual(parseDelay(text), expected));
}

test("a weighted delay is drawn as often as its weight says", () => {
  const delay = parseDelay("5:90,50:10")!;
  const drawn = Array.from({ length: 100 }, (_, i) => drawDelay(delay, () => i / 100));
  assert.equal(drawn.filter((ms) => ms === 5).length, 90);
});
