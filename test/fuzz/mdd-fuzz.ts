// Damaged databases through everything that reads them: `node --import tsx test/fuzz/mdd-fuzz.ts [--minutes N] [--seed N] [--count N]`.
// One input is known again by its seed: `--seed N --count 1`. A stop on the first crash or hang, with that seed.
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { runInput, seedFiles } from "./mdd-fuzz-run.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string" }, seed: { type: "string" }, count: { type: "string" } },
});
const minutes = Number(values.minutes ?? 1);
const first = Number(values.seed ?? Date.now() % 2 ** 31);
const count = Number(values.count ?? Number.MAX_SAFE_INTEGER);

/** An input that takes longer hangs. */
const HANG_MS = 60_000;
/** An input that takes longer is worth a look. */
const SLOW_MS = 2_000;

/** Ends the process when one input takes too long: it runs on a thread of its own, as the main one may never come back. */
const WATCHDOG = `
const { workerData: { state, hangMs } } = require("node:worker_threads");
let last = -1;
let since = Date.now();
setInterval(() => {
  const seed = Atomics.load(state, 0);
  if (seed !== last) [last, since] = [seed, Date.now()];
  else if (Date.now() - since > hangMs) {
    require("node:fs").writeSync(2, "seed " + seed + " hangs\\n");
    process.kill(process.pid, "SIGKILL");
  }
}, 1000);`;

const state = new Int32Array(new SharedArrayBuffer(4));
const watchdog = new Worker(WATCHDOG, { eval: true, workerData: { state, hangMs: HANG_MS } });
const files = await seedFiles();
console.log(`${files.length} databases, ${minutes} minutes, first seed ${first}`);

const end = performance.now() + minutes * 60_000;
const inputs: Record<string, number> = {};
const walked: Record<string, number> = {};
let done = 0;
let slowest = { seed: first, ms: 0 };

for (; done < count && performance.now() < end; done++) {
  const seed = (first + done) % 2 ** 31;
  Atomics.store(state, 0, seed);
  const started = performance.now();
  try {
    const { kind, isWalked } = await runInput(files, seed);
    inputs[kind] = (inputs[kind] ?? 0) + 1;
    if (isWalked) walked[kind] = (walked[kind] ?? 0) + 1;
  } catch (error) {
    writeSync(2, `seed ${seed} crashes: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = 1;
    break;
  }
  const ms = performance.now() - started;
  if (ms > slowest.ms) slowest = { seed, ms };
  if (ms > SLOW_MS) console.log(`seed ${seed} took ${Math.round(ms)} ms`);
}

await watchdog.terminate();
console.log(`${done} inputs from seed ${first} on`);
for (const [kind, number] of Object.entries(inputs))
  console.log(`  ${kind}: ${number}, read to the end ${walked[kind] ?? 0}`);
console.log(
  `slowest: seed ${slowest.seed}, ${Math.round(slowest.ms)} ms; peak resident ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
);
