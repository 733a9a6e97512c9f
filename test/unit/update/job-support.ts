/** A piece of work as a provider gets it. */
import { createHash } from "node:crypto";
import type { UpdateJob } from "#update/software/provider.ts";

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** Of an image, as it is read. */
const PIECES = 5;

/** `more`: what a test wants otherwise. `notes`: what is on the disk, for one process after the other. */
export function jobOf(image: Uint8Array, more: Partial<UpdateJob> = {}, notes = new Map<string, string>()): UpdateJob {
  return {
    component: "bcm",
    campaign: "fw",
    attempt: 1,
    artifact: {
      name: "new image.bin",
      sizeBytes: image.length,
      sha256: sha256(image),
      async *read(offset = 0) {
        const pieceBytes = Math.ceil(image.length / PIECES);
        for (let at = offset; at < image.length; at += pieceBytes) yield image.subarray(at, at + pieceBytes);
      },
    },
    toVersion: undefined,
    fromVersion: undefined,
    package: {},
    memory: {
      get: (name) => notes.get(name),
      set: async (name, value) => void notes.set(name, value),
    },
    progress: () => undefined,
    log: () => undefined,
    signal: new AbortController().signal,
    ...more,
  };
}
