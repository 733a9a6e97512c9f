/** The priority of a thread among those of the machine. */
import { readlinkSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";

/** Steps below where the thread is: a third of its weight, so that work still gets done on a busy machine. */
const NICER_BY = 5;

let yielded = false;

/**
 * Lets other threads go first for as long as this one lives: the calling thread is nice from now on. On Linux a priority is a thread's own;
 * elsewhere nothing happens, as it would be that of the whole process.
 */
export function yieldToOthers(): void {
  if (yielded || process.platform !== "linux") return;
  yielded = true;
  try {
    const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    setPriority(thread, Math.min(getPriority(thread) + NICER_BY, constants.priority.PRIORITY_LOW));
  } catch {
    // without procfs, or where a sandbox forbids it, the thread goes on as it is
  }
}
