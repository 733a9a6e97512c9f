import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { reasonOf } from "#core/errors.ts";
import { BACKUP, CURRENT, NEXT, noteSetChange, type ParseDatabase, writeDatabase } from "./databases.ts";
import { storageFault } from "./faults.ts";
import { type FolderCollection, readFolderStore } from "./folder-store.ts";
import type { BrokenFile } from "./import-databases.ts";
import { storedName } from "./names.ts";
import type { Storage, StorageTransaction } from "./storage.ts";

export interface FolderStoreImport {
  /** Values taken over, by collection. */
  readonly collections: Readonly<Record<string, number>>;
  /** Diagnostic databases that do not parse; they are kept as files. */
  readonly broken: readonly BrokenFile[];
}

const DONE = "folder-store";
const DATABASE_SETS: ReadonlySet<string> = new Set([CURRENT, NEXT, BACKUP]);

/**
 * Takes over the folder store the CDA left in `storageDir`, once and in one transaction: a record says that it was done. Undefined
 * when there is none or it was done before. A set it held as current counts as applied: the CDA fills it by updates only.
 */
export async function importFolderStore(
  storage: Storage,
  storageDir: string,
  options: { readonly parse: ParseDatabase; readonly now?: () => number },
): Promise<FolderStoreImport | undefined> {
  if (storage.record(DONE) !== undefined) return undefined;
  try {
    const found = readFolderStore(storageDir);
    if (found === undefined) return undefined;
    const now = (options.now ?? Date.now)();
    const broken: BrokenFile[] = [];
    const collections: Record<string, number> = {};
    await storage.transaction(async (tx) => {
      for (const collection of found.collections) {
        const name = storedName("collection", collection.name);
        if (!tx.has(name)) tx.create(name);
        await takeCollection(tx, name, collection, options.parse, broken);
        collections[name] = collection.files.length;
      }
      if ((collections[CURRENT] ?? 0) > 0)
        noteSetChange(storage, tx, { origin: "apply", changedAt: now, execution: null });
      tx.setRecord(DONE, { from: storageDir, at: now });
    });
    return { collections, broken };
  } catch (error) {
    throw await storageFault(`Importing the folder store in ${storageDir}`, error);
  }
}

async function takeCollection(
  tx: StorageTransaction,
  name: string,
  collection: FolderCollection,
  parse: ParseDatabase,
  broken: BrokenFile[],
): Promise<void> {
  for (const { key, path } of collection.files) {
    if (!DATABASE_SETS.has(name)) {
      await tx.write(name, key, createReadStream(path) as AsyncIterable<Buffer>);
      continue;
    }
    const container = await readFile(path);
    try {
      await writeDatabase(tx, name, key, container, await parse(container, key));
    } catch (error) {
      broken.push({ file: `${name}/${key}`, problem: reasonOf(error) });
      await tx.write(name, key, container);
    }
  }
}
