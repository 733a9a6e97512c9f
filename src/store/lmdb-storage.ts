import { type Change, checkBase, type Entry, type StorageBackend } from "./backend.ts";
import { createStorage } from "./create-storage.ts";
import { type BlobOptions, createBlobs } from "./lmdb-blobs.ts";
import { type Environment, getRecord, keysUnder, type Writes } from "./lmdb-env.ts";
import { openBlob } from "./lmdb-value.ts";
import type { Json } from "./record.ts";
import type { Storage } from "./storage.ts";

/**
 * The tables of a storage environment. `blobs` tells size, hash and references of each content, `hashes` finds it by content;
 * its bytes are one value in `values` or chunks in `chunks`. `staged` names the blobs nobody refers to yet.
 */
export const STORAGE_TABLES = [
  "meta",
  "collections",
  "entries",
  "blobs",
  "hashes",
  "values",
  "chunks",
  "staged",
  "records",
];

export interface LmdbStorageOptions extends BlobOptions {
  readonly now?: () => number;
}

/** Storage in an LMDB environment opened with `STORAGE_TABLES`. */
export function createLmdbStorage(env: Environment, options: LmdbStorageOptions): Storage {
  return createStorage(createBackend(env, options), options.now);
}

function createBackend(env: Environment, options: LmdbStorageOptions): StorageBackend {
  const { crashPoint } = options;
  const blobs = createBlobs(env, options);

  const keys = (collection: string) => [...keysUnder(env.current("entries"), collection)].map(String);
  const entry = (collection: string, key: string) => getRecord<Entry>(env.current("entries"), [collection, key]);
  const commits = () => getRecord<number>(env.current("meta"), "commits") ?? 0;

  async function commit(change: Change): Promise<void> {
    crashPoint?.("commit.before");
    await env.commit("Committing", (write) => apply(write, change));
    blobs.committed(change.references.keys());
    crashPoint?.("commit.after");
  }

  function apply(write: Writes, change: Change): void {
    const [collections, entries, records] = [env.table("collections"), env.table("entries"), env.table("records")];
    checkBase(change, commits());
    write.record(env.table("meta"), "commits", change.base + 1);
    for (const name of change.createdCollections) write.record(collections, name, {});
    for (const name of change.deletedCollections) write.remove(collections, name);
    for (const [collection, key] of change.removes) write.remove(entries, [collection, key]);
    for (const [collection, key, value] of change.puts)
      write.record(entries, [collection, key], value as unknown as Json);
    crashPoint?.("commit.inside");
    for (const [id, by] of change.references) blobs.changeReferences(write, id, by);
    for (const [name, value] of change.records) {
      if (value === undefined) write.remove(records, name);
      else write.record(records, name, value);
    }
  }

  return {
    collections: () => [...env.current("collections").getKeys()].map(String).sort(),
    hasCollection: (collection) => env.current("collections").doesExist(collection),
    keys,
    entry,
    entries: (collection) => new Map(keys(collection).map((key) => [key, entry(collection, key) as Entry])),
    record: (name) => getRecord<Json>(env.current("records"), name),
    recordNames: (prefix) => recordNames(env.current("records").getKeys({ start: prefix }), prefix),
    stage: blobs.stage,
    async discard(ids) {
      for (const id of ids) await blobs.discard(id);
    },
    commits,
    commit,
    open: (blob) => openBlob(env, blob),
  };
}

function recordNames(from: Iterable<unknown>, prefix: string): string[] {
  const names: string[] = [];
  for (const name of from) {
    if (!String(name).startsWith(prefix)) break;
    names.push(String(name));
  }
  return names;
}
