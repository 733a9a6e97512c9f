import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { type Blob, type Change, checkBase, type Entry, type StorageBackend } from "./backend.ts";
import { copyInto, pieces, stagedMapped, verifyBytes } from "./content.ts";
import { createStorage } from "./create-storage.ts";
import type { Json } from "./record.ts";
import { CHUNK_BYTES, type Content, type Storage, type StoredValue, type ValueKind } from "./storage.ts";

export interface MemoryStorageOptions {
  readonly maxMappedBytes: number;
  /** Bytes of content that may be held, staged ones included. */
  readonly maxBytes: number;
  readonly now?: () => number;
}

interface Held {
  readonly blob: Blob;
  readonly bytes: Uint8Array;
  references: number;
}

/** Storage that lasts as long as the process: for tests and for a gateway without a disk. */
export function createMemoryStorage(options: MemoryStorageOptions): Storage {
  return createStorage(createBackend(options), options.now);
}

function createBackend({ maxMappedBytes, maxBytes }: MemoryStorageOptions): StorageBackend {
  const collections = new Map<string, Map<string, Entry>>();
  const records = new Map<string, Json>();
  const blobs = new Map<string, Held>();
  let commits = 0;

  function reserve(bytes: number): void {
    let used = bytes;
    for (const held of blobs.values()) used += held.bytes.length;
    if (used > maxBytes) throw new Fault("noSpaceLeft", `The store is full: ${maxBytes} bytes allowed`, { maxBytes });
  }

  async function streamed(content: Content): Promise<{ bytes: Uint8Array; sha256: string }> {
    const split = pieces(content);
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const piece of split.iterate()) {
      size += piece.length;
      reserve(size);
      parts.push(piece);
    }
    return { bytes: Buffer.concat(parts), sha256: split.result().sha256 };
  }

  async function stage(content: Content, kind: ValueKind): Promise<Blob> {
    const held = kind === "mapped" ? await stagedMapped(content, maxMappedBytes) : await streamed(content);
    reserve(held.bytes.length);
    const same = [...blobs.values()].find(({ blob }) => blob.sha256 === held.sha256 && blob.kind === kind);
    if (same !== undefined) return same.blob;
    const blob: Blob = { id: randomUUID(), size: held.bytes.length, sha256: held.sha256, kind };
    blobs.set(blob.id, { blob, bytes: Uint8Array.from(held.bytes), references: 0 });
    return blob;
  }

  async function commit(change: Change): Promise<void> {
    checkBase(change, commits);
    commits++;
    for (const name of change.deletedCollections) collections.delete(name);
    for (const name of change.createdCollections) collections.set(name, new Map());
    for (const [collection, key] of change.removes) collections.get(collection)?.delete(key);
    for (const [collection, key, entry] of change.puts) collections.get(collection)?.set(key, entry);
    for (const [id, by] of change.references) {
      const held = blobs.get(id) as Held;
      held.references += by;
      if (held.references === 0) blobs.delete(id);
    }
    for (const [name, value] of change.records) {
      if (value === undefined) records.delete(name);
      else records.set(name, structuredClone(value));
    }
  }

  return {
    collections: () => [...collections.keys()].sort(),
    hasCollection: (collection) => collections.has(collection),
    keys: (collection) => [...(collections.get(collection)?.keys() ?? [])].sort(),
    entry: (collection, key) => collections.get(collection)?.get(key),
    entries: (collection) => new Map(collections.get(collection)),
    record: (name) => structuredClone(records.get(name)),
    recordNames: (prefix) => [...records.keys()].filter((name) => name.startsWith(prefix)).sort(),
    stage,
    async discard(ids) {
      for (const id of ids) if (blobs.get(id)?.references === 0) blobs.delete(id);
    },
    commits: () => commits,
    commit,
    open(blob) {
      const held = blobs.get(blob.id);
      return held && storedValue(blob, held.bytes);
    },
  };
}

function storedValue(blob: Blob, held: Uint8Array): StoredValue {
  let bytes: Uint8Array | undefined = held;
  function current(): Uint8Array {
    if (bytes === undefined) throw new Fault("transactionConflict", "The value is closed");
    return bytes;
  }
  return {
    size: blob.size,
    sha256: blob.sha256,
    kind: blob.kind,
    readAt: (offset, target) => copyInto(target, current(), offset),
    *chunks() {
      for (let at = 0; at < blob.size; at += CHUNK_BYTES) yield current().slice(at, at + CHUNK_BYTES);
    },
    view() {
      if (blob.kind === "streamed")
        throw new Fault("transactionConflict", "A streamed value has no view; read it by chunk");
      return current();
    },
    verify: () => verifyBytes(blob, current()),
    close() {
      bytes = undefined;
    },
  };
}
