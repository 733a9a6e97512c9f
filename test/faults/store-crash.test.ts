import assert from "node:assert/strict";
import { test } from "node:test";
import { runCrashes } from "../crash/harness.ts";
import { TEST_SEED } from "../fixtures/seed.ts";

/** About twenty seconds of two processes at a time. */
const KILLS = 20;

test("a killed process leaves the store before or after what it was doing, whole, without help", async (t) => {
  const { passed, failures, steps } = await runCrashes({ kills: KILLS, seed: TEST_SEED });
  t.diagnostic(`seed ${TEST_SEED}: ${passed} kills survived, ${JSON.stringify(steps)}`);
  assert.deepEqual(failures, []);
  assert.ok(passed > 0, "nothing was killed");
});
