// The first inputs of test/fuzz/mdd-fuzz.ts, which runs as long as one likes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_SEED } from "../fixtures/seed.ts";
import { runInput, seedFiles } from "./mdd-fuzz-run.ts";

/** About five seconds. */
const INPUTS = 24;

test("damaged databases give an answer or a Fault", async (t) => {
  const files = await seedFiles();
  let walked = 0;
  for (let inputs = 0; inputs < INPUTS; inputs++) {
    const seed = (TEST_SEED + inputs) % 2 ** 31;
    const { isWalked } = await runInput(files, seed).catch((error: Error) =>
      assert.fail(`seed ${seed}: ${error.stack}`),
    );
    if (isWalked) walked++;
  }
  t.diagnostic(`${INPUTS} inputs from seed ${TEST_SEED} on, ${walked} read to the end`);
  assert.ok(walked > 0, "no input got past the verifier");
});
