import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import type { Blob } from "./backend.ts";
import { encodeChunk, pieces, STORED_CHUNK_BYTES, stagedMapped } from "./content.ts";
import { type Environment, getRecord, keysUnder, type Writes } from "./lmdb-env.ts";
import type { Content, PartInfo, ValueKind } from "./storage.ts";

/** A blob as recorded: what it is, and how many entries refer to it. */
export interface BlobRecord extends Blob {
  readonly references: number;
}

export interface BlobOptions {
  /** Longest contiguous value. */
  readonly maxMappedBytes: number;
  /** Called at named steps, to stop the process there in a test. */
  readonly crashPoint?: (step: string) => void;
}

/** Content on its way in, and its references. */
export interface Blobs {
  stage(content: Content, kind: ValueKind): Promise<Blob>;
  discard(id: string): Promise<void>;
  /** Inside a transaction: counts references up or down; stores what was held and removes what nobody refers to any more. */
  changeReferences(write: Writes, id: string, by: number): void;
  /** After the transaction. */
  committed(ids: Iterable<string>): void;
}

/** Chunks written at a time while staging: little memory. */
const CHUNKS_AT_ONCE = 4;
/** Small content waits in memory and goes in with the transaction itself, which spares a flash disk several syncs a value. */
const SMALL_BYTES = 256 * 1024;
const MAX_HELD_BYTES = 8 << 20;

interface Held {
  readonly blob: Blob;
  readonly bytes: Uint8Array;
}

export function createBlobs(env: Environment, { maxMappedBytes, crashPoint }: BlobOptions): Blobs {
  const held = new Map<string, Held>();
  /** Buffers of written chunks: gigabytes go through the same few. */
  let spare: Buffer<ArrayBuffer>[] = [];
  const heldBytes = () => [...held.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);

  async function stage(content: Content, kind: ValueKind): Promise<Blob> {
    if (kind === "mapped") {
      const { bytes, sha256 } = await stagedMapped(content, maxMappedBytes);
      const info = { size: bytes.length, sha256, kind };
      return known(info) ?? hold(info, bytes) ?? stageLarge(kind, (id) => storeMapped(id, bytes, sha256));
    }
    const split = pieces(content);
    const iterator = split.iterate();
    const first = (await iterator.next()).value ?? Buffer.alloc(0);
    if (first.length <= SMALL_BYTES) {
      await iterator.next();
      const info = { ...split.result(), kind };
      const small = known(info) ?? hold(info, first);
      if (small !== undefined) return small;
    }
    return stageLarge(kind, async (id) => {
      await storeChunks(id, first, iterator);
      return split.result();
    });
  }

  function known({ kind, sha256 }: PartInfo): Blob | undefined {
    for (const { blob } of held.values()) if (blob.kind === kind && blob.sha256 === sha256) return blob;
    const id = getRecord<string>(env.current("hashes"), [kind, sha256]);
    return id === undefined ? undefined : blobOf(env, id);
  }

  function hold(info: PartInfo, bytes: Uint8Array): Blob | undefined {
    const waiting = heldBytes() + bytes.length;
    if (bytes.length > SMALL_BYTES || waiting > MAX_HELD_BYTES) return undefined;
    env.reserve(waiting);
    const blob = { id: randomUUID(), ...info };
    held.set(blob.id, { blob, bytes: Uint8Array.from(bytes) });
    return blob;
  }

  async function stageLarge(
    kind: ValueKind,
    store: (id: string) => Promise<{ size: number; sha256: string }>,
  ): Promise<Blob> {
    const id = randomUUID();
    crashPoint?.("stage.begin");
    await env.commit("Storing a value", (write) => write.record(env.table("staged"), id, { since: Date.now() }));
    try {
      const { size, sha256 } = await store(id);
      crashPoint?.("stage.stored");
      const blob = await env.commit("Storing a value", (write) => nameStaged(env, write, { id, size, sha256, kind }));
      crashPoint?.("stage.named");
      return blob;
    } catch (error) {
      await env.commit("Discarding", (write) => dropStaged(env, write, id)).catch(() => undefined);
      throw error;
    }
  }

  async function storeMapped(id: string, bytes: Uint8Array, sha256: string): Promise<{ size: number; sha256: string }> {
    env.reserve(bytes.length);
    await env.put("values", id, bytes);
    return { size: bytes.length, sha256 };
  }

  async function storeChunks(id: string, first: Uint8Array, rest: AsyncIterable<Uint8Array>): Promise<void> {
    const buffers = spare;
    spare = [];
    let index = 0;
    let pending: Promise<void>[] = [];
    const store = async (piece: Uint8Array) => {
      env.reserve((pending.length + 1) * piece.length);
      buffers[pending.length] ??= Buffer.allocUnsafeSlow(STORED_CHUNK_BYTES);
      const put = env.put("chunks", [id, index++], encodeChunk(piece, buffers[pending.length]));
      put.catch(() => undefined); // met below, unless the source fails first
      pending.push(put);
      if (pending.length < CHUNKS_AT_ONCE) return;
      await Promise.all(pending);
      pending = [];
      crashPoint?.("stage.chunks");
    };
    try {
      await store(first);
      for await (const piece of rest) await store(piece);
      await Promise.all(pending);
    } finally {
      // one that is written after the discard of a failed value would stay for ever
      await Promise.allSettled(pending);
      spare = buffers;
    }
  }

  return {
    stage,
    async discard(id) {
      if (!held.delete(id)) await env.commit("Discarding", (write) => dropStaged(env, write, id));
    },
    changeReferences(write, id, by) {
      const small = held.get(id);
      if (small !== undefined) putBlob(env, write, small, by);
      else countReferences(env, write, id, by);
    },
    committed(ids) {
      for (const id of ids) held.delete(id);
    },
  };
}

/**
 * Removes what an interrupted transaction had staged; the writer calls it once after opening. Returns the ids of the removed blobs.
 */
export async function sweepStaged(env: Environment): Promise<string[]> {
  const ids = [...env.table("staged").getKeys()].map(String);
  for (const id of ids) await env.commit("Sweeping", (write) => dropStaged(env, write, id));
  return ids;
}

function putBlob(env: Environment, write: Writes, { blob, bytes }: Held, references: number): void {
  if (blob.kind === "mapped") write.put(env.table("values"), blob.id, bytes);
  else if (bytes.length > 0) write.put(env.table("chunks"), [blob.id, 0], encodeChunk(bytes));
  write.record(env.table("hashes"), [blob.kind, blob.sha256], blob.id);
  write.record(env.table("blobs"), blob.id, { ...blob, references });
}

/** Inside a transaction: gives staged bytes their record, or lets them go for equal ones that are there already. */
function nameStaged(env: Environment, write: Writes, blob: Blob): Blob {
  const hashKey: [string, string] = [blob.kind, blob.sha256];
  const known = getRecord<string>(env.table("hashes"), hashKey);
  if (known !== undefined) {
    dropStaged(env, write, blob.id);
    return blobOf(env, known);
  }
  write.record(env.table("hashes"), hashKey, blob.id);
  write.record(env.table("blobs"), blob.id, { ...blob, references: 0 });
  return blob;
}

function recordOf(env: Environment, id: string): BlobRecord {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record === undefined) throw new Fault("corruption", `Value ${id} has no record`, { id });
  return record;
}

function blobOf(env: Environment, id: string): Blob {
  const { references: _, ...blob } = recordOf(env, id);
  return blob;
}

function countReferences(env: Environment, write: Writes, id: string, by: number): void {
  const record = recordOf(env, id);
  const references = record.references + by;
  if (references > 0) {
    write.record(env.table("blobs"), id, { ...record, references });
    write.remove(env.table("staged"), id);
  } else removeBlob(env, write, id);
}

/** Removes a staged blob, unless something refers to it. */
function dropStaged(env: Environment, write: Writes, id: string): void {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record !== undefined && record.references > 0) write.remove(env.table("staged"), id);
  else removeBlob(env, write, id);
}

/** Inside a transaction: removes a blob and its bytes. */
export function removeBlob(env: Environment, write: Writes, id: string): void {
  const record = getRecord<BlobRecord>(env.table("blobs"), id);
  if (record !== undefined) write.remove(env.table("hashes"), [record.kind, record.sha256]);
  write.remove(env.table("values"), id);
  for (const index of [...keysUnder(env.table("chunks"), id)]) write.remove(env.table("chunks"), [id, index as number]);
  write.remove(env.table("blobs"), id);
  write.remove(env.table("staged"), id);
}
