import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { copyFile, readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fault } from "#core/errors.ts";
import { checkEnvironment, contentIds, countReferences, type Problem } from "./check.ts";
import { type CopiedFile, holdTogether } from "./copy-environments.ts";
import {
  ENVIRONMENT_NAMES,
  ENVIRONMENTS,
  type EnvironmentName,
  environmentFile,
  incomingFolder,
  openForBackup,
  openStoreEnvironment,
  type StoreLimits,
  swapEnvironments,
  withLockedFolder,
} from "./environments.ts";
import { storageFault } from "./faults.ts";
import { makeFolder, syncFolder } from "./folders.ts";
import { FORMAT_VERSION } from "./format.ts";
import { type BlobRecord, removeBlob } from "./lmdb-blobs.ts";
import { type Environment, getRecord, openEnvironment } from "./lmdb-env.ts";
import { STORAGE_TABLES } from "./lmdb-storage.ts";

export { type CheckReport, checkEnvironment, checkStore, type Problem } from "./check.ts";

const MANIFEST = "manifest.json";

/** What a backup folder holds beside its data files. */
export interface BackupManifest {
  readonly format: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly files: Readonly<Record<EnvironmentName, { readonly size: number; readonly sha256: string }>>;
}

/**
 * Copies the store in `folder` to the new folder `target`, also while a server has it open: all environments as they were at one and the
 * same instant. Threads that are writing are waited for, so this is for a process of its own.
 */
export async function backupFolder(folder: string, target: string, maxBytes: StoreLimits): Promise<BackupManifest> {
  const store = await openForBackup({ folder, maxBytes });
  try {
    return await backupStore(store, target);
  } finally {
    await store.close();
  }
}

/** The same of a store that is open here. The folder appears only when it is complete and on the disk. */
export async function backupStore(
  store: Readonly<Record<EnvironmentName, Environment>>,
  target: string,
  now = Date.now(),
): Promise<BackupManifest> {
  if (existsSync(target)) throw new Fault("conflict", `${target} exists already`);
  const partial = `${target}.partial`;
  try {
    rmSync(partial, { recursive: true, force: true });
    const files = await copyTogether(store, partial);
    const manifest: BackupManifest = { format: FORMAT_VERSION, createdAt: now, files };
    await writeFile(join(partial, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    syncFolder(join(partial, MANIFEST));
    syncFolder(partial);
    renameSync(partial, target);
    syncFolder(dirname(target));
    return manifest;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw await storageFault(`Backing up to ${target}`, error);
  }
}

/**
 * Puts a backup in the place of the store in `folder`, which must not be in use. Hashes, records and references of the backup are
 * checked first: with a problem (`corruption`) everything stays as it was. An interruption leaves the old or the new store, whole.
 */
export async function restoreStore(backup: string, folder: string, maxBytes: StoreLimits): Promise<void> {
  const manifest = await readManifest(backup);
  await withLockedFolder(folder, async () => {
    const incoming = incomingFolder(folder);
    rmSync(incoming, { recursive: true, force: true });
    mkdirSync(incoming, { recursive: true });
    try {
      for (const name of ENVIRONMENT_NAMES) await restoreFile(backup, incoming, name, manifest);
      const problems = await checkIncoming(incoming, maxBytes);
      if (problems.length > 0)
        throw new Fault("corruption", `The backup ${basename(backup)} is damaged`, { problems: [...problems] });
      syncFolder(incoming);
      swapEnvironments(folder);
    } catch (error) {
      rmSync(incoming, { recursive: true, force: true });
      throw await storageFault(`Restoring ${backup}`, error);
    }
  });
}

/**
 * Rewrites the store in `folder`, which must not be in use, without its free pages and without content that nobody refers to. Returns
 * bytes on disk before and after, and how many values went.
 */
export async function compactStore(
  folder: string,
  maxBytes: StoreLimits,
): Promise<{ before: number; after: number; orphans: number }> {
  return withLockedFolder(folder, async () => {
    const incoming = incomingFolder(folder);
    const environments = {} as Record<EnvironmentName, Environment>;
    const before = await sizeOf((name) => environmentFile(folder, name));
    let orphans = 0;
    try {
      for (const name of ENVIRONMENT_NAMES) {
        const env = await openStoreEnvironment(folder, name, { maxBytes: maxBytes[name] });
        environments[name] = env;
        if (ENVIRONMENTS[name] === STORAGE_TABLES) orphans += await sweepOrphans(env);
      }
      rmSync(incoming, { recursive: true, force: true });
      await copyCompact(environments, incoming);
    } catch (error) {
      throw await storageFault(`Compacting ${folder}`, error);
    } finally {
      for (const env of Object.values(environments)) await env.close();
    }
    const after = await sizeOf((name) => join(incoming, `${name}.mdb`));
    swapEnvironments(folder);
    return { before, after, orphans };
  });
}

/**
 * Puts right what can be derived: counts references anew from the entries and removes content nobody refers to. Returns how many
 * values went. For the thread that writes the environment, while no transaction is open.
 */
async function sweepOrphans(env: Environment): Promise<number> {
  return env.commit("Sweeping orphans", (write) => {
    const references = countReferences(undefined, env);
    let removed = 0;
    for (const id of new Set([...contentIds(undefined, env), ...[...env.table("blobs").getKeys()].map(String)])) {
      const count = references.get(id) ?? 0;
      const blob = getRecord<BlobRecord>(env.table("blobs"), id);
      if (count === 0) {
        removeBlob(env, write, id);
        removed++;
      } else if (blob !== undefined && blob.references !== count)
        write.record(env.table("blobs"), id, { ...blob, references: count });
    }
    for (const id of [...env.table("staged").getKeys()]) write.remove(env.table("staged"), id);
    return removed;
  });
}

async function copyTogether(
  environments: Readonly<Record<EnvironmentName, Environment>>,
  target: string,
): Promise<BackupManifest["files"]> {
  makeFolder(target);
  const held = holdTogether(ENVIRONMENT_NAMES.map((name) => environments[name]));
  const files = {} as Record<EnvironmentName, CopiedFile>;
  try {
    for (const [index, name] of ENVIRONMENT_NAMES.entries())
      files[name] = await held[index]!.copyTo(join(target, `${name}.mdb`));
  } finally {
    for (const each of held) each.release();
  }
  return files;
}

/** Copies without free pages; nobody may write meanwhile. */
async function copyCompact(
  environments: Readonly<Record<EnvironmentName, Environment>>,
  target: string,
): Promise<void> {
  makeFolder(target);
  for (const name of ENVIRONMENT_NAMES) {
    const file = join(target, `${name}.mdb`);
    await environments[name].root.backup(file, true);
    syncFolder(file);
  }
  syncFolder(target);
}

async function readManifest(backup: string): Promise<BackupManifest> {
  try {
    const manifest = JSON.parse(await readFile(join(backup, MANIFEST), "utf8")) as BackupManifest;
    if (manifest.format > FORMAT_VERSION)
      throw new Fault(
        "storageIo",
        `The backup has format ${manifest.format}; this version knows up to ${FORMAT_VERSION}`,
      );
    return manifest;
  } catch (error) {
    throw await storageFault(`Reading ${join(backup, MANIFEST)}`, error);
  }
}

async function restoreFile(backup: string, incoming: string, name: EnvironmentName, manifest: BackupManifest) {
  const file = join(incoming, `${name}.mdb`);
  await copyFile(join(backup, `${name}.mdb`), file);
  const { sha256 } = await describe(file);
  if (sha256 !== manifest.files[name]?.sha256)
    throw new Fault("corruption", `${name}.mdb of the backup does not match its hash`, { file: `${name}.mdb` });
  syncFolder(file);
}

async function checkIncoming(incoming: string, maxBytes: StoreLimits): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const name of ENVIRONMENT_NAMES) {
    const file = join(incoming, `${name}.mdb`);
    const env = await openEnvironment({ file, tables: ENVIRONMENTS[name], maxBytes: maxBytes[name], readOnly: true });
    const found = checkEnvironment(name, env).problems;
    await env.close();
    // What a running transaction had staged when the copy was made is swept when the store opens.
    problems.push(...found.filter(({ problem }) => problem !== "is an orphan" && problem !== "was left behind"));
    rmSync(`${file}-lock`, { force: true });
  }
  return problems;
}

async function describe(file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const part of createReadStream(file) as AsyncIterable<Buffer>) {
    hash.update(part);
    size += part.length;
  }
  return { size, sha256: hash.digest("hex") };
}

async function sizeOf(fileOf: (name: EnvironmentName) => string): Promise<number> {
  let bytes = 0;
  for (const name of ENVIRONMENT_NAMES) bytes += (await stat(fileOf(name))).size;
  return bytes;
}
