/** The sets of databases as files, read on the main thread. */

import { Fault } from "#core/errors.ts";
import { BACKUP, CURRENT, NEXT } from "#store/databases.ts";
import type { Storage } from "#store/storage.ts";
import type { FileContent, FileSet, RuntimeFile } from "./api.ts";

const COLLECTIONS: Readonly<Record<FileSet, string>> = { current: CURRENT, nextupdate: NEXT, backup: BACKUP };

/** `nextupdate` is what an update would make current: `current` itself while nothing is pending. */
function collectionOf(storage: Storage, set: FileSet): string {
  return set === "nextupdate" && !storage.has(NEXT) ? CURRENT : COLLECTIONS[set];
}

/** Files of a set, sorted by name; an absent set has none. */
export function listFiles(storage: Storage, set: FileSet): readonly RuntimeFile[] {
  const collection = collectionOf(storage, set);
  const keys = known(() => storage.list(collection)) ?? [];
  return keys.flatMap((id) => {
    // the jobs thread may have changed the set since it was listed
    const info = known(() => storage.metadata(collection, id));
    return info === undefined ? [] : [{ id, sizeBytes: info.size, sha256: info.sha256, revision: info.revision }];
  });
}

/** A file's content; undefined when there is none of that name. */
export function openFile(storage: Storage, set: FileSet, id: string): FileContent | undefined {
  const value = known(() => storage.read(collectionOf(storage, set), id));
  return value === undefined
    ? undefined
    : { sizeBytes: value.size, chunks: value.chunks(), close: () => value.close() };
}

const ABSENT: ReadonlySet<string> = new Set(["collectionNotFound", "keyNotFound", "invalidParameter"]);

function known<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault && ABSENT.has(error.kind)) return undefined;
    throw error;
  }
}
