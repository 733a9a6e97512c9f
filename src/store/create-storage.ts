import { Fault } from "#core/errors.ts";
import type { Blob, Entry, StorageBackend } from "./backend.ts";
import { storedName } from "./names.ts";
import type { Json } from "./record.ts";
import type { PartInfo, Storage, StorageTransaction, ValueInfo } from "./storage.ts";
import { createWorkingCopy, notFound, type WorkingCopy } from "./working-copy.ts";

const collectionName = (name: string): string => storedName("collection", name);
const keyName = (name: string): string => storedName("key", name);

/** Storage over a provider's backend: names, the one transaction, and what its steps mean. `now` is wall-clock milliseconds. */
export function createStorage(backend: StorageBackend, now: () => number = Date.now): Storage {
  let running: Promise<unknown> | undefined;

  function existing(name: string): string {
    const collection = collectionName(name);
    return backend.hasCollection(collection) ? collection : notFound(collection);
  }

  function entryOf(name: string, keyText: string): [key: string, entry: Entry] {
    const collection = existing(name);
    const key = keyName(keyText);
    return [key, backend.entry(collection, key) ?? keyNotFound(key)];
  }

  async function transaction<T>(work: (tx: StorageTransaction) => Promise<T> | T): Promise<T> {
    if (running !== undefined) throw new Fault("storageBusy", "Another transaction is already active");
    const whole = runTransaction(work).finally(() => {
      running = undefined;
    });
    running = whole.catch(() => undefined);
    return whole;
  }

  async function runTransaction<T>(work: (tx: StorageTransaction) => Promise<T> | T): Promise<T> {
    const staged = new Set<string>();
    const copy = createWorkingCopy(backend);
    const { tx, end } = openTransaction(copy, backend, staged, now);
    try {
      const result = await work(tx);
      await end();
      const change = copy.change();
      await backend.commit(change);
      for (const id of change.references.keys()) staged.delete(id);
      return result;
    } finally {
      await end().catch(() => undefined);
      // What cannot be discarded now is swept at the next start; the outcome of the transaction stands either way.
      await backend.discard(staged).catch(() => undefined);
    }
  }

  return {
    transaction,
    async idle() {
      while (running !== undefined) await running;
    },
    collections: () => backend.collections(),
    has: (name) => backend.hasCollection(collectionName(name)),
    async getOrCreate(name) {
      if (backend.hasCollection(collectionName(name))) return;
      await transaction((tx) => tx.create(name));
    },
    list: (name) => backend.keys(existing(name)),
    len: (name) => backend.keys(existing(name)).length,
    metadata: (name, key) => infoOf(...entryOf(name, key)),
    read(name, keyText, part) {
      const [key, entry] = entryOf(name, keyText);
      const blob = part === undefined ? entry.value : entry.parts[storedName("part", part)];
      if (blob === undefined) return keyNotFound(`${key}, part ${part}`);
      return backend.open(blob) ?? keyNotFound(key);
    },
    record: <T extends Json>(name: string) => backend.record(name) as T | undefined,
    recordNames: (prefix) => backend.recordNames(prefix),
  };
}

interface OpenTransaction {
  readonly tx: StorageTransaction;
  /** Waits for writes still under way and closes the transaction for good. */
  readonly end: () => Promise<void>;
}

function openTransaction(
  copy: WorkingCopy,
  backend: StorageBackend,
  staged: Set<string>,
  now: () => number,
): OpenTransaction {
  const underWay = new Set<Promise<unknown>>();
  let open = true;

  function collection(name: string): Map<string, Entry> {
    if (!open) throw new Fault("transactionConflict", "The transaction is over");
    return copy.entries(collectionName(name));
  }

  function known(name: string, keyText: string): [key: string, entry: Entry] {
    const key = keyName(keyText);
    return [key, collection(name).get(key) ?? keyNotFound(key)];
  }

  /** Steps take effect in the order their content is complete; `change` meets the state of that moment. */
  async function staging<T>(content: Promise<Blob>, change: (blob: Blob) => T): Promise<T> {
    const step = content.then((blob) => {
      staged.add(blob.id);
      return change(blob);
    });
    underWay.add(step);
    try {
      return await step;
    } finally {
      underWay.delete(step);
    }
  }

  const tx: StorageTransaction = {
    has: (name) => copy.has(collectionName(name)),
    list: (name) => [...collection(name).keys()].sort(),
    metadata: (name, key) => infoOf(...known(name, key)),
    create(name) {
      if (tx.has(name)) throw new Fault("transactionConflict", `Collection exists already: ${name}`);
      copy.set(collectionName(name), new Map());
    },
    deleteCollection(name) {
      collection(name);
      copy.set(collectionName(name), undefined);
    },
    copyCollection(from, to) {
      copy.set(collectionName(to), new Map(collection(from)));
    },
    async write(name, keyText, content, options = {}) {
      const key = keyName(keyText);
      collection(name);
      return staging(backend.stage(content, options.kind ?? "streamed"), (value) => {
        const { revision, properties = {} } = options;
        const entry: Entry = {
          value,
          parts: {},
          modifiedAt: now(),
          properties,
          ...(revision === undefined ? {} : { revision }),
        };
        copy.entries(collectionName(name)).set(key, entry);
        return infoOf(key, entry);
      });
    },
    async attach(name, keyText, partText, content, kind = "streamed") {
      const part = storedName("part", partText);
      known(name, keyText);
      return staging(backend.stage(content, kind), (blob) => {
        const [key, entry] = known(name, keyText);
        copy.entries(collectionName(name)).set(key, { ...entry, parts: { ...entry.parts, [part]: blob } });
      });
    },
    delete(name, keyText) {
      const [key] = known(name, keyText);
      collection(name).delete(key);
    },
    deleteAll: (name) => collection(name).clear(),
    setRecord: (name, value) => copy.setRecord(name, value),
  };

  async function end(): Promise<void> {
    open = false;
    const results = await Promise.allSettled(underWay);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  return { tx, end };
}

function keyNotFound(key: string): never {
  throw new Fault("keyNotFound", `Key not found: ${key}`, { key });
}

function infoOf(key: string, entry: Entry): ValueInfo {
  const { value, parts, revision, modifiedAt, properties } = entry;
  return {
    key,
    ...partInfo(value),
    modifiedAt,
    properties,
    parts: Object.fromEntries(Object.entries(parts).map(([name, blob]) => [name, partInfo(blob)])),
    ...(revision === undefined ? {} : { revision }),
  };
}

function partInfo({ size, sha256, kind }: PartInfo): PartInfo {
  return { size, sha256, kind };
}
