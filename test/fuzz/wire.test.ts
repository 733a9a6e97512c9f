// Some cases of each fuzz target, past failures first. `npm run test:fuzz -- --minutes 10` does it at length.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_SEED } from "../fixtures/seed.ts";
import { fuzz } from "./target.ts";
import { TARGETS } from "./targets.ts";

for (const [target, { cases: wanted }] of TARGETS)
  test(`fuzz: ${target.name}`, async (t) => {
    t.diagnostic(`seed ${TEST_SEED}`);
    const { cases, replayed, failures } = await fuzz(target, { seed: TEST_SEED, until: { cases: wanted } });
    t.diagnostic(`${replayed} of the corpus, ${cases} cases`);
    assert.deepEqual(failures, []);
    assert.equal(cases, wanted);
  });
