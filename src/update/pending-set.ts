/** Changes of the pending set, each one transaction. Runs in the jobs thread. */
import { randomUUID } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { BACKUP, databaseProperties, NEXT, writeDatabase } from "#store/databases.ts";
import type { Storage, StorageTransaction } from "#store/storage.ts";
import { beginPending } from "#store/update-set.ts";
import { databaseKey, ecuKey } from "./file-names.ts";
import { wholeValue, withStorage } from "./open-storage.ts";
import { takeParts, type UploadHeaders } from "./upload-parts.ts";
import { receiveUpload } from "./upload-port.ts";
import { createVerification } from "./verifier.ts";
import { knownVersions } from "./versions.ts";

/** Collections that hold an upload until it is verified. */
const SPOOL = "upload-";

/**
 * Takes an upload: spooled as it comes, then verified file by file and added to the pending set in one transaction. Returns the keys.
 * Whatever goes wrong, the pending set is as it was.
 */
export async function uploadDatabases(
  config: Config,
  port: MessagePort,
  headers: UploadHeaders,
): Promise<readonly string[]> {
  return withStorage(config, async (storage) => {
    const spool = SPOOL + randomUUID();
    try {
      const files = await storage.transaction(async (tx) => {
        tx.create(spool);
        return takeParts(receiveUpload(port), headers, async (key, content) => {
          await tx.write(spool, key, content);
        });
      });
      return await stageFiles(config, storage, files, (file) => wholeValue(storage, spool, file));
    } finally {
      port.close();
      if (storage.has(spool)) await storage.transaction((tx) => tx.deleteCollection(spool));
    }
  });
}

/** Removes what an upload that the power cut off had spooled. */
export async function sweepUploads(storage: Storage): Promise<void> {
  const left = storage.collections().filter((name) => name.startsWith(SPOOL));
  if (left.length === 0) return;
  await storage.transaction((tx) => {
    for (const name of left) tx.deleteCollection(name);
  });
}

/** One file at a time is in memory. */
async function stageFiles(
  config: Config,
  storage: Storage,
  files: readonly string[],
  read: (file: string) => Uint8Array,
): Promise<readonly string[]> {
  const verification = await createVerification(config);
  const known = knownVersions(storage);
  return storage.transaction(async (tx) => {
    beginPending(tx);
    const keys: string[] = [];
    for (const file of files) {
      const container = read(file);
      const parsed = await verification.verify(file, container, known);
      const key = config.update.normalise_names ? nameAfterEcu(tx, parsed.ecuName) : file;
      if (keys.includes(key)) throw new Fault("invalidData", `Validation failed: ${key} comes twice in the request`);
      keys.push(key);
      await writeDatabase(tx, NEXT, key, container, parsed);
    }
    return keys;
  });
}

/** The key of an ECU's one file; pending files of other names that speak for the same ECU give way. */
function nameAfterEcu(tx: StorageTransaction, ecuName: string): string {
  const key = ecuKey(ecuName);
  for (const other of tx.list(NEXT)) {
    const { ecuName: spokenFor } = databaseProperties(tx.metadata(NEXT, other));
    if (other !== key && spokenFor.toLowerCase() === ecuName.toLowerCase()) tx.delete(NEXT, other);
  }
  return key;
}

/** Takes one file out of the pending set. Faults: `invalidData` for what is no database's name, `notFound`. */
export async function removePending(config: Config, id: string): Promise<void> {
  const key = databaseKey(id);
  await withStorage(config, (storage) =>
    storage.transaction((tx) => {
      beginPending(tx);
      if (!tx.list(NEXT).includes(key)) throw new Fault("notFound", `File not found: ${key}`);
      tx.delete(NEXT, key);
    }),
  );
}

/** Forgets what is pending, or empties the backup. Returns the keys that went. */
export async function removeSet(config: Config, set: "nextupdate" | "backup"): Promise<readonly string[]> {
  const collection = set === "backup" ? BACKUP : NEXT;
  return withStorage(config, async (storage) => {
    if (!storage.has(collection)) return [];
    return storage.transaction((tx) => {
      const keys = tx.list(collection);
      if (set === "backup") tx.deleteAll(collection);
      else tx.deleteCollection(collection);
      return keys;
    });
  });
}
