/** Fuzzing at length: `--minutes 10 --seed n --only name`. Prints counts and seeds; inputs that fail stay in the corpus. */
import { parseArgs } from "node:util";
import { newSeed } from "./random.ts";
import { fuzz } from "./target.ts";
import { TARGETS } from "./targets.ts";

const { values: options } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, seed: { type: "string" }, only: { type: "string" } },
});
const seed = options.seed === undefined ? newSeed() : Number(options.seed);
const chosen = TARGETS.filter(([{ name }]) => options.only === undefined || options.only === name);
const shares = chosen.reduce((sum, [, { share }]) => sum + share, 0);

let failed = 0;
for (const [target, { share }] of chosen) {
  const durationMs = (Number(options.minutes) * 60_000 * share) / shares;
  const result = await fuzz(target, { seed, until: { durationMs }, save: true });
  const counts = Object.entries(result.outcomes)
    .toSorted(([, a], [, b]) => b - a)
    .map(([outcome, count]) => `${outcome} ${count}`);
  process.stdout.write(
    `${result.name}: seed ${seed}, ${result.replayed} of the corpus, ${result.cases} cases: ${counts.join(", ")}\n`,
  );
  for (const failure of result.failures) process.stdout.write(`  FAILED ${failure}\n`);
  failed += result.failures.length;
}
process.stdout.write(`failures ${failed}\n`);
process.exitCode = failed === 0 ? 0 : 1;
