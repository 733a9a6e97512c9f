/**
 * Files of a provider's own target: written whole and on the disk before their name says so. Unlike those of the store
 * (#store/folders.ts), which are made before the server serves, these are made beside the calls of testers and so must not block.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { type FileHandle, mkdir, open, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Fault, reasonOf } from "#core/errors.ts";
import { freeBytes, storageFault } from "#store/faults.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { aborted } from "#update/software/sleep.ts";

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

/** Makes a folder that outlives a power cut, with those above it that are missing. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(folder); ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === resolve(first)) return;
  }
}

/** Replaces a file as one step. */
export function replaceFile(path: string, text: string): Promise<void> {
  return replace(path, (handle) => handle.writeFile(text));
}

/** Writes beside the place first; what cannot be finished takes no room. `check` looks at what is on the disk before it counts. */
async function replace(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
  check: (next: string) => Promise<void> = async () => undefined,
): Promise<void> {
  const next = `${path}.new`;
  try {
    const handle = await open(next, "w");
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await check(next);
  } catch (error) {
    await rm(next, { force: true }).catch(() => undefined);
    throw (error as NodeJS.ErrnoException).code === undefined ? error : await storageFault(path, error, dirname(path));
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

/** JSON of a file, undefined when it is not there. @throws Fault corruption */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Fault("corruption", `${path}: ${reasonOf(error)}`, undefined, error);
  }
}

/**
 * Writes the job's image to `path`, told as progress, and reads it back: the name appears only when the bytes on the disk have the
 * hash they should. @throws Fault corruption, noSpaceLeft
 */
export async function exportImage(job: UpdateJob, path: string): Promise<void> {
  const { artifact, component } = job;
  if (artifact === undefined) throw new Fault("invalidData", `The package has no image for ${component}`);
  await makeFolder(dirname(path));
  await replace(
    path,
    async (handle) => {
      let written = 0;
      for await (const chunk of artifact.read()) {
        if (job.signal.aborted) throw aborted(job.signal);
        await handle.writeFile(chunk);
        written += chunk.byteLength;
        job.progress({ percent: percentOf(written, artifact.sizeBytes), step: "staging" });
      }
    },
    async (next) => {
      if ((await hashOfFile(next)) === artifact.sha256) return;
      throw new Fault("corruption", `The image written for ${component} does not read back as it was`);
    },
  );
}

/** @throws Fault corruption when the file of a job's image no longer has the bytes that were verified */
export async function requireImage({ artifact, component }: UpdateJob, path: string): Promise<void> {
  const there = await hashOfFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
  if (there !== undefined && there === artifact?.sha256) return;
  throw new Fault("corruption", `The image of ${component} is no longer what was verified`);
}

export function percentOf(done: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total));
}

/** SHA-256 of a file, lower-case hex. */
async function hashOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const handle: FileHandle = await open(path, "r");
  try {
    for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Uint8Array);
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
