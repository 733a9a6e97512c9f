import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { type Blob, type Change, checkBase, type Entry, type StorageBackend } from "./backend.ts";
import { encodeChunk, pieces, stagedMapped } from "./content.ts";
import { createStorage } from "./create-storage.ts";
import { type Environment, getRecord, keysUnder, putRecord, removeKey } from "./lmdb-env.ts";
import { openBlob } from "./lmdb-value.ts";
import type { Json } from "./record.ts";
import type { Content, Storage, ValueKind } from "./storage.ts";

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

/** A blob as recorded: what it is, and how many entries refer to it. */
export interface BlobRecord extends Blob {
  readonly references: number;
}

export interface LmdbStorageOptions {
  /** Longest contiguous value. */
  readonly maxMappedBytes: number;
  /** Called at named steps, to stop the process there in a test. */
  readonly crashPoint?: (step: string) => void;
  readonly now?: () => number;
}

/** Chunks that go into one commit while staging: few syncs, little memory. */
const CHUNKS_PER_COMMIT = 4;

/** Storage in an LMDB environment opened with `STORAGE_TABLES`. */
export function createLmdbStorage(env: Environment, options: LmdbStorageOptions): Storage {
  return createStorage(createBackend(env, options), options.now);
}

/**
 * Removes what an interrupted transaction had staged; the writer calls it once after opening. Returns the ids of the removed blobs.
 */
export async function sweepStaged(env: Environment): Promise<string[]> {
  const ids = [...env.table("staged").getKeys()].map(String);
  for (const id of ids) await env.commit("Sweeping", () => dropStaged(env, id));
  return ids;
}

function createBackend(env: Environment, options: LmdbStorageOptions): StorageBackend {
  const { maxMappedBytes, crashPoint } = options;
  const [collections, entries, records] = [env.table("collections"), env.table("entries"), env.table("records")];

  const keys = (collection: string) => [...keysUnder(entries, collection)].map(String);
  const entry = (collection: string, key: string) => getRecord<Entry>(entries, [collection, key]);

  async function stage(content: Content, kind: ValueKind): Promise<Blob> {
    const id = randomUUID();
    crashPoint?.("stage.begin");
    await putStaged(id);
    try {
      const { size, sha256 } = kind === "mapped" ? await stageMapped(id, content) : await stageChunks(id, content);
      crashPoint?.("stage.stored");
      const blob = await env.commit("Storing a value", () => nameStaged(env, { id, size, sha256, kind }));
      crashPoint?.("stage.named");
      return blob;
    } catch (error) {
      await env.commit("Discarding", () => dropStaged(env, id)).catch(() => undefined);
      throw error;
    }
  }

  async function putStaged(id: string): Promise<void> {
    await env.commit("Storing a value", () => putRecord(env.table("staged"), id, { since: Date.now() }));
  }

  async function stageMapped(id: string, content: Content): Promise<{ size: number; sha256: string }> {
    const { bytes, sha256 } = await stagedMapped(content, maxMappedBytes);
    env.reserve(bytes.length);
    await env.put("values", id, bytes);
    return { size: bytes.length, sha256 };
  }

  async function stageChunks(id: string, content: Content): Promise<{ size: number; sha256: string }> {
    const split = pieces(content);
    let index = 0;
    let pending: Promise<void>[] = [];
    for await (const piece of split.iterate()) {
      env.reserve((pending.length + 1) * piece.length);
      const put = env.put("chunks", [id, index++], encodeChunk(piece));
      put.catch(() => undefined); // met below, unless the source fails first
      pending.push(put);
      if (pending.length < CHUNKS_PER_COMMIT) continue;
      await Promise.all(pending);
      pending = [];
      crashPoint?.("stage.chunks");
    }
    await Promise.all(pending);
    return split.result();
  }

  const commits = () => getRecord<number>(env.table("meta"), "commits") ?? 0;

  async function commit(change: Change): Promise<void> {
    crashPoint?.("commit.before");
    await env.commit("Committing", () => {
      checkBase(change, commits());
      putRecord(env.table("meta"), "commits", change.base + 1);
      for (const name of change.createdCollections) putRecord(collections, name, {});
      for (const name of change.deletedCollections) removeKey(collections, name);
      for (const [collection, key] of change.removes) removeKey(entries, [collection, key]);
      for (const [collection, key, value] of change.puts)
        putRecord(entries, [collection, key], value as unknown as Json);
      crashPoint?.("commit.inside");
      for (const [id, by] of change.references) changeReferences(env, id, by);
      for (const [name, value] of change.records) {
        if (value === undefined) removeKey(records, name);
        else putRecord(records, name, value);
      }
    });
    crashPoint?.("commit.after");
  }

  return {
    collections: () => [...collections.getKeys()].map(String).sort(),
    hasCollection: (collection) => collections.doesExist(collection),
    keys,
    entry,
    entries: (collection) => new Map(keys(collection).map((key) => [key, entry(collection, key) as Entry])),
    record: (name) => getRecord<Json>(records, name),
    recordNames: (prefix) => recordNames(records.getKeys({ start: prefix }), prefix),
    stage,
    async discard(ids) {
      for (const id of ids) await env.commit("Discarding", () => dropStaged(env, id));
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

/** Inside a transaction: gives staged bytes their record, or lets them go for equal ones that are there already. */
function nameStaged(env: Environment, blob: Blob): Blob {
  const hashKey: [string, string] = [blob.kind, blob.sha256];
  const known = getRecord<string>(env.table("hashes"), hashKey);
  if (known !== undefined) {
    dropStaged(env, blob.id);
    return blobOf(env, known);
  }
  putRecord(env.table("hashes"), hashKey, blob.id);
  putRecord(env.table("blobs"), blob.id, { ...blob, references: 0 });
  return blob;
}

function blobOf(env: Environment, id: string): BlobRecord {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record === undefined) throw new Fault("corruption", `Value ${id} has no record`, { id });
  return record;
}

function changeReferences(env: Environment, id: string, by: number): void {
  const record = blobOf(env, id);
  const references = record.references + by;
  if (references > 0) {
    putRecord(env.table("blobs"), id, { ...record, references });
    removeKey(env.table("staged"), id);
  } else removeBlob(env, id);
}

/** Removes a staged blob, unless something refers to it. */
function dropStaged(env: Environment, id: string): void {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record !== undefined && record.references > 0) removeKey(env.table("staged"), id);
  else removeBlob(env, id);
}

/** Inside a transaction: removes a blob and its bytes. */
export function removeBlob(env: Environment, id: string): void {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record !== undefined) removeKey(env.table("hashes"), [record.kind, record.sha256]);
  removeKey(env.table("values"), id);
  for (const index of [...keysUnder(env.table("chunks"), id)]) removeKey(env.table("chunks"), [id, index as number]);
  removeKey(env.table("blobs"), id);
  removeKey(env.table("staged"), id);
}
