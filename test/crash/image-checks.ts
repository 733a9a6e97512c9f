/** How a process that checks stores speaks: for each line `FOLDER SEED CANDIDATE…` of its input it answers `at N` or `failed TEXT`. */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** `check` returns at which of the candidates the store is; it throws what is wrong. Ends with the input. */
export async function answerChecks(
  check: (folder: string, seed: number, candidates: readonly number[]) => Promise<number>,
): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const [folder = "", seed, ...candidates] = line.split(" ");
    const answer = await check(folder, Number(seed), candidates.map(Number)).then(
      (operations) => `at ${operations}`,
      (error: unknown) => `failed ${error instanceof Error ? error.message : String(error)}`.replaceAll("\n", " "),
    );
    writeSync(1, `${answer}\n`);
  }
}
