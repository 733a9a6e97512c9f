import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "#core/errors.ts";
import { storageFault } from "./faults.ts";
import { makeFolder, syncFolder } from "./folders.ts";
import { FORMAT, type Format, migrate } from "./format.ts";
import { sweepStaged } from "./lmdb-blobs.ts";
import { type Environment, openEnvironment } from "./lmdb-env.ts";
import { STORAGE_TABLES } from "./lmdb-storage.ts";
import { lockFolder, type ProcessLock } from "./process-lock.ts";

/**
 * The three environments. `databases`: diagnostic databases, their pointers, the record of an update; written by the jobs thread.
 * `state`: small records; written by the main thread. `bulk`: images and uploads; written by the thread for uploads. They are apart
 * because each has one writer, because a pinned reader keeps pages of its whole environment, and because a small write would wait behind
 * a large one.
 */
export const ENVIRONMENTS = {
  databases: STORAGE_TABLES,
  state: ["meta", "buckets", "values"],
  bulk: STORAGE_TABLES,
} as const satisfies Record<string, readonly string[]>;

export type EnvironmentName = keyof typeof ENVIRONMENTS;
export const ENVIRONMENT_NAMES = Object.keys(ENVIRONMENTS) as EnvironmentName[];

/** What large content leaves of the disk: security keys, audit and the end of an update must still go in. */
const KEPT_FOR_STATE_BYTES = 4 << 20;

/** Upper bound of live data per environment, in bytes. */
export type StoreLimits = Readonly<Record<EnvironmentName, number>>;

export interface StoreOptions {
  /** Folder that holds everything; made when absent. */
  readonly folder: string;
  readonly maxBytes: StoreLimits;
  /** Default: the format of this program, and the ways to it. */
  readonly format?: Format;
}

/** An open store: what the main thread holds while the process lives. */
export interface Store extends Readonly<Record<EnvironmentName, Environment>> {
  readonly folder: string;
  /** Values an interrupted transaction had left, removed on opening. */
  readonly swept: number;
  close(): Promise<void>;
}

/**
 * Opens the store for this process: takes the lock (`conflict` names the holder), finishes an interrupted restore, opens the three
 * environments, migrates them and sweeps what an interrupted transaction left. The main thread calls it before any other thread
 * opens an environment, and keeps it open: LMDB shares one handle per file and process, and it must be one that may write.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { folder, format = FORMAT } = options;
  const lock = await lockedFolder(folder);
  const opened: Environment[] = [];
  const close = async () => {
    for (const env of opened.splice(0)) await env.close();
    lock.release();
  };
  try {
    finishSwap(folder);
    if (!existsSync(environmentFolder(folder))) await createEnvironments(folder, options.maxBytes, format);
    let swept = 0;
    for (const name of ENVIRONMENT_NAMES) {
      const env = await openStoreEnvironment(folder, name, { maxBytes: options.maxBytes[name] });
      opened.push(env);
      await migrate(env, format);
      if (ENVIRONMENTS[name] === STORAGE_TABLES) swept += (await sweepStaged(env)).length;
    }
    const [databases, state, bulk] = opened as [Environment, Environment, Environment];
    return { folder, databases, state, bulk, swept, close };
  } catch (error) {
    await close();
    throw await storageFault(`Opening the store in ${folder}`, error);
  }
}

/**
 * Opens the environments of a store to copy them, also while a process of this pid namespace has it (in another one LMDB's own table of
 * readers cannot be trusted: `conflict`). Nothing is migrated, swept or written then.
 */
export async function openForBackup(
  options: StoreOptions,
): Promise<Readonly<Record<EnvironmentName, Environment>> & { close(): Promise<void> }> {
  const { folder, maxBytes } = options;
  try {
    return await openStore(options);
  } catch (error) {
    if (!(error instanceof Fault && error.kind === "conflict") || error.details?.elsewhere === true) throw error;
  }
  const opened: Partial<Record<EnvironmentName, Environment>> = {};
  const close = async () => {
    for (const env of Object.values(opened)) await env.close();
  };
  try {
    for (const name of ENVIRONMENT_NAMES)
      opened[name] = await openStoreEnvironment(folder, name, { maxBytes: maxBytes[name] });
    return { ...(opened as Record<EnvironmentName, Environment>), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Makes a new store beside its place and moves it there whole: LMDB begins a data file with pages that are not on the disk yet, and a
 * power cut in between would leave one that it cannot open.
 */
async function createEnvironments(folder: string, maxBytes: StoreLimits, format: Format): Promise<void> {
  const incoming = incomingFolder(folder);
  makeFolder(incoming);
  for (const name of ENVIRONMENT_NAMES) {
    const file = join(incoming, `${name}.mdb`);
    const env = await openEnvironment({ file, tables: ENVIRONMENTS[name], maxBytes: maxBytes[name] });
    try {
      await migrate(env, format);
    } finally {
      await env.close();
    }
    rmSync(`${file}-lock`, { force: true });
  }
  syncFolder(incoming);
  renameSync(incoming, environmentFolder(folder));
  syncFolder(folder);
}

/** Runs `work` with the store in `folder` locked but not open: for what replaces its files. */
export async function withLockedFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockedFolder(folder);
  try {
    finishSwap(folder);
    return await work();
  } finally {
    lock.release();
  }
}

async function lockedFolder(folder: string): Promise<ProcessLock> {
  try {
    return await lockFolder(folder);
  } catch (error) {
    throw await storageFault(`Locking ${folder}`, error);
  }
}

/** One environment of a store, for a thread of the process that has the store open. */
export function openStoreEnvironment(
  folder: string,
  name: EnvironmentName,
  options: { readonly maxBytes: number; readonly readOnly?: boolean },
): Promise<Environment> {
  const keepFreeBytes = name === "state" ? 0 : KEPT_FOR_STATE_BYTES;
  return openEnvironment({
    file: environmentFile(folder, name),
    tables: ENVIRONMENTS[name],
    keepFreeBytes,
    ...options,
  });
}

/** Data file of an environment. */
export function environmentFile(folder: string, name: EnvironmentName): string {
  return join(environmentFolder(folder), `${name}.mdb`);
}

/** @throws Fault storageIo where no store is, or one without a data file: opened it would be a new, empty one, and in order */
export function requireStore(folder: string): void {
  const isThere = existsSync(environmentFolder(folder));
  // a swap that was interrupted is finished by whoever opens it
  if (!isThere && existsSync(outgoingFolder(folder))) return;
  if (!isThere) throw new Fault("storageIo", `There is no store in ${folder}`);
  const missing = ENVIRONMENT_NAMES.map((name) => environmentFile(folder, name)).find((file) => !existsSync(file));
  if (missing !== undefined) throw new Fault("storageIo", `The store in ${folder} has no ${missing}`);
}

/** The folder that is exchanged as a whole by a restore. */
export function environmentFolder(folder: string): string {
  return join(folder, "store");
}

/** Where a restore or compaction puts the complete new folder before it takes the place of the old one. */
export function incomingFolder(folder: string): string {
  return join(folder, "store.incoming");
}

function outgoingFolder(folder: string): string {
  return join(folder, "store.outgoing");
}

/**
 * Puts a complete incoming folder in the place of the present one. Its two renames can be interrupted anywhere: the next start calls
 * `finishSwap`.
 */
export function swapEnvironments(folder: string): void {
  rmSync(outgoingFolder(folder), { recursive: true, force: true });
  if (existsSync(environmentFolder(folder))) renameSync(environmentFolder(folder), outgoingFolder(folder));
  syncFolder(folder);
  renameSync(incomingFolder(folder), environmentFolder(folder));
  syncFolder(folder);
  rmSync(outgoingFolder(folder), { recursive: true, force: true });
}

/** An incoming folder counts as complete only once the present one has been moved away for it. */
function finishSwap(folder: string): void {
  const present = existsSync(environmentFolder(folder));
  const outgoing = existsSync(outgoingFolder(folder));
  if (!present && outgoing) {
    const source = existsSync(incomingFolder(folder)) ? incomingFolder(folder) : outgoingFolder(folder);
    renameSync(source, environmentFolder(folder));
    syncFolder(folder);
  }
  rmSync(incomingFolder(folder), { recursive: true, force: true });
  rmSync(outgoingFolder(folder), { recursive: true, force: true });
}
