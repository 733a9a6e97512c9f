/** The program as a process of its own: from source, or as `SOVD_TEST_PROGRAM` names it, such as one that was packed and installed. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cleanup } from "../fixtures/cleanup.ts";
import { bounded } from "./harness.ts";

const PACKED = process.env.SOVD_TEST_PROGRAM;
/** What Node is started with, before the command. */
export const PROGRAM: readonly string[] =
  PACKED === undefined
    ? ["--import", "tsx", fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))]
    : [PACKED];
const PATIENCE_MS = 200_000;

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function cli(...argv: string[]): Promise<Ended> {
  const run = promisify(execFile)(process.execPath, [...PROGRAM, ...argv], { timeout: PATIENCE_MS });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  );
}

export interface Started {
  /** The first line of its output that matches, also one that has come already. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  /** Asks it to end. Resolves with its exit code. */
  end(): Promise<number | null>;
}

/** A command that goes on. Killed when the test ends. */
export function start(t: TestContext, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(process.execPath, [...PROGRAM, ...argv], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  cleanup(t, () => child.kill("SIGKILL"));
  const exit = once(child, "exit") as Promise<[number | null]>;
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const each of waiting) each();
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    wake();
  });
  void exit.then(wake);
  return {
    line: async (pattern) => {
      const find = () => lines.map((line) => pattern.exec(line)).find((match) => match !== null);
      await bounded<void>(`${pattern}`, (resolve) => {
        const look = () => (find() === undefined && child.exitCode === null ? waiting.add(look) : resolve());
        look();
      });
      const found = find();
      if (found == null) throw new Error(`${argv[0]} ended before ${pattern}:\n${lines.join("\n")}`);
      return found;
    },
    end: async () => {
      child.kill("SIGTERM");
      return (await exit)[0];
    },
  };
}
