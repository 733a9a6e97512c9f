/** Parts of the self-test run as processes of their own: what one uses of the machine must not be another's. */
import { type ChildProcess, spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** This program's own entry, from source or bundle. */
export const ENTRY = realpathSync(process.argv[1]!);

export interface Part {
  readonly pid: number;
  /** What the announcing line said. */
  readonly said: RegExpExecArray;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;

/** Starts this program with other arguments and resolves at the first line of its output that matches. */
export function startPart(args: readonly string[], announced: RegExp, nodeArgs: readonly string[] = []): Promise<Part> {
  const child = spawn(process.execPath, [...process.execArgv, ...nodeArgs, ENTRY, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${args[0]} did not start in ${START_TIMEOUT_MS} ms`));
    }, START_TIMEOUT_MS);
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (output === DRAINED) return;
      output += chunk.toString();
      const said = announced.exec(output);
      if (said === null) return;
      output = DRAINED;
      clearTimeout(timer);
      resolve({ pid: child.pid!, said, stop: () => stop(child) });
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${args.join(" ")} ended with ${code} before it was ready`));
    });
  });
}

/** From then on output is only read, so that the pipe never fills. */
const DRAINED = "\u0000";

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}

/** A thread of this program that runs another of its commands. */
export function startThread(args: readonly string[], workerData: unknown): Worker {
  return new Worker(ENTRY, { argv: [...args], workerData });
}
