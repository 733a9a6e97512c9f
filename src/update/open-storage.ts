/** The storage that the jobs thread writes, open for the duration of a job. */
import { storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { openStoreEnvironment } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { Storage } from "#store/storage.ts";

export async function withStorage<T>(config: Config, work: (storage: Storage) => Promise<T>): Promise<T> {
  const { max_bytes, max_mapped_bytes } = config.store;
  const env = await openStoreEnvironment(storePath(config), "databases", { maxBytes: max_bytes.databases });
  try {
    return await work(createLmdbStorage(env, { maxMappedBytes: max_mapped_bytes }));
  } finally {
    await env.close();
  }
}

/** All bytes of a stored value in a buffer of its own, checked against their hash. */
export function wholeValue(storage: Storage, collection: string, key: string): Uint8Array {
  const value = storage.read(collection, key);
  try {
    const bytes = new Uint8Array(value.size);
    let at = 0;
    for (const chunk of value.chunks()) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  } finally {
    value.close();
  }
}
