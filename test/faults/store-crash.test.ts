import assert from "node:assert/strict";
import { test } from "node:test";
import { runCrashes } from "../crash/harness.ts";

test("a killed process leaves the store before or after what it was doing, whole, without help", async (t) => {
  const seed = Number(process.env.CRASH_SEED ?? Date.now() % 100_000);
  const { passed, failures, steps } = await runCrashes({ kills: 30, seed, timeLimitMs: 30_000 });
  t.diagnostic(`seed ${seed}: ${passed} kills survived, ${JSON.stringify(steps)}`);
  assert.deepEqual(failures, []);
  assert.ok(passed > 0, "nothing was killed");
});
