import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
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
  const first = mkdirSync(path, { recursive: true });
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
