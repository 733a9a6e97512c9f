import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { CheckReport } from "./check.ts";
import type { StoreLimits } from "./environments.ts";

export interface CheckProcessOptions {
  /** Entry file of the checking process. */
  readonly entry?: string;
  /** A check that takes longer is ended and counts as damage: broken pages can form a ring. Default 10 min. */
  readonly timeoutMs?: number;
}

/**
 * Checks a store that is not in use, in a process of its own: LMDB trusts its pages, so damage to them may end or hang the process that
 * reads them. That, too, is reported as a problem.
 */
export async function checkInProcess(
  folder: string,
  maxBytes: StoreLimits,
  { entry = fileURLToPath(new URL("check-main.ts", import.meta.url)), timeoutMs = 600_000 }: CheckProcessOptions = {},
): Promise<CheckReport> {
  const child = spawn(process.execPath, [...process.execArgv, entry, folder, JSON.stringify(maxBytes)], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const [output, complaint, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  if (code === 0) return JSON.parse(output) as CheckReport;
  const problem = `checking ended with ${signal ?? `code ${code}`}: the pages of the data file are damaged. ${complaint.slice(0, 500)}`;
  return { problems: [{ where: "store", problem: problem.trim() }], values: 0, records: 0, bytes: 0 };
}
