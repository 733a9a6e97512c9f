import { createPersistence, type PersistenceOptions } from "./create-persistence.ts";
import { type Environment, getRecord, keysUnder } from "./lmdb-env.ts";
import type { Persistence, PersistenceBackend } from "./persistence.ts";

/** Room a small record takes beside its text: hash, key, and the pages copied on its way. */
const RECORD_OVERHEAD_BYTES = 64 * 1024;

/** Persistence in the `state` environment. Never blocks the thread: commits and syncs run beside it. */
export function createLmdbPersistence(env: Environment, options?: PersistenceOptions): Persistence {
  return createPersistence(createBackend(env), options);
}

function createBackend(env: Environment): PersistenceBackend {
  const [buckets, values] = [env.table("buckets"), env.table("values")];
  return {
    hasBucket: (bucket) => env.current("buckets").doesExist(bucket),
    get: (bucket, key) => getRecord<string>(env.current("values"), [bucket, key]),
    keys: (bucket) => [...keysUnder(env.current("values"), bucket)].map(String),
    async write(changes) {
      const grows = changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
      if (grows > 0) env.reserve(grows + RECORD_OVERHEAD_BYTES);
      await env.commitBeside("Persisting", (write) => {
        for (const { bucket, key, value } of changes) {
          if (!buckets.doesExist(bucket)) write.record(buckets, bucket, {});
          if (value === undefined) write.remove(values, [bucket, key]);
          else write.record(values, [bucket, key], value);
        }
      });
    },
    async flush() {
      await env.root.flushed;
    },
  };
}
