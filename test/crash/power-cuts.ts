/**
 * Power cuts: a kill leaves the page cache, a power cut does not. The writes and syncs of a process at work on a store are recorded, and
 * for every moment between two of them the disk is made as a cut would have left it, opened and checked.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Checker, startChecker } from "./checker.ts";
import { createDisk, type Disk, LOSSES } from "./disk.ts";
import { modelAfter } from "./inspect.ts";
import { operationAt, randomFrom } from "./model.ts";
import { backUp, runOperations } from "./prepare.ts";
import { type TracedCall, traceWrites } from "./write-trace.ts";

/** What the recorded process does. */
export const SCENARIOS = ["creation", "operations", "compaction", "restore", "uploads"] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface PowerCutRun {
  readonly scenario: Scenario;
  readonly seed: number;
  /** Operations of the recorded process, or of the one before it. */
  readonly operations: number;
  /** Contents that are longer are left out. */
  readonly largestBytes?: number;
  /** Only every so manieth moment. */
  readonly every?: number;
  /** No image is begun later than this behind the recording. */
  readonly timeLimitMs?: number;
}

export interface PowerCutResult {
  /** Images that were opened and found right. */
  readonly passed: number;
  readonly failures: readonly string[];
  /** Images by what the cut left of unsynced writes. */
  readonly images: Readonly<Record<string, number>>;
  /** Images by what the cut fell into. */
  readonly within: Readonly<Record<string, number>>;
  /** Moments for a cut that were wanted, and those that were tried. */
  readonly moments: number;
  readonly tried: number;
}

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const UPLOADER = fileURLToPath(new URL("uploads-child.ts", import.meta.url));
const MAINTAIN = fileURLToPath(new URL("maintain.ts", import.meta.url));
const LANES = 2;
const MOST_FAILURES = 20;

/** What may be found after a cut, and what the process was at. */
interface Expected {
  readonly candidates: readonly number[];
  readonly within: string;
}

/** Records one process and tries every moment of it. */
export async function runPowerCuts(run: PowerCutRun): Promise<PowerCutResult> {
  const { largestBytes = Number.POSITIVE_INFINITY, timeLimitMs = Number.POSITIVE_INFINITY, every = 1 } = run;
  const home = mkdtempSync(join(tmpdir(), "power-cuts-"));
  const env = { CRASH_LARGEST_BYTES: String(largestBytes) };
  try {
    const { disk, expectedAt } = await record(run, home, env);
    const end = performance.now() + timeLimitMs;
    const tally = { passed: 0, failures: [] as string[], images: {}, within: {} };
    const wanted = disk.moments.filter((_, index) => index % every === 0);
    const queue = spread(wanted).values();
    let tried = 0;
    const lane = async (number: number) => {
      const checker = startChecker(env, run.scenario === "uploads" ? "uploads" : "operations");
      const place = join(home, `image-${number}`);
      try {
        for (const line of queue) {
          if (performance.now() > end || tally.failures.length >= MOST_FAILURES) break;
          tried++;
          await tryMoment({ disk, line, seed: run.seed, expected: expectedAt(line), place, checker, tally });
        }
      } finally {
        checker.end();
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
    return { ...tally, moments: wanted.length, tried };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Rounds over the whole with wide steps, so that a run that is out of time has been everywhere. */
function spread(lines: readonly number[]): number[] {
  const step = Math.ceil(Math.sqrt(lines.length));
  return Array.from({ length: step }, (_, from) => lines.filter((_, index) => index % step === from)).flat();
}

interface Recorded {
  readonly disk: Disk;
  expectedAt(line: number): Expected;
}

async function record(run: PowerCutRun, home: string, env: NodeJS.ProcessEnv): Promise<Recorded> {
  const { scenario, seed, operations } = run;
  const [folder, before, backup] = [join(home, "data"), join(home, "before"), join(home, "backup")];
  mkdirSync(folder);
  // what is there when the recorded process begins, in operations
  const at = { creation: 0, operations: 1, compaction: operations, restore: operations, uploads: 1 }[scenario];
  const backedUp = Math.floor(operations / 2);
  if (scenario === "restore") {
    await runOperations(folder, seed, { from: 0, to: backedUp }, env);
    await backUp(folder, backup);
  }
  if (at > 0) await runOperations(folder, seed, { from: scenario === "restore" ? backedUp : 0, to: at }, env);
  cpSync(folder, before, { recursive: true });

  const maintaining = scenario === "compaction" || scenario === "restore";
  const args = maintaining
    ? [MAINTAIN, folder, scenario, backup]
    : scenario === "uploads"
      ? [UPLOADER, folder, String(seed)]
      : [CHILD, folder, seed, at, operations - at].map(String);
  const calls = await traceWrites(folder, join(home, "trace"), args, env);
  const disk = createDisk(folder, before, calls);
  const said = (word: string) => linesSaid(calls, word);
  if (maintaining) {
    const [ended = Number.POSITIVE_INFINITY] = said("ended");
    const to = scenario === "restore" ? backedUp : at;
    return { disk, expectedAt: (line) => ({ candidates: line < ended ? [at, to] : [to], within: scenario }) };
  }
  const [ready = 0] = said("ready");
  const acknowledged = said("ack");
  if (scenario === "uploads") {
    const done = (line: number) => acknowledged.filter((begun) => begun <= line).length;
    return {
      disk,
      expectedAt: (line) => ({ candidates: [done(line)], within: line < ready ? "opening" : "bulk data" }),
    };
  }
  return {
    disk,
    expectedAt(line) {
      const done = at + acknowledged.filter((begun) => begun <= line).length;
      return { candidates: [done, done + 1], within: line < ready ? "opening" : kindOf(seed, done) };
    },
  };
}

/** Lines at which the process began to say a word. */
function linesSaid(calls: readonly TracedCall[], word: string): number[] {
  return calls.flatMap(({ what, begin }) => (what.kind === "say" && what.text.split(" ")[0] === word ? [begin] : []));
}

interface Tally {
  passed: number;
  readonly failures: string[];
  readonly images: Record<string, number>;
  readonly within: Record<string, number>;
}

interface Moment {
  readonly disk: Disk;
  readonly line: number;
  readonly seed: number;
  readonly expected: Expected;
  readonly place: string;
  readonly checker: Checker;
  readonly tally: Tally;
}

async function tryMoment({ disk, line, seed, expected, place, checker, tally }: Moment): Promise<void> {
  const { candidates, within } = expected;
  for (const [index, loss] of LOSSES.entries()) {
    rmSync(place, { recursive: true, force: true });
    const random = randomFrom(seed * 7919 + line * LOSSES.length + index);
    if (!disk.leave(line, loss, random, place)) return;
    const wrong = await checker.check(place, seed, candidates);
    if (wrong === undefined) tally.passed++;
    else tally.failures.push(`seed ${seed}, line ${line} (${within}), ${loss}: ${wrong}`);
    tally.images[loss] = (tally.images[loss] ?? 0) + 1;
    tally.within[within] = (tally.within[within] ?? 0) + 1;
  }
}

function kindOf(seed: number, done: number): string {
  return operationAt(seed, done, modelAfter(seed, done)).name.split(" ")[0] ?? "";
}
