/** What the bench of the codecs calls slower: beyond the noise of both runs, and only then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Baseline, baselineOf, baselineRow, better, changes } from "../../../native-free-bench/baseline.ts";
import type { Measured } from "../../../native-free-bench/measure.ts";

const row = (ratios: number[], bytesPerOperation = 100): Measured => ({ nsPerOperation: 1, ratios, bytesPerOperation });
const quiet = (ratio: number, bytes = 100) => row([ratio * 0.99, ratio, ratio, ratio, ratio * 1.01], bytes);
const baseline = (rows: Baseline["rows"]): Baseline => ({ node: "v20.0.0", arch: "x64", rows });

test("a row is kept as the median of its rounds and the distance of their quartiles", () => {
  assert.deepEqual(baselineRow(row([9, 1, 2, 2.2, 1.9], 7)), { ratio: 2, noise: 0.15, bytes: 7 });
  const { rows, node } = baselineOf({ a: quiet(2) });
  assert.equal(node, process.version);
  assert.deepEqual(rows, { a: { ratio: 2, noise: 0, bytes: 100 } });
});

const CASES: readonly { name: string; noise: number; now: Measured; found: readonly string[] }[] = [
  { name: "the same", noise: 0, now: quiet(1), found: [] },
  { name: "faster", noise: 0, now: quiet(0.5), found: [] },
  { name: "within the least noise", noise: 0, now: quiet(1.17), found: [] },
  { name: "beyond it", noise: 0, now: quiet(1.2), found: ["slower"] },
  { name: "within the noise of the baseline", noise: 0.2, now: quiet(1.5), found: [] },
  { name: "beyond that", noise: 0.2, now: quiet(1.7), found: ["slower"] },
  { name: "within the noise of this run", noise: 0, now: row([1, 1.1, 1.3, 1.5, 1.6]), found: [] },
  { name: "objects a little larger", noise: 0, now: quiet(1, 170), found: [] },
  { name: "more objects", noise: 0, now: quiet(1, 180), found: ["allocates more"] },
  { name: "both", noise: 0, now: quiet(2, 1_000), found: ["slower", "allocates more"] },
];
for (const { name, noise, now, found } of CASES) {
  test(`compared with the baseline: ${name}`, () => {
    const changed = changes(baseline({ a: { ratio: 1, noise, bytes: 100 } }), { a: now });
    assert.deepEqual(
      changed.map(({ what }) => what),
      found,
    );
    for (const { now, limit } of changed) assert(now > limit);
  });
}

test("a row that is gone is named, a new one is not", () => {
  const changed = changes(baseline({ gone: { ratio: 1, noise: 0, bytes: 1 } }), { new: quiet(5) });
  assert.deepEqual(
    changed.map(({ name, what }) => [name, what]),
    [["gone", "missing"]],
  );
});

test("of two measurements the better one counts: what is slow only once was the machine", () => {
  const merged = better({ a: quiet(2, 50), b: quiet(1) }, { a: quiet(1, 80), c: quiet(3) });
  assert.equal(baselineRow(merged.a!).ratio, 1);
  assert.equal(merged.a!.bytesPerOperation, 50);
  assert.deepEqual(Object.keys(merged), ["a", "b", "c"]);
  assert.equal(baselineRow(better({ a: quiet(1) }, { a: quiet(2) }).a!).ratio, 1);
});
