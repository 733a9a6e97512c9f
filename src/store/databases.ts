import { COLLECTIONS } from "./names.ts";
import type { Json } from "./record.ts";
import type { Storage, StorageTransaction, ValueInfo } from "./storage.ts";

/** An MDD file taken apart by the parser that is handed in: this layer knows nothing of the format. */
export interface ParsedDatabase {
  readonly ecuName: string;
  readonly revision?: string;
  /** The diagnostic description, decompressed and verified. */
  readonly flatbuffer: Uint8Array;
  /** Everything else in the container: embedded files, code files. */
  readonly chunks: readonly ParsedChunk[];
  readonly metadata: { readonly [key: string]: Json };
}

export interface ParsedChunk {
  readonly type: string;
  readonly name: string;
  readonly mimeType?: string;
  /** Decompressed size in bytes. */
  readonly size: number;
  /** Decompressed content; absent when it is to be read from the container only. */
  readonly data?: Uint8Array;
}

/** Reads and verifies the bytes of an MDD file; throws when it is broken. */
export type ParseDatabase = (container: Uint8Array, file: string) => Promise<ParsedDatabase> | ParsedDatabase;

/** What is kept with a stored database, as its properties. */
export interface DatabaseProperties {
  readonly ecuName: string;
  readonly chunks: readonly ChunkProperties[];
  readonly metadata: { readonly [key: string]: Json };
}

export interface ChunkProperties {
  readonly type: string;
  readonly name: string;
  readonly mimeType: string | null;
  readonly size: number;
  /** Part that holds its content, or null when only the container does. */
  readonly part: string | null;
}

/** Part of a stored database that workers map. The value itself is the container as it came. */
export const FLATBUFFER_PART = "flatbuffer";

/**
 * Stores one MDD file in a collection: the container as its value, the FlatBuffer as a mapped part, each chunk as a streamed one.
 * The key is the file name in lower case.
 */
export async function writeDatabase(
  tx: StorageTransaction,
  collection: string,
  file: string,
  container: Uint8Array,
  parsed: ParsedDatabase,
): Promise<ValueInfo> {
  const chunks = parsed.chunks.map(({ type, name, mimeType, size, data }, index) => ({
    type,
    name,
    mimeType: mimeType ?? null,
    size,
    part: data === undefined ? null : `chunk.${index}`,
  }));
  await tx.write(collection, file, container, {
    properties: { ecuName: parsed.ecuName, chunks, metadata: parsed.metadata },
    ...(parsed.revision === undefined ? {} : { revision: parsed.revision }),
  });
  await tx.attach(collection, file, FLATBUFFER_PART, parsed.flatbuffer, "mapped");
  for (const [index, { data }] of parsed.chunks.entries())
    if (data !== undefined) await tx.attach(collection, file, `chunk.${index}`, data);
  return tx.metadata(collection, file);
}

/** The properties of a value that `writeDatabase` stored. */
export function databaseProperties(info: ValueInfo): DatabaseProperties {
  return info.properties as unknown as DatabaseProperties;
}

/** Where the current set comes from, and how often it has changed. */
export interface SetRecord {
  readonly origin: "import" | "apply" | "rollback";
  /** Grows with each change of the current set. */
  readonly generation: number;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
  /** The execution that made it, when one did. */
  readonly execution: string | null;
}

const SET_RECORD = "set";

/** The record of the current set; undefined before the first import. */
export function readSet(storage: Storage): SetRecord | undefined {
  return storage.record(SET_RECORD) as SetRecord | undefined;
}

/** Notes in a transaction that it changes the current set. */
export function noteSetChange(
  storage: Storage,
  tx: StorageTransaction,
  change: Pick<SetRecord, "origin" | "changedAt" | "execution">,
): void {
  const generation = (readSet(storage)?.generation ?? 0) + 1;
  tx.setRecord(SET_RECORD, { ...change, generation });
}

export const CURRENT = COLLECTIONS.DiagnosticDatabase;
export const NEXT = COLLECTIONS.DiagnosticDatabaseNextUpdate;
export const BACKUP = COLLECTIONS.DiagnosticDatabaseBackup;

/**
 * Order of two revisions as versions: runs of digits by value, all else as text, so 1.10 comes after 1.9. Negative, zero or positive;
 * no revision comes first.
 */
export function compareRevisions(a: string | undefined, b: string | undefined): number {
  const left = partsOf(a);
  const right = partsOf(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const order = compareParts(left[i], right[i]);
    if (order !== 0) return order;
  }
  return 0;
}

const partsOf = (text: string | undefined): string[] => text?.toLowerCase().match(/\d+|[^\d.\s_-]+/g) ?? [];

function compareParts(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return (a === undefined ? 0 : 1) - (b === undefined ? 0 : 1);
  const [left, right] = [a, b].map((part) => (/^\d/.test(part) ? BigInt(part) : undefined));
  if (left !== undefined && right !== undefined) return left < right ? -1 : Number(left > right);
  if (left !== undefined || right !== undefined) return left !== undefined ? 1 : -1;
  return a < b ? -1 : Number(a > b);
}
