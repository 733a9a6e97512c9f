/** Many kills of a process at work on a store: `node --import tsx test/crash/run.ts --kills N --seed S`. */
import { parseArgs } from "node:util";
import { runCrashes } from "./harness.ts";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" } },
});
const { passed, failures, steps } = await runCrashes({ kills: Number(values.kills), seed: Number(values.seed) });
for (const failure of failures) console.log(failure);
console.log(steps);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0;
