/**
 * Checks stores that something was done to: for each line `FOLDER SEED CANDIDATE…` of its input it opens the store there, proves it sound
 * and exactly at one of these numbers of operations, and lets it take another one. Answers `at N` or `failed TEXT`, a line each.
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { modelAfter, openSound, progressOf, requireSound } from "./inspect.ts";
import { compare, operationAt } from "./model.ts";

async function check(folder: string, seed: number, candidates: readonly number[]): Promise<number> {
  const opened = await openSound(folder);
  try {
    const index = progressOf(opened, seed, candidates);
    const model = modelAfter(seed, index);
    // free pages that are not free would show only now
    const operation = operationAt(seed, index, model);
    await operation.run(opened);
    compare(opened, operation.model(model));
    requireSound(opened.store);
    return index;
  } finally {
    await opened.store.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [folder = "", seed, ...candidates] = line.split(" ");
  const answer = await check(folder, Number(seed), candidates.map(Number)).then(
    (operations) => `at ${operations}`,
    (error: unknown) => `failed ${error instanceof Error ? error.message : String(error)}`.replaceAll("\n", " "),
  );
  writeSync(1, `${answer}\n`);
}
