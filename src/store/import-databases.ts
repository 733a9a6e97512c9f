import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fault, reasonOf } from "#core/errors.ts";
import { CURRENT, noteSetChange, type ParseDatabase, readSet, writeDatabase } from "./databases.ts";
import { storageFault } from "./faults.ts";
import { storedName } from "./names.ts";
import { sha256Hex } from "./record.ts";
import type { Storage, StorageTransaction } from "./storage.ts";

export interface ImportOptions {
  readonly parse: ParseDatabase;
  /** Files taken apart at the same time; each needs up to twice its decompressed size. Default 1. */
  readonly parallel?: number;
  /** Called after each file with its name. */
  readonly onFile?: (file: string) => void;
  readonly now?: () => number;
}

export interface ImportResult {
  readonly imported: string[];
  readonly unchanged: string[];
  readonly removed: string[];
  readonly broken: BrokenFile[];
}

export interface BrokenFile {
  readonly file: string;
  readonly problem: string;
}

/** A file of the folder as it was when last looked at. */
interface SeenFile {
  readonly size: number;
  readonly mtimeMs: number;
  readonly sha256: string;
  /** Why it was not imported. */
  readonly problem: string | null;
}

interface FolderFile {
  readonly file: string;
  readonly key: string;
  readonly size: number;
  readonly mtimeMs: number;
}

const SEEN = "folder/";

/**
 * Brings the current set in line with a folder of MDD files: new and changed ones are stored, one transaction each, the largest
 * first; a broken one is named and leaves what was there. Files are known again by size and time, else by hash.
 *
 * A set that came from an update stays what the update made it: only files that are new or changed since are imported over it, so
 * an empty applied set stays empty. Files gone from the folder leave a set that was imported from it; an empty folder removes
 * nothing, as it is more often a mount that is missing.
 */
export async function importDatabases(storage: Storage, folder: string, options: ImportOptions): Promise<ImportResult> {
  const result: ImportResult = { imported: [], unchanged: [], removed: [], broken: [] };
  const files = await mddFiles(folder, result.broken);
  const importing = { storage, folder, options, result, ...folderHistory(storage) };
  if (!storage.has(CURRENT)) await change(importing, (tx) => tx.has(CURRENT) || tx.create(CURRENT));
  await removeGone(importing, files);
  const queue = files.values();
  const lane = async () => {
    for (const file of queue) {
      await takeFile(importing, file);
      options.onFile?.(file.file);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.max(1, options.parallel ?? 1) }, lane));
  for (const outcome of lanes) if (outcome.status === "rejected") throw outcome.reason;
  return result;
}

interface Importing {
  readonly storage: Storage;
  readonly folder: string;
  readonly options: ImportOptions;
  readonly result: ImportResult;
  /** The current set was made by an update, not by this folder. */
  readonly fromUpdate: boolean;
  /** Nothing is known of this folder yet. */
  readonly firstSight: boolean;
}

function folderHistory(storage: Storage): Pick<Importing, "fromUpdate" | "firstSight"> {
  const set = readSet(storage);
  return {
    fromUpdate: set !== undefined && set.origin !== "import",
    firstSight: storage.recordNames(SEEN).length === 0,
  };
}

async function mddFiles(folder: string, broken: BrokenFile[]): Promise<FolderFile[]> {
  const files = new Map<string, FolderFile>();
  for (const file of await filesOf(folder)) {
    if (!file.toLowerCase().endsWith(".mdd")) continue;
    const facts = await stat(join(folder, file)).catch(() => undefined);
    if (!facts?.isFile()) continue;
    const key = storedName("file", file);
    const twin = files.get(key);
    if (twin === undefined) files.set(key, { file, key, size: facts.size, mtimeMs: facts.mtimeMs });
    else broken.push({ file, problem: `has the name of ${twin.file} in another case` });
  }
  return [...files.values()].sort((a, b) => b.size - a.size || (a.key < b.key ? -1 : 1));
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw await storageFault(`Reading the folder ${folder}`, error);
  }
}

async function takeFile(importing: Importing, found: FolderFile): Promise<void> {
  const { storage, result, fromUpdate, firstSight } = importing;
  const seen = storage.record(SEEN + found.key) as SeenFile | undefined;
  if (seen?.size === found.size && seen.mtimeMs === found.mtimeMs) {
    if (seen.problem !== null) return void result.broken.push({ file: found.file, problem: seen.problem });
    if (fromUpdate || storedHash(storage, found.key) === seen.sha256) return void result.unchanged.push(found.file);
  }
  const container = await readFile(join(importing.folder, found.file)).catch((error: Error) => error);
  if (container instanceof Error) return void result.broken.push({ file: found.file, problem: container.message });
  const sha256 = sha256Hex(container);
  const now: SeenFile = { size: found.size, mtimeMs: found.mtimeMs, sha256, problem: null };
  const known = fromUpdate ? firstSight || seen?.sha256 === sha256 : storedHash(storage, found.key) === sha256;
  if (known) {
    await change(importing, (tx) => tx.setRecord(SEEN + found.key, { ...now }));
    result.unchanged.push(found.file);
  } else await importFile(importing, found, container, now);
}

async function importFile(importing: Importing, { file, key }: FolderFile, container: Uint8Array, now: SeenFile) {
  const { storage, options, result, fromUpdate } = importing;
  const broken = async (error: unknown, remember: boolean) => {
    const problem = reasonOf(error);
    result.broken.push({ file, problem });
    if (remember) await change(importing, (tx) => tx.setRecord(SEEN + key, { ...now, problem }));
  };

  let parsed: Awaited<ReturnType<ParseDatabase>>;
  try {
    parsed = await options.parse(container, file);
  } catch (error) {
    return broken(error, true);
  }
  try {
    await change(importing, async (tx) => {
      await writeDatabase(tx, CURRENT, key, container, parsed);
      tx.setRecord(SEEN + key, { ...now });
      noteSetChange(storage, tx, {
        origin: fromUpdate ? (readSet(storage)?.origin ?? "import") : "import",
        changedAt: (options.now ?? Date.now)(),
        execution: readSet(storage)?.execution ?? null,
      });
    });
    result.imported.push(file);
  } catch (error) {
    // A store that is full now may have room at the next start.
    if (!(error instanceof Fault && error.kind === "noSpaceLeft")) throw error;
    await broken(error, false);
  }
}

async function removeGone(importing: Importing, files: readonly FolderFile[]): Promise<void> {
  const { storage, options, result, fromUpdate } = importing;
  if (files.length === 0) return;
  const present = new Set(files.map(({ key }) => key));
  const gone = storage.recordNames(SEEN).filter((name) => !present.has(name.slice(SEEN.length)));
  if (gone.length === 0) return;
  await change(importing, (tx) => {
    for (const name of gone) {
      const key = name.slice(SEEN.length);
      const seen = storage.record(name) as SeenFile | undefined;
      tx.setRecord(name, undefined);
      if (fromUpdate || seen === undefined || storedHash(storage, key) !== seen.sha256) continue;
      tx.delete(CURRENT, key);
      result.removed.push(key);
    }
    if (result.removed.length > 0)
      noteSetChange(storage, tx, { origin: "import", changedAt: (options.now ?? Date.now)(), execution: null });
  });
}

/** One transaction, after those of others. */
async function change({ storage }: Importing, work: (tx: StorageTransaction) => unknown): Promise<void> {
  while (true) {
    await storage.idle();
    try {
      await storage.transaction(work);
      return;
    } catch (error) {
      if (!(error instanceof Fault && error.kind === "storageBusy")) throw error;
    }
  }
}

function storedHash(storage: Storage, key: string): string | undefined {
  try {
    return storage.metadata(CURRENT, key).sha256;
  } catch (error) {
    if (error instanceof Fault && error.kind === "keyNotFound") return undefined;
    throw error;
  }
}
