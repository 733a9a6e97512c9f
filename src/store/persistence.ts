import { Fault } from "#core/errors.ts";
import { storedName } from "./names.ts";

/**
 * Durable text in named buckets. A bucket appears with its first `set`. Reads show every completed `set`. Keys are taken as they
 * are, bucket names are the same in any case.
 *
 * Faults: `bucketNotFound`, `keyNotFound`, `noSpaceLeft`, `storageIo`, `corruption`; `invalidParameter` for a name that is none.
 */
export interface Persistence {
  get(bucket: string, key: string): string;
  contains(bucket: string, key: string): boolean;
  /** Sorted. */
  listKeys(bucket: string): string[];
  /** Resolves when the value is on the disk, in a `buffered` bucket at once. */
  set(bucket: string, key: string, value: string): Promise<void>;
  /** `keyNotFound` when there is no such key. */
  delete(bucket: string, key: string): Promise<void>;
  /** A barrier: everything set before is on the disk when it resolves. */
  flush(): Promise<void>;
}

/**
 * `durable`: each change is on the disk when its promise resolves. `buffered`: changes are held in memory up to `bufferMs` and written
 * together, which spares the flash where values change often and a lost one does no harm.
 */
export type Durability = "durable" | "buffered";

/** What a provider implements: names arrive checked, changes come in batches that are durable when the promise resolves. */
export interface PersistenceBackend {
  hasBucket(bucket: string): boolean;
  get(bucket: string, key: string): string | undefined;
  keys(bucket: string): string[];
  /** `undefined` deletes. */
  write(changes: readonly PersistenceChange[]): Promise<void>;
  flush(): Promise<void>;
}

export interface PersistenceChange {
  readonly bucket: string;
  readonly key: string;
  readonly value: string | undefined;
}

const MAX_KEY_BYTES = 1024;

/** A bucket and key as the providers take them; throws `invalidParameter`. */
export function checkedPlace(bucket: string, key: string): [bucket: string, key: string] {
  if (typeof key !== "string" || key === "" || key.includes("\0") || Buffer.byteLength(key) > MAX_KEY_BYTES)
    throw new Fault("invalidParameter", `key "${key}" is not a valid key`, { key });
  return [storedName("bucket", bucket), key];
}

/** Keys of a bucket that may not be there yet. */
export function keysOf(persistence: Pick<Persistence, "listKeys">, bucket: string): string[] {
  try {
    return persistence.listKeys(bucket);
  } catch (error) {
    // a bucket appears with its first value
    if (error instanceof Fault && error.kind === "bucketNotFound") return [];
    throw error;
  }
}

export function bucketNotFound(bucket: string): never {
  throw new Fault("bucketNotFound", `Bucket not found: ${bucket}`, { bucket });
}

export function persistedKeyNotFound(bucket: string, key: string): never {
  throw new Fault("keyNotFound", `Key not found: ${bucket}/${key}`, { bucket, key });
}
