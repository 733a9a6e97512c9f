import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Fault } from "#core/errors.ts";
import { makeFolder } from "./folders.ts";
import { isListening, type LifeSign, listen } from "./life-sign.ts";

/** Held by the one process that uses a store. */
export interface ProcessLock {
  release(): void;
}

const NAME = /^(owner-(\d+)-([0-9a-z]+)(?:-[0-9a-f]+)?)\.(?:lock|sock)$/;
const heldHere = new Set<string>();

/**
 * Takes the folder for this process; throws `conflict` naming the process that has it.
 *
 * Each process puts down a file of its own name and beside it a socket on which it listens, and then looks for those of others. A socket
 * tells across containers whether its process lives, where pids mean nothing; pid and start time do where there can be no socket. What a
 * process that is gone left is removed; nothing is ever taken over, so there is no moment in which two recoverers can both win. Of two
 * that start in the same instant both may give up.
 */
export async function lockFolder(folder: string): Promise<ProcessLock> {
  makeFolder(folder);
  const place = resolve(folder);
  if (heldHere.has(place)) throw inUse(folder, process.pid);
  heldHere.add(place);
  const own = `owner-${process.pid}-${startTimeOf(process.pid) ?? "0"}-${randomBytes(6).toString("hex")}`;
  let sign: LifeSign | undefined;
  const release = () => {
    heldHere.delete(place);
    sign?.end();
    rmSync(join(folder, `${own}.lock`), { force: true });
  };
  try {
    sign = await listen(folder, `${own}.sock`);
    writeFileSync(join(folder, `${own}.lock`), `${process.pid}\n`);
    for (const name of readdirSync(folder)) {
      const [, owner, pid, startTime] = NAME.exec(name) ?? [];
      if (owner === undefined || owner === own) continue;
      if (isAlive(Number(pid), String(startTime))) throw inUse(folder, Number(pid));
      if (await isListening(folder, `${owner}.sock`)) throw inUseElsewhere(folder, Number(pid));
      rmSync(join(folder, name), { force: true });
    }
    return { release };
  } catch (error) {
    release();
    throw error;
  }
}

function inUse(folder: string, pid: number): Fault {
  return new Fault("conflict", `The store in ${folder} is in use by process ${pid}`, { folder, pid });
}

function inUseElsewhere(folder: string, pid: number): Fault {
  const where = "of another container or namespace";
  return new Fault("conflict", `The store in ${folder} is in use by process ${pid} ${where}`, {
    folder,
    pid,
    elsewhere: true,
  });
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
