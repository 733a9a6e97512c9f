/**
 * Many kills and power cuts: `node --import tsx test/crash/run.ts [MODE] [--kills N | --operations N] [--seed S] [--minutes M]`.
 * Kills hit a process at work on a store; with `--server` the whole server under uploads and updates; with `--maintenance` a compaction or
 * restore. `--power-cuts` records the writes of such processes (strace) and opens what a cut at each moment leaves.
 */
import { parseArgs } from "node:util";
import { runCrashes } from "./harness.ts";
import { runMaintenanceKills } from "./maintenance.ts";
import { runPowerCuts, SCENARIOS } from "./power-cuts.ts";
import { runServerCrashes } from "./server.ts";
import { missingTracer } from "./write-trace.ts";

interface Result {
  readonly passed: number;
  readonly failures: readonly string[];
}

const { values } = parseArgs({
  options: {
    server: { type: "boolean", default: false },
    maintenance: { type: "boolean", default: false },
    "power-cuts": { type: "boolean", default: false },
    kills: { type: "string", default: "200" },
    operations: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "30" },
  },
});
const seed = Number(values.seed);
const plan = { kills: Number(values.kills), seed, timeLimitMs: Number(values.minutes) * 60_000 };

/** Another seed each round, and with the second round the large contents too. */
async function* powerCuts(): AsyncGenerator<Result> {
  const missing = missingTracer();
  if (missing !== undefined) throw new Error(`${missing}: writes cannot be recorded`);
  const end = performance.now() + plan.timeLimitMs;
  for (let round = 0; performance.now() < end; round++) {
    for (const scenario of SCENARIOS) {
      const timeLimitMs = end - performance.now();
      if (timeLimitMs <= 0) return;
      const size = round % 2 === 0 ? { largestBytes: 300_000 } : {};
      const operations = Number(values.operations);
      const result = await runPowerCuts({ scenario, seed: seed + round, operations, timeLimitMs, ...size });
      console.log(`${scenario}, seed ${seed + round}:`, result);
      yield result;
    }
  }
}

async function* kills(): AsyncGenerator<Result> {
  const run = values.server ? runServerCrashes : values.maintenance ? runMaintenanceKills : runCrashes;
  const { passed, failures, ...seen } = await run(plan);
  for (const failure of failures) console.log(failure);
  console.log(seen);
  yield { passed, failures };
}

let passed = 0;
let failed = 0;
for await (const result of values["power-cuts"] ? powerCuts() : kills()) {
  passed += result.passed;
  failed += result.failures.length;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
