/** The priority of a thread among those of the machine. */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";

/** A third of the weight of an ordinary thread: on a busy machine work still gets done. */
const NICENESS = 5;

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
    setPriority(thread, NICENESS);
  } catch {
    // without procfs, or where a sandbox forbids it, the thread goes on as it is
  }
}
