// Random definitions, values and bytes through the codec; 2 000 cases. `node --import tsx test/fuzz/codec-nightly.ts` runs 100 000.
import { test } from "node:test";
import { TEST_SEED } from "../fixtures/seed.ts";
import { check, PROPERTIES } from "./codec-properties.ts";

const RUNS = 2000;

for (const [name, property] of Object.entries(PROPERTIES))
  test(`codec: ${name}`, (t) => {
    t.diagnostic(`seed ${TEST_SEED}`);
    check(property, Math.ceil(RUNS / Object.keys(PROPERTIES).length), TEST_SEED);
  });
