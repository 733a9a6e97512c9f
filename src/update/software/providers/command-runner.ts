/** Runs a configured program: an argument list, never a shell; a time limit; output to the log, bounded. */
import { spawn } from "node:child_process";
import { Fault } from "#core/errors.ts";
import type { UpdateJob } from "../provider.ts";

export interface RunOptions {
  readonly timeoutMs: number;
  /** Whose log and signal it runs under. */
  readonly job?: UpdateJob | undefined;
}

/** Resolves with the standard output; a Fault when the program ends otherwise than with 0, or not in time. */
export type CommandRunner = (argv: readonly string[], options: RunOptions) => Promise<string>;

/** Output kept of a program, for the log and the answer. */
const MAX_OUTPUT_CHARACTERS = 16 * 1024;

/** `sovd-edge` keeps its environment to itself: a program gets only what it needs to find others. */
const PASSED = ["PATH", "HOME", "LANG", "TZ"] as const;

export const runCommand: CommandRunner = async (argv, { timeoutMs, job }) => {
  const [program, ...args] = argv;
  if (program === undefined) throw new Fault("misconfigured", "An empty command");
  job?.signal.throwIfAborted();
  const env = Object.fromEntries(PASSED.map((name) => [name, process.env[name]]));
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    const take = (chunk: Buffer): void => {
      if (output.length < MAX_OUTPUT_CHARACTERS) output += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", (chunk: Buffer) => job?.log("output", { program, text: chunk.toString().slice(0, 1024) }));
    let stopped: string | undefined;
    const stop = (why: string): void => {
      stopped ??= why;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const timer = setTimeout(() => stop(`did not end within ${timeoutMs} ms`), timeoutMs);
    const onAbort = (): void => stop("was stopped");
    job?.signal.addEventListener("abort", onAbort, { once: true });
    const settle = (error?: Fault): void => {
      clearTimeout(timer);
      job?.signal.removeEventListener("abort", onAbort);
      job?.log("command ended", { program, output });
      if (error === undefined) resolve(output);
      else reject(error);
    };
    child.once("error", (error) => settle(new Fault("severe", `${program}: ${error.message}`, undefined, error)));
    child.once("close", (code, signal) => {
      if (stopped !== undefined) settle(new Fault("severe", `${program} ${stopped}`));
      else if (code === 0) settle();
      else settle(new Fault("severe", `${program} ended with ${signal ?? code}`, { exitCode: code }));
    });
  });
};

/** With its own children: a package manager that goes on alone would meet its successor. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // it ended by itself meanwhile
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Places in an argument, filled as text: `{component}`, `{campaign}`, `{version}`, `{previous}`, `{file}`. */
export function fill(
  argv: readonly string[],
  job: Partial<Pick<UpdateJob, "component" | "campaign" | "toVersion" | "fromVersion">>,
  file = "",
): string[] {
  const places: Readonly<Record<string, string>> = {
    component: job.component ?? "",
    campaign: job.campaign ?? "",
    version: job.toVersion ?? "",
    previous: job.fromVersion ?? "",
    file,
  };
  return argv.map((arg) => arg.replace(/\{(\w+)\}/g, (whole, name: string) => places[name] ?? whole));
}
