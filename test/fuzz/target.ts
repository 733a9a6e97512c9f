/** One thing that is fuzzed, and the loop that does it: past failures first, then new inputs until the time is up. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Random, seeded } from "./random.ts";

/** `Input` is plain JSON: a failure is kept as a file and replayed. */
export interface FuzzTarget<Input> {
  readonly name: string;
  generate(random: Random): Input;
  start(): Promise<FuzzRun<Input>>;
}

export interface FuzzRun<Input> {
  /** A word for what came of it. Throws when the program did not bear the input. */
  run(input: Input): Promise<string>;
  close(): Promise<void>;
}

export interface FuzzResult {
  readonly name: string;
  readonly seed: number;
  readonly replayed: number;
  readonly cases: number;
  /** How often each outcome came. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

export interface FuzzOptions {
  readonly seed: number;
  /** When it is enough: after a time, or after a number of cases, which are the same ones on a fast machine and on a slow one. */
  readonly until: { readonly durationMs: number } | { readonly cases: number };
  /** Keep inputs that fail in the corpus. */
  readonly save?: boolean;
}

const CORPUS = fileURLToPath(new URL("./corpus", import.meta.url));
const MAX_FAILURES = 10;

export async function fuzz<Input>(target: FuzzTarget<Input>, options: FuzzOptions): Promise<FuzzResult> {
  const outcomes: Record<string, number> = {};
  const failures: string[] = [];
  const random = seeded(options.seed);
  const past = await corpusOf<Input>(target.name);
  const run = await target.start();
  let stray: unknown;
  const onStray = (error: unknown) => {
    stray ??= error;
  };
  process.on("uncaughtException", onStray);
  process.on("unhandledRejection", onStray);
  const one = async (input: Input) => {
    stray = undefined;
    try {
      const outcome = await run.run(input);
      if (stray !== undefined) throw stray;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    } catch (error) {
      const kept = options.save ? await save(target.name, input) : JSON.stringify(input).slice(0, 500);
      failures.push(`${(error as Error).stack ?? error} — input ${kept}`);
    }
  };
  let cases = 0;
  try {
    for (const input of past) await one(input);
    const isOver = ending(options.until);
    for (; !isOver(cases) && failures.length < MAX_FAILURES; cases++) await one(target.generate(random));
  } finally {
    await run.close();
    process.off("uncaughtException", onStray);
    process.off("unhandledRejection", onStray);
  }
  return { name: target.name, seed: options.seed, replayed: past.length, cases, outcomes, failures };
}

function ending(until: FuzzOptions["until"]): (cases: number) => boolean {
  if ("cases" in until) return (cases) => cases >= until.cases;
  const endMs = performance.now() + until.durationMs;
  return () => performance.now() >= endMs;
}

async function corpusOf<Input>(name: string): Promise<Input[]> {
  const files = await readdir(join(CORPUS, name)).catch(() => []);
  return Promise.all(
    files.toSorted().map(async (file) => JSON.parse(await readFile(join(CORPUS, name, file), "utf8"))),
  );
}

async function save(name: string, input: unknown): Promise<string> {
  const text = JSON.stringify(input);
  const file = join(CORPUS, name, `${createHash("sha1").update(text).digest("hex").slice(0, 12)}.json`);
  await mkdir(join(CORPUS, name), { recursive: true });
  await writeFile(file, `${text}\n`);
  return file;
}
