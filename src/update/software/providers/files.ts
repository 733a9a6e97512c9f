/** Files of a provider's own target: written whole and on the disk before their name says so. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { type FileHandle, mkdir, open, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { Fault } from "#core/errors.ts";
import { freeBytes } from "#store/faults.ts";
import type { UpdateJob } from "../provider.ts";

/** Bytes that a file in a folder may have, in the place of another; undefined where the system does not tell. */
export function roomFor(folder: string, replaced?: string): number | undefined {
  const free = freeBytes(folder);
  if (free === undefined || replaced === undefined) return free;
  return free + (statSync(replaced, { throwIfNoEntry: false })?.size ?? 0);
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file as one step. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.new`;
  const handle = await open(next, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, path);
  await syncFolder(dirname(path));
}

/** Lets a symbolic link point elsewhere as one step. */
export async function replaceLink(path: string, target: string): Promise<void> {
  const next = `${path}.new`;
  await rm(next, { force: true });
  await symlink(target, next);
  await rename(next, path);
  await syncFolder(dirname(path));
}

export async function linkTarget(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}

/** JSON of a file, undefined when it is not there. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/**
 * Writes the job's image to `path`, told as progress, and reads it back: the name appears only when the bytes on the disk have the
 * hash they should. @throws Fault corruption
 */
export async function exportImage(job: UpdateJob, path: string): Promise<void> {
  const { artifact } = job;
  if (artifact === undefined) throw new Fault("invalidData", `The package has no image for ${job.component}`);
  await mkdir(dirname(path), { recursive: true });
  const next = `${path}.new`;
  const handle = await open(next, "w");
  try {
    let written = 0;
    for await (const chunk of artifact.read()) {
      job.signal.throwIfAborted();
      await handle.write(chunk);
      written += chunk.byteLength;
      job.progress({ percent: percentOf(written, artifact.sizeBytes), step: "staging" });
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if ((await hashOfFile(next)) !== artifact.sha256) {
    await rm(next, { force: true });
    throw new Fault("corruption", `The image written for ${job.component} does not read back as it was`);
  }
  await rename(next, path);
  await syncFolder(dirname(path));
}

export function percentOf(done: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total));
}

/** SHA-256 of a file, lower-case hex. */
export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const handle: FileHandle = await open(path, "r");
  try {
    for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Uint8Array);
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
