/** Runs a configured program: an argument list, never a shell; a time limit; output to the log, bounded. */
import { type ChildProcess, spawn } from "node:child_process";
import { Fault, reasonOf } from "#core/errors.ts";
import { networkClock, type TimerHandle } from "#core/time.ts";
import type { UpdateJob } from "#update/software/provider.ts";

export interface RunOptions {
  readonly timeoutMs: number;
  /** Whose log and signal it runs under. */
  readonly job?: UpdateJob | undefined;
  /** Default: that of the job. */
  readonly signal?: AbortSignal;
}

/** Resolves with the standard output; a Fault when the program ends otherwise than with 0, or not in time. */
export type CommandRunner = (argv: readonly string[], options: RunOptions) => Promise<string>;

/** Characters kept of each output of a program, for the log and the answer; what comes after is read and dropped. */
const MAX_OUTPUT_CHARACTERS = 16 * 1024;
/** What is told of a failed program's complaint in its fault. */
const MAX_REASON_CHARACTERS = 512;
/** Between being asked to end and being killed. */
const GRACE_MS = 2_000;
/** A descendant that left the group may hold the pipes of a program that has ended: they are not waited for longer. */
const DRAIN_MS = 500;

/** `sovd-edge` keeps its environment to itself: a program gets only what it needs to find others. */
const PASSED = ["PATH", "HOME", "LANG", "TZ"] as const;

export const runCommand: CommandRunner = async (argv, { timeoutMs, job, signal: wanted = job?.signal }) => {
  const [program, ...args] = argv;
  if (program === undefined) throw new Fault("misconfigured", "An empty command");
  wanted?.throwIfAborted();
  const child = start(program, args);
  const [output, errors] = [collected(child.stdout), collected(child.stderr)];
  const timers = new Set<TimerHandle>();
  // a pipe is read like a socket: what ran out is concluded once it was
  const after = (delayMs: number, then: () => void) => timers.add(networkClock.setTimeout(then, delayMs));
  let stopped: string | undefined;
  const stop = (why: string): void => {
    if (stopped !== undefined || hasEnded(child)) return;
    stopped = why;
    signalGroup(child, "SIGTERM");
    after(GRACE_MS, () => signalGroup(child, "SIGKILL"));
  };
  after(timeoutMs, () => stop(`did not end within ${timeoutMs} ms`));
  const onAbort = (): void => stop("was stopped");
  wanted?.addEventListener("abort", onAbort, { once: true });
  try {
    const { code, signal } = await ended(child, after);
    if (stopped !== undefined) throw new Fault("severe", `${program} ${stopped}`);
    if (code === 0) return output.text;
    const reason = errors.text.trim().slice(-MAX_REASON_CHARACTERS);
    const message = `${program} ended with ${signal ?? code}${reason === "" ? "" : `: ${reason}`}`;
    throw new Fault("severe", message, { exitCode: code });
  } finally {
    // the program may have gone and left its children
    if (stopped !== undefined) signalGroup(child, "SIGKILL");
    for (const timer of timers) networkClock.clearTimeout(timer);
    wanted?.removeEventListener("abort", onAbort);
    job?.log("command ended", { program, output: output.text, errors: errors.text });
  }
};

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** @throws Fault severe for arguments that no program can be given */
function start(program: string, args: readonly string[]) {
  const env = Object.fromEntries(
    PASSED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  try {
    // a group of its own: what it starts ends with it
    return spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  } catch (error) {
    throw new Fault("severe", `${program}: ${reasonOf(error)}`, undefined, error);
  }
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Resolves when the program has ended and its output is read, or cannot be waited for. @throws Fault severe when it did not start */
function ended(child: ChildProcess, after: (delayMs: number, then: () => void) => void): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(new Fault("severe", `${child.spawnfile}: ${error.message}`, undefined, error)),
    );
    child.once("close", (code, signal) => resolve({ code, signal }));
    child.once("exit", (code, signal) =>
      after(DRAIN_MS, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve({ code, signal });
      }),
    );
  });
}

function collected(stream: NodeJS.ReadableStream): { readonly text: string } {
  const kept = { text: "" };
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    kept.text += chunk.slice(0, MAX_OUTPUT_CHARACTERS - kept.text.length);
  });
  return kept;
}

/** With its own children: a package manager that goes on alone would meet its successor. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // it ended by itself meanwhile
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * Places in an argument, filled as text: `{component}`, `{campaign}`, `{version}`, `{previous}`, `{file}`. What a package says cannot
 * become an option: an argument that begins with a place never begins with a dash. @throws Fault invalidData
 */
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
  return argv.map((arg) => {
    const filled = arg.replace(/\{(\w+)\}/g, (whole, name: string) =>
      Object.hasOwn(places, name) ? places[name]! : whole,
    );
    if (filled.startsWith("-") && !arg.startsWith("-"))
      throw new Fault("invalidData", `${arg} would be the option ${filled}`);
    return filled;
  });
}
