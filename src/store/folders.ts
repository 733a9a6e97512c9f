import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Makes what was created, renamed or removed in a folder (or written to a file) survive a power cut. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes a folder and those above it that are missing, such that a power cut does not take them away again. */
export function makeFolder(path: string): void {
  const first = makeAll(path);
  if (first === undefined) return;
  const topmost = resolve(first);
  for (let made = resolve(path); made.length >= topmost.length; made = dirname(made)) {
    try {
      syncFolder(dirname(made));
    } catch (error) {
      // a folder may be written and still not be read, hence not be synced: nothing more can be done then
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    }
  }
}

/** Returns the topmost folder that was made. */
function makeAll(path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true });
  } catch (error) {
    // Node says "no such file" where the file system is read-only; a plain call gives the reason
    if ((error as NodeJS.ErrnoException).code === "ENOENT") mkdirSync(topmostMissing(path));
    throw error;
  }
}

function topmostMissing(path: string): string {
  const above = dirname(path);
  return existsSync(above) || above === path ? path : topmostMissing(above);
}
