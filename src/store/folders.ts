import { closeSync, fsyncSync, openSync } from "node:fs";

/** Makes what was created, renamed or removed in a folder (or written to a file) survive a power cut. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
