import { createHash } from "node:crypto";
import type { Transaction } from "lmdb";
import { Fault } from "#core/errors.ts";
import type { Blob } from "./backend.ts";
import { copyInto, decodeChunk, mismatch, verifyBytes } from "./content.ts";
import type { Environment } from "./lmdb-env.ts";
import { CHUNK_BYTES, type StoredValue } from "./storage.ts";

/** Tables read in an explicit transaction; the library's types leave that parameter out of the binary getters. */
interface ReadsInTransaction {
  getBinary(key: unknown, options: { transaction: Transaction }): Uint8Array | undefined;
  getBinaryFast(key: unknown, options: { transaction: Transaction }): (Uint8Array & { isGlobal?: true }) | undefined;
}

/**
 * Opens a blob in a read transaction of its own that `close` ends: until then its pages are not reused. Undefined when the blob is
 * gone.
 */
export function openBlob(env: Environment, blob: Blob): StoredValue | undefined {
  const transaction = readTransaction(env);
  if (!env.table("blobs").doesExist(blob.id, undefined as never, { transaction })) {
    transaction.done();
    return undefined;
  }
  return blob.kind === "mapped" ? mappedValue(env, blob, transaction) : streamedValue(env, blob, transaction);
}

/** A read transaction on what is committed now; the caller ends it with `done()`. */
export function readTransaction(env: Environment): Transaction {
  env.root.resetReadTxn();
  return env.root.useReadTransaction();
}

/**
 * The bytes of a mapped value in place, valid while the transaction lasts. The library maps only values of 16 MiB and more and
 * hands out the rest in a buffer it uses again: those are copied.
 */
export function mappedBytes(env: Environment, blob: Blob, transaction: Transaction): Uint8Array {
  const values = env.table("values") as unknown as ReadsInTransaction;
  const bytes = values.getBinaryFast(blob.id, { transaction });
  if (bytes === undefined || bytes.length !== blob.size)
    throw new Fault("corruption", `Value ${blob.sha256} has not its ${blob.size} bytes`, { sha256: blob.sha256 });
  return bytes.isGlobal ? Uint8Array.prototype.slice.call(bytes, 0, blob.size) : bytes;
}

function mappedValue(env: Environment, blob: Blob, transaction: Transaction): StoredValue {
  let bytes: Uint8Array | undefined = mappedBytes(env, blob, transaction);
  const view = () => bytes ?? closed();
  return {
    size: blob.size,
    sha256: blob.sha256,
    kind: blob.kind,
    view,
    verify: () => verifyBytes(blob, view()),
    readAt: (offset, target) => copyInto(target, view(), offset),
    *chunks() {
      verifyBytes(blob, view());
      for (let at = 0; at < blob.size; at += CHUNK_BYTES) yield view().slice(at, at + CHUNK_BYTES);
    },
    close() {
      if (bytes === undefined) return;
      bytes = undefined;
      transaction.done();
    },
  };
}

function streamedValue(env: Environment, blob: Blob, transaction: Transaction): StoredValue {
  const table = env.table("chunks") as unknown as ReadsInTransaction;
  let open = true;

  function chunk(index: number): Uint8Array {
    if (!open) closed();
    const label = `Chunk ${index} of value ${blob.sha256}`;
    const stored = table.getBinary([blob.id, index], { transaction });
    if (stored === undefined) throw new Fault("corruption", `${label} is missing`, { sha256: blob.sha256 });
    return decodeChunk(stored, label);
  }

  function* chunks(): Generator<Uint8Array, void, undefined> {
    const hash = createHash("sha256");
    for (let index = 0; index * CHUNK_BYTES < blob.size; index++) {
      const bytes = chunk(index);
      hash.update(bytes);
      yield bytes;
    }
    if (hash.digest("hex") !== blob.sha256) throw mismatch(blob);
  }

  return {
    size: blob.size,
    sha256: blob.sha256,
    kind: blob.kind,
    view() {
      throw new Fault("transactionConflict", "A streamed value has no view; read it by chunk");
    },
    verify() {
      for (const _ of chunks());
    },
    readAt(offset, target) {
      let count = 0;
      while (count < target.length && offset + count < blob.size) {
        const at = offset + count;
        const index = Math.floor(at / CHUNK_BYTES);
        count += copyInto(target.subarray(count), chunk(index), at - index * CHUNK_BYTES);
      }
      return count;
    },
    chunks,
    close() {
      if (!open) return;
      open = false;
      transaction.done();
    },
  };
}

function closed(): never {
  throw new Fault("transactionConflict", "The value is closed");
}
