import type { Transaction } from "lmdb";
import { Fault } from "#core/errors.ts";
import type { Blob, Entry } from "./backend.ts";
import { verifyBytes } from "./content.ts";
import { CURRENT, compareRevisions, type DatabaseProperties, FLATBUFFER_PART } from "./databases.ts";
import { openStoreEnvironment } from "./environments.ts";
import { type Environment, getRecord, keysUnder } from "./lmdb-env.ts";
import { mappedBytes, readTransaction } from "./lmdb-value.ts";

/** The current set as a worker reads it: descriptions mapped in place, never loaded. Needs the store open in this process. */
export interface DatabasesReader {
  /** Changes with every write to the environment: the time to map again and let the old mappings go. */
  readonly generation: number;
  list(): DatabaseInfo[];
  /**
   * Maps the description of an ECU (name in any case, or key of the file). Of several with one ECU name the highest revision is
   * meant. `keyNotFound` when there is none; `corruption` when it is damaged, with `verify` after hashing all of it.
   */
  map(name: string, options?: { readonly verify?: boolean }): MappedDatabase;
  /**
   * Maps the description of this hash, of whichever set: beside the current one those of the pending set and the backup are there, and
   * while an update runs those before it, so that no moment of a switch keeps one from being opened. `keyNotFound` when it is gone.
   */
  mapVersion(version: string): Mapping;
  close(): Promise<void>;
}

export interface DatabaseInfo {
  /** File name in lower case. */
  readonly key: string;
  readonly ecuName: string;
  readonly revision: string | undefined;
  /** Hash of the description: equal versions are equal bytes. */
  readonly version: string;
  readonly size: number;
}

export interface MappedDatabase extends DatabaseInfo, Mapping {
  readonly generation: number;
}

export interface Mapping {
  /** Valid until `release`. A view into a far larger buffer: never transfer or clone its `.buffer`. */
  readonly bytes: Uint8Array;
  /** Lets go; the last one to do so frees the pages of an old version for new writes. */
  release(): void;
}

/** A read transaction and those who use it. */
interface Snapshot {
  readonly generation: number;
  readonly transaction: Transaction;
  readonly bytes: Map<string, Uint8Array>;
  users: number;
}

/** Opens the `databases` environment of the store in `folder` for reading one of its sets, by default the current one. */
export async function openDatabasesReader(folder: string, set: string = CURRENT): Promise<DatabasesReader> {
  const env = await openStoreEnvironment(folder, "databases", { maxBytes: 0, readOnly: true });
  let snapshot: Snapshot | undefined;
  let catalogue: { generation: number; databases: StoredDatabase[] } | undefined;

  function list(): StoredDatabase[] {
    const generation = generationOf(env);
    if (catalogue?.generation !== generation) catalogue = { generation, databases: databasesOf(env, set) };
    return catalogue.databases;
  }

  function take(): Snapshot {
    const generation = generationOf(env);
    if (snapshot === undefined || snapshot.users === 0 || snapshot.generation !== generation)
      snapshot = { generation, transaction: readTransaction(env), bytes: new Map(), users: 0 };
    snapshot.users++;
    return snapshot;
  }

  function release(held: Snapshot): void {
    if (--held.users === 0) held.transaction.done();
  }

  return {
    get generation() {
      return generationOf(env);
    },
    list: () => list().map(infoOf),
    map(name, { verify = false } = {}) {
      const held = take();
      try {
        const found = named(list(), name);
        const bytes = held.bytes.get(found.blob.id) ?? mappedBytes(env, found.blob, held.transaction);
        held.bytes.set(found.blob.id, bytes);
        if (verify) verifyBytes(found.blob, bytes);
        return { ...infoOf(found), generation: held.generation, bytes, release: once(() => release(held)) };
      } catch (error) {
        release(held);
        throw error;
      }
    },
    mapVersion(version) {
      const held = take();
      try {
        const id = getRecord<string>(env.table("hashes"), ["mapped", version]);
        const blob = id === undefined ? undefined : getRecord<Blob>(env.table("blobs"), id);
        if (blob === undefined) throw new Fault("keyNotFound", `No diagnostic database has the hash ${version}`);
        const bytes = held.bytes.get(blob.id) ?? mappedBytes(env, blob, held.transaction);
        held.bytes.set(blob.id, bytes);
        return { bytes, release: once(() => release(held)) };
      } catch (error) {
        release(held);
        throw error;
      }
    },
    close: () => env.close(),
  };
}

interface StoredDatabase {
  readonly key: string;
  readonly ecuName: string;
  readonly revision: string | undefined;
  readonly blob: Blob;
}

function infoOf({ key, ecuName, revision, blob }: StoredDatabase): DatabaseInfo {
  return { key, ecuName, revision, version: blob.sha256, size: blob.size };
}

/** Number of the last committed transaction. */
function generationOf(env: Environment): number {
  env.root.resetReadTxn();
  return (env.root.getStats() as { lastTxnId: number }).lastTxnId;
}

function databasesOf(env: Environment, set: string): StoredDatabase[] {
  const table = env.table("entries");
  const databases: StoredDatabase[] = [];
  for (const name of keysUnder(table, set)) {
    const key = String(name);
    const entry = getRecord<Entry>(table, [set, key]);
    const blob = entry?.parts[FLATBUFFER_PART];
    if (entry === undefined || blob === undefined) continue;
    const { ecuName } = entry.properties as unknown as DatabaseProperties;
    databases.push({ key, ecuName, revision: entry.revision, blob });
  }
  return databases;
}

function named(databases: readonly StoredDatabase[], name: string): StoredDatabase {
  const wanted = name.toLowerCase();
  const byKey = databases.find(({ key }) => key === wanted);
  const sameEcu = databases.filter(({ ecuName }) => ecuName.toLowerCase() === wanted);
  const [highest] = sameEcu.sort((a, b) => compareRevisions(b.revision, a.revision));
  const found = byKey ?? highest;
  if (found === undefined) throw new Fault("keyNotFound", `No diagnostic database for ${name}`, { name });
  return found;
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
