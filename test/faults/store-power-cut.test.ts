import assert from "node:assert/strict";
import { test } from "node:test";
import { type PowerCutRun, runPowerCuts } from "../crash/power-cuts.ts";
import { missingTracer } from "../crash/write-trace.ts";

/** Ten operations of this seed have every kind among them. */
const RUN = { seed: 1409, operations: 10, largestBytes: 300_000 };
const KINDS = ["apply", "cleanup", "opening", "removal", "rollback", "set", "upload"];

const RUNS: readonly (Omit<PowerCutRun, keyof typeof RUN> & { readonly kinds: readonly string[] })[] = [
  { scenario: "operations", every: 2, kinds: KINDS },
  { scenario: "creation", every: 6, kinds: ["opening"] },
  { scenario: "compaction", every: 2, kinds: ["compaction"] },
  { scenario: "restore", every: 2, kinds: ["restore"] },
  { scenario: "uploads", every: 10, kinds: ["bulk data"] },
];

for (const { kinds, ...run } of RUNS) {
  test(`a power cut at any write or sync of ${run.scenario}: before or after, whole, without help`, async (t) => {
    const missing = missingTracer();
    if (missing !== undefined) return t.skip(`${missing}: writes cannot be recorded`);
    const { passed, failures, images, within, moments } = await runPowerCuts({ ...RUN, ...run });
    t.diagnostic(`${passed} images, ${moments} moments, ${JSON.stringify({ ...images, ...within })}`);
    assert.deepEqual(failures, []);
    assert.ok(passed > 0, "no image was opened");
    for (const kind of kinds) assert.ok((within[kind] ?? 0) > 0, `no cut fell into: ${kind}`);
  });
}
