import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "#core/errors.ts";
import { makeFolder } from "./folders.ts";

/** Held by the one process that uses a store. */
export interface ProcessLock {
  release(): void;
}

const NAME = /^owner-(\d+)-([0-9a-z]+)\.lock$/;
const heldHere = new Set<string>();

/**
 * Takes the folder for this process; throws `conflict` naming the pid of the process that has it.
 *
 * Each process puts down a file of its own name (pid and start time, so no two ever share one) and then looks for those of others.
 * A file of a process that is gone is removed; nothing is ever taken over, so there is no moment in which two recoverers can both
 * win. Of two that start in the same instant both may give up.
 */
export function lockFolder(folder: string): ProcessLock {
  makeFolder(folder);
  const own = `owner-${process.pid}-${startTimeOf(process.pid) ?? "0"}.lock`;
  const path = join(folder, own);
  if (heldHere.has(path)) throw inUse(folder, process.pid);
  writeFileSync(path, `${process.pid}\n`);
  heldHere.add(path);
  const release = () => {
    heldHere.delete(path);
    rmSync(path, { force: true });
  };
  for (const name of readdirSync(folder)) {
    const owner = NAME.exec(name);
    if (owner === null || name === own) continue;
    const [, pid, startTime] = owner;
    if (isAlive(Number(pid), String(startTime))) {
      release();
      throw inUse(folder, Number(pid));
    }
    rmSync(join(folder, name), { force: true });
  }
  return { release };
}

function inUse(folder: string, pid: number): Fault {
  return new Fault("conflict", `The store in ${folder} is in use by process ${pid}`, { folder, pid });
}

/** A pid alone is not enough: it is used again, in a container nearly always. */
function isAlive(pid: number, startTime: string): boolean {
  const present = startTimeOf(pid);
  if (present !== undefined && startTime !== "0") return present === startTime;
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** When a process started: boot id and clock ticks since boot, as one short word. Undefined where there is no procfs or no process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const afterName = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const STATE = 0;
    const START_TIME = 19;
    if (afterName[STATE] === "Z") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").replace(/[^0-9a-f]/g, "");
    return `${boot.slice(0, 12)}${afterName[START_TIME]}`;
  } catch {
    return undefined;
  }
}
