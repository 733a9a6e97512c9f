import { Fault } from "#core/errors.ts";
import type { Blob, Change, Entry, StorageBackend } from "./backend.ts";
import type { Json } from "./record.ts";

type Entries = Map<string, Entry>;

/** The state as a transaction sees it: committed collections, loaded when touched, with its own changes on top. */
export interface WorkingCopy {
  has(collection: string): boolean;
  /** The entries of a collection, to be changed in place; throws `collectionNotFound`. */
  entries(collection: string): Entries;
  /** Puts a collection in place, or takes it away with `undefined`. */
  set(collection: string, entries: Entries | undefined): void;
  setRecord(name: string, value: Json | undefined): void;
  /** What has to be committed. */
  change(): Change;
}

/** A working copy over what the backend has committed; the one writer sees to it that this does not move meanwhile. */
export function createWorkingCopy(backend: StorageBackend): WorkingCopy {
  const base = backend.commits();
  const before = new Map<string, Entries | undefined>();
  const after = new Map<string, Entries | undefined>();
  const records = new Map<string, Json | undefined>();

  function load(collection: string): Entries | undefined {
    if (!before.has(collection)) {
      const committed = backend.hasCollection(collection) ? backend.entries(collection) : undefined;
      before.set(collection, committed);
      after.set(collection, committed && new Map(committed));
    }
    return after.get(collection);
  }

  return {
    has: (collection) => load(collection) !== undefined,
    entries: (collection) => load(collection) ?? notFound(collection),
    set(collection, entries) {
      load(collection);
      after.set(collection, entries);
    },
    setRecord: (name, value) => void records.set(name, value),
    change: () => ({ base, ...differenceOf(before, after), records }),
  };
}

export function notFound(collection: string): never {
  throw new Fault("collectionNotFound", `Collection not found: ${collection}`, { collection });
}

function differenceOf(
  before: ReadonlyMap<string, Entries | undefined>,
  after: ReadonlyMap<string, Entries | undefined>,
): Omit<Change, "base" | "records"> {
  const createdCollections: string[] = [];
  const deletedCollections: string[] = [];
  const puts: [string, string, Entry][] = [];
  const removes: [string, string][] = [];
  const references = new Map<string, number>();

  for (const [collection, now] of after) {
    const then = before.get(collection);
    if (then === undefined && now !== undefined) createdCollections.push(collection);
    if (then !== undefined && now === undefined) deletedCollections.push(collection);
    for (const [key, entry] of then ?? []) {
      if (now?.get(key) === entry) continue;
      count(references, entry, -1);
      if (!now?.has(key)) removes.push([collection, key]);
    }
    for (const [key, entry] of now ?? []) {
      if (then?.get(key) === entry) continue;
      count(references, entry, 1);
      puts.push([collection, key, entry]);
    }
  }
  return { createdCollections, deletedCollections, puts, removes, references };
}

function count(references: Map<string, number>, entry: Entry, by: number): void {
  for (const blob of blobsOf(entry)) references.set(blob.id, (references.get(blob.id) ?? 0) + by);
}

/** Every blob an entry refers to. */
export function blobsOf(entry: Entry): Blob[] {
  return [entry.value, ...Object.values(entry.parts)];
}
