import type { Json } from "./record.ts";

/**
 * Storage access: named collections of key → value. Names and keys are the same in any case. Reads show what is committed and
 * never wait; changes happen in one transaction at a time, all of them or none.
 *
 * Faults: `collectionNotFound`, `keyNotFound`, `permissionDenied`, `storageBusy`, `transactionConflict`, `noSpaceLeft`,
 * `storageIo`, `corruption`; `invalidParameter` for a name that is none.
 */
export interface Storage {
  /**
   * Runs `work` and commits what it did in one durable step; a throw undoes everything. The promise resolves when the change
   * is on the disk. A second transaction while one is open: `storageBusy`.
   */
  transaction<T>(work: (tx: StorageTransaction) => Promise<T> | T): Promise<T>;
  /** Resolves when no transaction is open: for work that can wait its turn. */
  idle(): Promise<void>;
  /** Names of all collections, sorted. */
  collections(): string[];
  has(collection: string): boolean;
  /** Creates the collection, in a transaction of its own, when it is absent. */
  getOrCreate(collection: string): Promise<void>;
  /** Keys of a collection, sorted; `collectionNotFound`. */
  list(collection: string): string[];
  /** Number of keys; `collectionNotFound`. */
  len(collection: string): number;
  metadata(collection: string, key: string): ValueInfo;
  /** Opens a value (or one of its parts). What it shows stays as it was until `close`, whatever is committed meanwhile. */
  read(collection: string, key: string, part?: string): StoredValue;
  /** A small record beside the collections, changed by the same transactions. */
  record<T extends Json>(name: string): T | undefined;
  /** Names of the records that begin with `prefix`, sorted. */
  recordNames(prefix: string): string[];
}

/** The changes of one transaction. It sees its own earlier steps; nobody else does before the commit. */
export interface StorageTransaction {
  has(collection: string): boolean;
  list(collection: string): string[];
  metadata(collection: string, key: string): ValueInfo;
  /** `transactionConflict` when it exists. */
  create(collection: string): void;
  deleteCollection(collection: string): void;
  /** Makes `to` a copy of `from`, whatever it held; values are shared, no byte is rewritten. */
  copyCollection(from: string, to: string): void;
  /** Stores a value, replacing the one of that key; constant memory for streamed ones. `collectionNotFound`, `noSpaceLeft`. */
  write(collection: string, key: string, content: Content, options?: WriteOptions): Promise<ValueInfo>;
  /** Adds or replaces a part of an existing value: something derived from it that is copied and deleted with it. */
  attach(collection: string, key: string, part: string, content: Content, kind?: ValueKind): Promise<void>;
  /** `keyNotFound` when there is no such key. */
  delete(collection: string, key: string): void;
  deleteAll(collection: string): void;
  /** Sets a small record, or removes it with `undefined`. */
  setRecord(name: string, value: Json | undefined): void;
}

/** Bytes at once, or a stream of them. */
export type Content = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** `mapped` values are contiguous (up to `maxMappedBytes`) and can be looked at in place; `streamed` ones are chunks of 1 MiB. */
export type ValueKind = "mapped" | "streamed";

/** What a writer wants to know again about its value. */
export type Properties = Readonly<Record<string, Json>>;

export interface WriteOptions {
  /** Default `streamed`. */
  readonly kind?: ValueKind;
  readonly revision?: string;
  readonly properties?: Properties;
}

export interface PartInfo {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly kind: ValueKind;
}

export interface ValueInfo extends PartInfo {
  readonly key: string;
  readonly revision?: string;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  readonly properties: Properties;
  readonly parts: Readonly<Record<string, PartInfo>>;
}

/** An open value. */
export interface StoredValue extends PartInfo {
  /** Copies bytes from `offset` into `target`; returns how many (0 behind the end). Chunks are checked against their hash. */
  readAt(offset: number, target: Uint8Array): number;
  /** All bytes in pieces of at most 1 MiB, each a buffer of its own, checked; throws `corruption`. */
  chunks(): Generator<Uint8Array, void, undefined>;
  /**
   * The whole of a mapped value in place: valid until `close`, often a view into a far larger buffer, so never transfer or clone
   * its `.buffer`. Unchecked: call `verify` to have it hashed. A streamed value throws `transactionConflict`.
   */
  view(): Uint8Array;
  /** Reads everything and compares the hash; throws `corruption`. */
  verify(): void;
  close(): void;
}

export const CHUNK_BYTES = 1 << 20;
