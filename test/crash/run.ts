/**
 * Many kills: of a process at work on a store, or with `--server` of the whole server under uploads and updates.
 * `node --import tsx test/crash/run.ts [--server] --kills N --seed S`.
 */
import { parseArgs } from "node:util";
import { runCrashes } from "./harness.ts";
import { runServerCrashes } from "./server.ts";

const { values } = parseArgs({
  options: {
    server: { type: "boolean", default: false },
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
  },
});
const plan = { kills: Number(values.kills), seed: Number(values.seed) };
const { passed, failures, ...seen } = await (values.server ? runServerCrashes(plan) : runCrashes(plan));
for (const failure of failures) console.log(failure);
console.log(seen);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0;
