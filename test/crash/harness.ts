import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { randomFrom } from "./model.ts";

export interface CrashRun {
  /** Kills wanted. */
  readonly kills: number;
  readonly seed: number;
  /** No new process is started after it. */
  readonly timeLimitMs?: number;
}

export interface CrashResult {
  /** Kills after which the store was found exactly before or after the operation under way. */
  readonly passed: number;
  readonly failures: readonly string[];
  /** Kills by the step they hit; `any` are those at a random moment. */
  readonly steps: Readonly<Record<string, number>>;
}

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const STEPS = [
  "stage.begin",
  "stage.chunks",
  "stage.stored",
  "stage.named",
  "commit.before",
  "commit.inside",
  "commit.after",
  "operation.sent",
  "operation.done",
] as const;
const LANES = 2;
const OPERATIONS = 60;
const LONGEST_LIFE_MS = 60;

/** Kills processes at work on a store, at named steps and at random moments, two at a time, and checks what each left. */
export async function runCrashes({
  kills,
  seed,
  timeLimitMs = Number.POSITIVE_INFINITY,
}: CrashRun): Promise<CrashResult> {
  const end = performance.now() + timeLimitMs;
  const result = { passed: 0, failures: [] as string[], steps: {} as Record<string, number> };
  let left = kills;
  const takeKill = () => left > 0 && performance.now() < end && left-- > 0;
  await Promise.all(Array.from({ length: LANES }, (_, lane) => runLane(seed * LANES + lane, takeKill, result)));
  return result;
}

interface Tally {
  passed: number;
  readonly failures: string[];
  readonly steps: Record<string, number>;
}

async function runLane(seed: number, takeKill: () => boolean, tally: Tally): Promise<void> {
  const random = randomFrom(seed);
  const folder = mkdtempSync(join(tmpdir(), "sovd-crash-"));
  let done = 0;
  let killedAt: string | undefined;
  while (true) {
    const killing = takeKill();
    const step = killing && random(3) > 0 ? STEPS[random(STEPS.length)] : undefined;
    const atRandom = killing && step === undefined;
    const life = await live({
      args: [folder, seed, done, killing ? OPERATIONS : 0, ...(step === undefined ? [] : [step, 1 + random(6)])],
      killAfterMs: atRandom ? random(LONGEST_LIFE_MS * 10) / 10 : undefined,
      killFrom: random(4) === 0 ? "opening" : "ready",
    });
    const killedOnTheWay = killing && life.exit === "SIGKILL";
    if ((!life.ready && !killedOnTheWay) || life.failure !== undefined) {
      tally.failures.push(
        `seed ${seed}, ${done} done, killed at ${killedAt}: ${life.failure ?? `exit ${life.exit}`} (${folder} kept)`,
      );
      return;
    }
    if (!life.ready) continue;
    if (killedAt !== undefined) tally.passed++;
    done = life.done;
    killedAt = life.exit === "SIGKILL" ? (step ?? "any") : undefined;
    if (killedAt !== undefined) tally.steps[killedAt] = (tally.steps[killedAt] ?? 0) + 1;
    if (!killing) break;
  }
  rmSync(folder, { recursive: true });
}

interface Life {
  readonly ready: boolean;
  readonly done: number;
  readonly failure: string | undefined;
  readonly exit: string;
}

interface Plan {
  readonly args: readonly (string | number)[];
  readonly killAfterMs: number | undefined;
  /** The event from which the time runs. */
  readonly killFrom: "opening" | "ready";
}

async function live(plan: Plan): Promise<Life> {
  const child = spawn(process.execPath, ["--import", "tsx", CHILD, ...plan.args.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const life = { ready: false, done: Number(plan.args[2]), failure: undefined as string | undefined };
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const [word, ...rest] = line.split(" ");
    if (word === "ready" || word === "ack") life.done = Number(rest[0]);
    if (word === "ready") life.ready = true;
    // The moment of a power cut is nobody's choice: here only, time is what is tested.
    if (word === plan.killFrom && plan.killAfterMs !== undefined)
      setTimeout(() => child.kill("SIGKILL"), plan.killAfterMs);
    if (word === "failed") life.failure = rest.join(" ");
  });
  const [code, signal] = await closed;
  return { ...life, exit: signal ?? String(code) };
}
