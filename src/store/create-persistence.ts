import { type Clock, systemClock, type TimerHandle } from "#core/time.ts";
import { storedName } from "./names.ts";
import {
  bucketNotFound,
  checkedPlace,
  type Durability,
  type Persistence,
  type PersistenceBackend,
  persistedKeyNotFound,
} from "./persistence.ts";

export interface PersistenceOptions {
  /** By bucket; `durable` where none is given. */
  readonly durability?: Readonly<Record<string, Durability>>;
  /** How long a buffered change may stay in memory. Default 1 s. */
  readonly bufferMs?: number;
  readonly clock?: Clock;
  /** A buffered write that failed when nobody waited for it; it is tried again with the next one. */
  readonly onError?: (error: unknown) => void;
}

type Pending = Map<string, Map<string, string | undefined>>;

/** The persistence API over a provider: names, and the buffer of the buckets that have one. */
export function createPersistence(backend: PersistenceBackend, options: PersistenceOptions = {}): Persistence {
  const { bufferMs = 1000, clock = systemClock, onError = () => undefined } = options;
  const durability = new Map(
    Object.entries(options.durability ?? {}).map(([bucket, kind]) => [storedName("bucket", bucket), kind]),
  );
  const pending: Pending = new Map();
  let timer: TimerHandle | undefined;
  let writing: Promise<void> = Promise.resolve();

  function current(bucket: string, key: string): string | undefined {
    const held = pending.get(bucket);
    return held?.has(key) ? held.get(key) : backend.get(bucket, key);
  }

  const hasBucket = (bucket: string) => pending.has(bucket) || backend.hasBucket(bucket);

  function change(bucket: string, key: string, value: string | undefined): Promise<void> {
    if (durability.get(bucket) !== "buffered") return backend.write([{ bucket, key, value }]);
    const held = pending.get(bucket) ?? new Map<string, string | undefined>();
    pending.set(bucket, held.set(key, value));
    timer ??= clock.setTimeout(() => void writePending().catch(onError), bufferMs);
    return Promise.resolve();
  }

  /** Writes what is held; it stays readable from memory until it is on the disk, and is kept when that fails. */
  function writePending(): Promise<void> {
    if (timer !== undefined) clock.clearTimeout(timer);
    timer = undefined;
    writing = writing
      .catch(() => undefined)
      .then(async () => {
        const changes = [...pending].flatMap(([bucket, held]) =>
          [...held].map(([key, value]) => ({ bucket, key, value })),
        );
        if (changes.length > 0) await backend.write(changes);
        for (const { bucket, key, value } of changes) forget(pending, bucket, key, value);
      });
    return writing;
  }

  return {
    get(bucketName, keyText) {
      const [bucket, key] = checkedPlace(bucketName, keyText);
      if (!hasBucket(bucket)) return bucketNotFound(bucket);
      return current(bucket, key) ?? persistedKeyNotFound(bucket, key);
    },
    contains(bucketName, keyText) {
      const [bucket, key] = checkedPlace(bucketName, keyText);
      return current(bucket, key) !== undefined;
    },
    listKeys(bucketName) {
      const bucket = storedName("bucket", bucketName);
      if (!hasBucket(bucket)) return bucketNotFound(bucket);
      const keys = new Set(backend.keys(bucket));
      for (const [key, value] of pending.get(bucket) ?? []) value === undefined ? keys.delete(key) : keys.add(key);
      return [...keys].sort();
    },
    async set(bucketName, keyText, value) {
      const [bucket, key] = checkedPlace(bucketName, keyText);
      await change(bucket, key, value);
    },
    async delete(bucketName, keyText) {
      const [bucket, key] = checkedPlace(bucketName, keyText);
      if (!hasBucket(bucket)) bucketNotFound(bucket);
      if (current(bucket, key) === undefined) persistedKeyNotFound(bucket, key);
      await change(bucket, key, undefined);
    },
    async flush() {
      await writePending();
      await backend.flush();
    },
  };
}

/** A value set again while it was being written stays pending. */
function forget(pending: Pending, bucket: string, key: string, written: string | undefined): void {
  const held = pending.get(bucket);
  if (held?.get(key) === written) held?.delete(key);
  if (held?.size === 0) pending.delete(bucket);
}
