import { existsSync } from "node:fs";
import { type Database, open, type RootDatabase, type RootDatabaseOptions } from "lmdb";
import { Fault } from "#core/errors.ts";
import { freeBytes, storageFault } from "./faults.ts";
import { decodeRecord, encodeRecord, type Json } from "./record.ts";

export type Key = string | [string] | [string, string] | [string, number];
export type Table = Database<Uint8Array, Key>;

export interface EnvironmentOptions {
  /** Data file. */
  readonly file: string;
  /** What the environment holds; each name is a table of its own in it. */
  readonly tables: readonly string[];
  /** Live data allowed in the file. The map grows with it; the file itself may reach twice as much while old pages are pinned. */
  readonly maxBytes: number;
  /** What growth of the file leaves free on its disk, for others that need little. Default 0. */
  readonly keepFreeBytes?: number;
  /** Opens without ever writing; the tables must be there. */
  readonly readOnly?: boolean;
}

/** One LMDB environment and its tables. One thread of one process writes it; any thread of that process may read. */
export interface Environment {
  readonly file: string;
  readonly root: RootDatabase<Uint8Array, Key>;
  table(name: string): Table;
  /** A table as it is now: the library's own snapshot may be as old as the event turn, and another thread may have written. */
  current(name: string): Table;
  /**
   * Collects the writes of `change` and makes them in one transaction; resolves when they are on the disk. `change` is synchronous and
   * sees what is committed, not its own writes; when it throws, nothing is written. One after the other, in the order of the calls.
   */
  commit<T>(doing: string, change: (write: Writes) => T): Promise<T>;
  /** The same for changes that do not depend on what others write: many in one turn share a transaction. */
  commitBeside<T>(doing: string, change: (write: Writes) => T): Promise<T>;
  /** Puts a value outside a transaction; resolves when it is on the disk. */
  put(table: string, key: Key, value: Uint8Array): Promise<void>;
  /** Throws `noSpaceLeft` when `bytes` more would not fit. */
  reserve(bytes: number): void;
  space(): Space;
  close(): Promise<void>;
}

/** Collects what one transaction writes. */
export interface Writes {
  put(table: Table, key: Key, value: Uint8Array): void;
  /** A small record, with its hash. */
  record(table: Table, key: Key, value: Json): void;
  /** Removes a key, if it is there. */
  remove(table: Table, key: Key): void;
}

export interface Space {
  /** Pages in use, in bytes. */
  readonly usedBytes: number;
  /** The data file's extent; what is not used is free for later writes. */
  readonly fileBytes: number;
  readonly maxBytes: number;
}

const MAX_TABLES = 16;
const MAX_READERS = 512;
/** Freed pages wait for pinned readers and may be scattered: the file may outgrow the live data, but not without end. */
const FILE_GROWTH = 2;

/**
 * Opens an environment. Without overlapping syncs a commit is durable when its promise resolves: there is one writer, so nothing
 * is gained by letting go of the write lock before the sync, and recovery needs no second meta page of its own. Batching by event
 * turn is off as well: it leaves a promise nobody holds, which would end the process when a commit fails on a full disk. A batch starts only
 * when it is complete.
 */
export async function openEnvironment(options: EnvironmentOptions): Promise<Environment> {
  const { file, readOnly = false } = options;
  if (readOnly && !existsSync(file)) throw new Fault("storageIo", `No store at ${file}`);
  const common = { encoding: "binary" } as const;
  try {
    const settings: RootDatabaseOptions & { batchStartThreshold: number } = {
      ...common,
      noSubdir: true,
      overlappingSync: false,
      eventTurnBatching: false,
      batchStartThreshold: Number.MAX_SAFE_INTEGER,
      maxDbs: MAX_TABLES,
      maxReaders: MAX_READERS,
      readOnly,
    };
    const root = open<Uint8Array, Key>(file, settings);
    const tables = new Map<string, Table>();
    for (const name of options.tables) {
      const table = root.openDB<Uint8Array, Key>(name, common) as Table | undefined;
      if (table === undefined) throw new Fault("corruption", `Table "${name}" is missing in ${file}`);
      tables.set(name, table);
    }
    return environmentOf(options, root, tables);
  } catch (error) {
    throw await storageFault(`Opening ${file}`, error);
  }
}

function environmentOf(
  { file, maxBytes, keepFreeBytes = 0 }: EnvironmentOptions,
  root: RootDatabase<Uint8Array, Key>,
  tables: ReadonlyMap<string, Table>,
): Environment {
  function space(): Space {
    return { ...pagesOf(root, tables.values()), maxBytes };
  }

  let last: Promise<unknown> = Promise.resolve();

  /**
   * The writes go to the library's write thread as one batch: it needs no JavaScript while the transaction is open, so a thread that is
   * terminated at any moment has written all or nothing. A transaction callback cut short would leave a part committed.
   */
  async function commitBeside<T>(doing: string, change: (write: Writes) => T): Promise<T> {
    root.resetReadTxn();
    const writes: (() => unknown)[] = [];
    const result = change(collector(writes));
    try {
      if (writes.length > 0) await root.batch(() => writes.forEach((write) => void write()));
      return result;
    } catch (error) {
      throw await storageFault(doing, error, file);
    }
  }

  function table(name: string): Table {
    return tables.get(name) ?? missing(name);
  }

  return {
    file,
    root,
    table,
    current(name) {
      root.resetReadTxn();
      return table(name);
    },
    commit(doing, change) {
      const turn = last.then(() => commitBeside(doing, change));
      last = turn.catch(() => undefined);
      return turn;
    },
    commitBeside,
    async put(name, key, value) {
      try {
        await table(name).put(key, value);
      } catch (error) {
        throw await storageFault(`Writing ${file}`, error, file);
      }
    },
    reserve(bytes) {
      const { usedBytes, fileBytes } = space();
      const free = fileBytes - usedBytes;
      const fits = usedBytes + bytes <= maxBytes && (bytes <= free || fileBytes + bytes <= maxBytes * FILE_GROWTH);
      if (!fits)
        throw new Fault(
          "noSpaceLeft",
          `${file} is full: ${usedBytes} of ${maxBytes} bytes used, ${bytes} more wanted`,
          {
            usedBytes,
            maxBytes,
            wantedBytes: bytes,
          },
        );
      if (keepFreeBytes > 0 && bytes > free) requireDisk(file, bytes, keepFreeBytes);
    },
    space,
    async close() {
      await root.close();
    },
  };
}

/** A data file never becomes smaller: one that filled the disk would leave nothing to the others for good. */
function requireDisk(file: string, bytes: number, keepFreeBytes: number): void {
  const leftBytes = freeBytes(file);
  if (leftBytes === undefined || bytes + keepFreeBytes <= leftBytes) return;
  throw new Fault("noSpaceLeft", `The disk of ${file} is full: ${leftBytes} bytes left, ${bytes} more wanted`, {
    leftBytes,
    wantedBytes: bytes,
  });
}

function collector(writes: (() => unknown)[]): Writes {
  const put = (table: Table, key: Key, value: Uint8Array) => void writes.push(() => table.put(key, value));
  return {
    put,
    record: (table, key, value) => put(table, key, encodeRecord(labelOf(key), value)),
    remove: (table, key) => void writes.push(() => table.remove(key)),
  };
}

function missing(table: string): never {
  throw new Fault("internal", `The environment has no table "${table}"`);
}

interface PageStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface RootStats extends PageStats {
  readonly root: PageStats;
  readonly free: PageStats;
  readonly lastPageNumber: number;
}

function pagesOf(
  root: RootDatabase<Uint8Array, Key>,
  tables: Iterable<Table>,
): { usedBytes: number; fileBytes: number } {
  const stats = root.getStats() as RootStats;
  const META_PAGES = 2;
  let pages = META_PAGES + pageCount(stats.root) + pageCount(stats.free);
  for (const table of tables) pages += pageCount(table.getStats() as PageStats);
  return { usedBytes: pages * stats.pageSize, fileBytes: (stats.lastPageNumber + 1) * stats.pageSize };
}

function pageCount(stats: PageStats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
}

/** A checked small record of a table. */
export function getRecord<T>(table: Table, key: Key): T | undefined {
  const stored = table.getBinary(key);
  return stored === undefined ? undefined : decodeRecord<T>(labelOf(key), stored);
}

function labelOf(key: Key): string {
  return typeof key === "string" ? key : key.join("/");
}

/** All keys `[first, …]` of a table, in order. */
export function* keysUnder(table: Table, first: string): Generator<string | number> {
  for (const key of table.getKeys({ start: [first] })) {
    if (!Array.isArray(key) || key[0] !== first) return;
    yield key[1] as string | number;
  }
}
