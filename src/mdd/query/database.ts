import { ByteBuffer } from "flatbuffers";
import { Fault } from "#core/errors.ts";
import { EcuData } from "#mdd/generated/dataformat.ts";
import { DEFAULT_NAMING, type NamingConvention } from "./naming-convention.ts";

/** What the caller decides about a database; every field has a default. */
export interface DatabaseOptions {
  readonly naming?: NamingConvention;
  /** Service indexes kept at a time, one per variant or functional group in use. */
  readonly maxIndexes?: number;
}

/**
 * One diagnostic database, read where its bytes lie: nothing is walked on opening and nothing is copied but the strings that a
 * query hands out. Its own name and revision are read at once, because placement asks every database for them. Not to be asked any more
 * once the bytes are unmapped; the plain data that queries gave out stays good.
 */
export interface Database {
  readonly bytes: Uint8Array;
  readonly buffer: ByteBuffer;
  readonly root: EcuData;
  readonly ecuName: string;
  readonly revision: string | undefined;
  readonly formatVersion: string | undefined;
  readonly naming: NamingConvention;
  readonly maxIndexes: number;
  /** What has been worked out once and is small; `dropCaches` empties it. */
  readonly memo: Map<string, unknown>;
}

const DEFAULT_MAX_INDEXES = 4;

/** A flatbuffer needs a root offset, a vtable and a table before it can say anything. */
const MIN_BYTES = 12;

/** Tables within tables that a query follows; real databases nest about 22 deep, counted over every kind of table. */
export const MAX_TABLES_DEEP = 64;

/** Tables one query unfolds; shared tables make a small file a huge tree. */
const MAX_UNFOLDED = 100_000;

/** Elements of one vector that a query reads; more can only be a damaged length. */
const MAX_ELEMENTS = 1 << 17;

/**
 * Opens a verified FlatBuffers image (the decompressed diagnostic description).
 * @throws Fault invalidDatabase when it is too short or has no ECU name
 */
export function openDatabase(bytes: Uint8Array, options: DatabaseOptions = {}): Database {
  if (bytes.length < MIN_BYTES) throw invalidDatabase("EcuData", `only ${bytes.length} bytes`);
  const buffer = new ByteBuffer(bytes);
  return reading("EcuData", () => {
    const root = EcuData.getRootAsEcuData(buffer);
    if (root.bb_pos <= 0 || root.bb_pos > bytes.length - 4) throw invalidDatabase("EcuData", "root lies outside");
    return {
      bytes,
      buffer,
      root,
      ecuName: required(root.ecuName(), "EcuData.ecu_name"),
      revision: root.revision() ?? undefined,
      formatVersion: root.version() ?? undefined,
      naming: options.naming ?? DEFAULT_NAMING,
      maxIndexes: options.maxIndexes ?? DEFAULT_MAX_INDEXES,
      memo: new Map(),
    };
  });
}

/** Forgets what has been worked out, indexes too; the next query builds anew. */
export function dropCaches(database: Database): void {
  database.memo.clear();
}

/** Value of `make`, worked out at first use. */
export function memoised<T>(database: Database, key: string, make: () => T): T {
  const known = database.memo.get(key);
  if (known !== undefined) return known as T;
  const value = make();
  database.memo.set(key, value);
  return value;
}

/** The fault of a database whose `element` is wrong. */
export function invalidDatabase(element: string, reason: string): Fault {
  return new Fault("invalidDatabase", `Invalid database: ${element}: ${reason}`, { element });
}

/** `value`, or the fault that names the missing element. */
export function required<T>(value: T | null | undefined, element: string): T {
  if (value === null || value === undefined) throw invalidDatabase(element, "missing");
  return value;
}

/** Runs a walk over the tables of `element`; offsets that lead outside the bytes become an invalidDatabase fault. */
export function reading<T>(element: string, walk: () => T): T {
  try {
    return walk();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError)
      throw new Fault("invalidDatabase", `Invalid database: ${element}: ${error.message}`, { element }, error);
    throw error;
  }
}

/** Counts the tables a query unfolds: each call counts one and tells how deep it stands. @throws Fault invalidDatabase past the limits */
export function unfolding(element: string): (depth: number) => void {
  let left = MAX_UNFOLDED;
  return (depth) => {
    left--;
    if (left < 0) throw invalidDatabase(element, `unfolds to more than ${MAX_UNFOLDED} tables`);
    if (depth > MAX_TABLES_DEEP) throw invalidDatabase(element, `nested deeper than ${MAX_TABLES_DEEP}`);
  };
}

/** The elements of a FlatBuffers vector; null ones are left out. `get` must make a new object for each. */
export function each<T>(length: number, get: (index: number) => T | null): T[] {
  if (length > MAX_ELEMENTS) throw invalidDatabase("vector", `${length} elements`);
  const elements: T[] = [];
  for (let i = 0; i < length; i++) {
    const element = get(i);
    if (element !== null) elements.push(element);
  }
  return elements;
}
