import { Fault } from "#core/errors.ts";
import type { Json } from "./record.ts";
import type { Content, PartInfo, Properties, StoredValue, ValueKind } from "./storage.ts";

/** Stored content, shared by all entries that hold the same bytes and counted by them. */
export interface Blob extends PartInfo {
  readonly id: string;
}

/** What a collection holds under one key. */
export interface Entry {
  readonly value: Blob;
  readonly parts: Readonly<Record<string, Blob>>;
  readonly revision?: string;
  readonly modifiedAt: number;
  readonly properties: Properties;
}

/** The difference between two states, made durable in one step. */
export interface Change {
  /** `commits` when the transaction began. */
  readonly base: number;
  readonly createdCollections: readonly string[];
  readonly deletedCollections: readonly string[];
  readonly puts: readonly (readonly [collection: string, key: string, entry: Entry])[];
  readonly removes: readonly (readonly [collection: string, key: string])[];
  /** By how much the number of references to each blob changes; a blob nobody refers to goes. */
  readonly references: ReadonlyMap<string, number>;
  readonly records: ReadonlyMap<string, Json | undefined>;
}

/** For a provider's `commit`: throws `transactionConflict` unless nothing was committed since the change began. */
export function checkBase(change: Change, commits: number): void {
  if (change.base !== commits)
    throw new Fault("transactionConflict", "The store was changed by another writer during the transaction");
}

/** What a provider of storage implements; names arrive checked and in lower case. */
export interface StorageBackend {
  collections(): string[];
  hasCollection(collection: string): boolean;
  keys(collection: string): string[];
  entry(collection: string, key: string): Entry | undefined;
  entries(collection: string): Map<string, Entry>;
  record(name: string): Json | undefined;
  recordNames(prefix: string): string[];
  /** Stores content that nobody refers to yet; it does not outlive the process unless a commit refers to it. */
  stage(content: Content, kind: ValueKind): Promise<Blob>;
  /** Removes staged content that no commit referred to. */
  discard(ids: Iterable<string>): Promise<void>;
  /** How many changes have been committed, by anyone. */
  commits(): number;
  /** `transactionConflict` when somebody else has committed since the base of the change. */
  commit(change: Change): Promise<void>;
  /** The value as it is now; stays so until closed. Undefined when a commit took it away meanwhile. */
  open(blob: Blob): StoredValue | undefined;
}
