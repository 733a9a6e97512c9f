/** Has stores checked by a process of its own, as damage may end the process that reads it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Checker {
  /**
   * Opens the store of a seed's operations, which must be sound and at one of `candidates`, and makes the next operation there. Returns what
   * is wrong, an end of the process included, or undefined.
   */
  check(folder: string, seed: number, candidates: readonly number[]): Promise<string | undefined>;
  end(): void;
}

const ENTRIES = { operations: "image-checker.ts", uploads: "uploads-checker.ts" } as const;

interface Running {
  readonly child: ChildProcess;
  readonly closed: Promise<unknown[]>;
  readonly answers: AsyncIterator<string>;
}

/** `kind`: what was done to the stores. */
export function startChecker(env: NodeJS.ProcessEnv, kind: keyof typeof ENTRIES = "operations"): Checker {
  const entry = fileURLToPath(new URL(ENTRIES[kind], import.meta.url));
  let running: Running | undefined;

  function start(): Running {
    const stdio = ["pipe", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, ["--import", "tsx", entry], {
      stdio: [...stdio],
      env: { ...process.env, ...env },
    });
    const answers = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
    return { child, closed: once(child, "close"), answers: answers[Symbol.asyncIterator]() };
  }

  return {
    async check(folder, seed, candidates) {
      running ??= start();
      const { child, closed, answers } = running;
      child.stdin?.write(`${[folder, seed, ...candidates].join(" ")}\n`);
      const { value, done } = await answers.next();
      if (done !== true) return value.startsWith("at ") ? undefined : value;
      running = undefined;
      return `the checking process ended with ${(await closed).filter((part) => part !== null).join()}`;
    },
    end: () => void running?.child.stdin?.end(),
  };
}
