import { createPersistence, type PersistenceOptions } from "./create-persistence.ts";
import type { Persistence } from "./persistence.ts";

/** Persistence that lasts as long as the process. */
export function createMemoryPersistence(options?: PersistenceOptions): Persistence {
  const buckets = new Map<string, Map<string, string>>();
  return createPersistence(
    {
      hasBucket: (bucket) => buckets.has(bucket),
      get: (bucket, key) => buckets.get(bucket)?.get(key),
      keys: (bucket) => [...(buckets.get(bucket)?.keys() ?? [])],
      async write(changes) {
        for (const { bucket, key, value } of changes) {
          const held = buckets.get(bucket) ?? new Map<string, string>();
          buckets.set(bucket, held);
          if (value === undefined) held.delete(key);
          else held.set(key, value);
        }
      },
      async flush() {},
    },
    options,
  );
}
