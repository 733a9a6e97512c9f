import { join } from "node:path";
import type { TestContext } from "node:test";
import { Fault, type FaultKind } from "#core/errors.ts";
import { type Environment, openEnvironment } from "#store/lmdb-env.ts";
import { createLmdbStorage, STORAGE_TABLES } from "#store/lmdb-storage.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import type { Storage, StoredValue } from "#store/storage.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";

export const MIB = 1 << 20;

export async function storageEnvironment(t: TestContext, maxBytes = 1024 * MIB): Promise<Environment> {
  const folder = scratchFolder("store");
  const env = await openEnvironment({ file: join(folder, "storage.mdb"), tables: STORAGE_TABLES, maxBytes });
  cleanup(t, () => env.close());
  return env;
}

export interface Limits {
  readonly maxBytes?: number;
  readonly maxMappedBytes?: number;
}

/** Both providers: every test of the storage access API runs on each. */
export const PROVIDERS: Record<string, (t: TestContext, limits?: Limits) => Promise<Storage>> = {
  async lmdb(t, { maxBytes = 1024 * MIB, maxMappedBytes = 64 * MIB } = {}) {
    return createLmdbStorage(await storageEnvironment(t, maxBytes), { maxMappedBytes });
  },
  async memory(_t, { maxBytes = 1024 * MIB, maxMappedBytes = 64 * MIB } = {}) {
    return createMemoryStorage({ maxBytes, maxMappedBytes });
  },
};

/** For `assert.throws` and `assert.rejects`: a fault of this kind. */
export function faultOf(kind: FaultKind): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.kind === kind;
}

/** Everything in an open value, which is closed. */
export function contentOf(value: StoredValue): Buffer {
  try {
    return Buffer.concat([...value.chunks()]);
  } finally {
    value.close();
  }
}

/** Bytes that differ at every place, the same for the same seed. */
export function someBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed * 2654435761;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
