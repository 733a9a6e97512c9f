/** Compaction and restore, killed for real: afterwards the store is the old one or the new one, whole, and opens by itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startChecker } from "./checker.ts";
import type { CrashRun } from "./harness.ts";
import { randomFrom } from "./model.ts";
import { backUp, runOperations } from "./prepare.ts";

export interface MaintenanceResult {
  /** Kills after which the store was found right. */
  readonly passed: number;
  readonly failures: readonly string[];
  /** By what was killed; those that were over before the kill came count as `ended`. */
  readonly killed: Readonly<Record<string, number>>;
}

const MAINTAIN = fileURLToPath(new URL("maintain.ts", import.meta.url));
const BACKED_UP = 6;
const OPERATIONS = 14;
/** What may be left in the store's folder beside the store once it was opened and closed. */
const PRESENT = ["store"];

/** Kills compactions and restores at moments spread over as long as they take. */
export async function runMaintenanceKills(run: CrashRun): Promise<MaintenanceResult> {
  const { kills, seed, timeLimitMs = Number.POSITIVE_INFINITY } = run;
  const end = performance.now() + timeLimitMs;
  const random = randomFrom(seed);
  const home = mkdtempSync(join(tmpdir(), "maintenance-kills-"));
  const result = { passed: 0, failures: [] as string[], killed: {} as Record<string, number> };
  const [folder, backup] = [join(home, "data"), join(home, "backup")];
  const checker = startChecker({});
  /** How long each takes, measured by those that ended. */
  const lastsMs: Record<string, number> = { compaction: 50, restore: 50 };
  for (let kill = 0; kill < kills && performance.now() < end && result.failures.length === 0; kill++) {
    // the check makes another operation: each kill meets a store of its own
    rmSync(folder, { recursive: true, force: true });
    await runOperations(folder, seed + kill, { from: 0, to: BACKED_UP });
    await backUp(folder, backup);
    await runOperations(folder, seed + kill, { from: BACKED_UP, to: OPERATIONS });
    const mode = random(2) === 0 ? "compaction" : "restore";
    const afterMs = (random(1000) / 1000) * lastsMs[mode]! * 1.1;
    const { ended, tookMs } = await killAfter([MAINTAIN, folder, mode, backup], afterMs);
    if (ended) lastsMs[mode] = tookMs;
    const to = mode === "restore" ? BACKED_UP : OPERATIONS;
    const wrong = await checker.check(folder, seed + kill, ended ? [to] : [OPERATIONS, to]);
    const left = readdirSync(folder).filter((name) => !PRESENT.includes(name) && !name.endsWith(".lock"));
    if (wrong === undefined && left.length === 0) result.passed++;
    else
      result.failures.push(
        `seed ${seed}, kill ${kill} of ${mode} after ${afterMs} ms: ${wrong ?? left} (${home} kept)`,
      );
    const word = ended ? "ended" : mode;
    result.killed[word] = (result.killed[word] ?? 0) + 1;
  }
  checker.end();
  if (result.failures.length === 0) rmSync(home, { recursive: true });
  return result;
}

async function killAfter(args: readonly string[], afterMs: number): Promise<{ ended: boolean; tookMs: number }> {
  const child = spawn(process.execPath, ["--import", "tsx", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let begun = 0;
  let ended = false;
  let tookMs = 0;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line === "begun") {
      begun = performance.now();
      // The moment of a power cut is nobody's choice: here only, time is what is tested.
      setTimeout(() => child.kill("SIGKILL"), afterMs);
    } else if (line === "ended") {
      ended = true;
      tookMs = performance.now() - begun;
    }
  });
  await once(child, "close");
  return { ended, tookMs };
}
