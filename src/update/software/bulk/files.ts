/** Files of bulk data as the store has them: a record each, and the segments of their content. */
import { Fault } from "#core/errors.ts";
import type { Storage } from "#store/storage.ts";
import type { UploadSource } from "#update/upload-port.ts";

const RECORD_PREFIX = "bulk/";
/** Of what is to take the place of a whole file, as soon as it is whole itself. */
const NEXT_PREFIX = "bulk-next/";
const SEGMENT_DIGITS = 6;

export interface BulkKey {
  readonly component: string;
  readonly category: string;
  readonly id: string;
}

/** What is known of a file. Plain JSON: it is a record of the store. */
export type BulkInfo = {
  readonly component: string;
  readonly category: string;
  readonly id: string;
  readonly name: string;
  readonly mimetype: string;
  /** Bytes that are there. */
  readonly size: number;
  /** Lower-case hex; empty until the upload is complete. */
  readonly sha256: string;
  readonly complete: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Collection of the segments, and the length of each. */
  readonly collection: string;
  readonly segments: readonly number[];
};

/** What an upload says of itself. */
export interface BulkStart extends BulkKey {
  readonly name: string;
  readonly mimetype: string;
}

/** A new file whose id is found: multipart, then name and type are those of the one file in it, or the bytes themselves. */
export interface BulkForm extends Omit<BulkKey, "id"> {
  readonly name: string;
  readonly contentType: string;
}

/** Makes all changes, one transaction after the other. */
export interface BulkWriter {
  /**
   * Writes a file from `offset` on; what the file had behind that is replaced, a whole one when the new one is whole. Resolves when all is on the disk and, with `last`, the
   * file is complete. A stream that breaks leaves whole segments behind, to go on from: `rangeNotSatisfiable` names where.
   */
  write(start: BulkStart, offset: number, source: UploadSource, last: boolean): Promise<BulkInfo>;
  /** A new file, whole; nothing stays of one that fails, as nobody knows its id. */
  create(form: BulkForm, source: UploadSource): Promise<BulkInfo>;
  /** Removes a file; `notFound`. */
  remove(key: BulkKey): Promise<void>;
}

/** Names of the files' records that begin so, sorted: a component, or a component and a category. */
export function fileRecords(storage: Storage, ...place: readonly string[]): string[] {
  return storage.recordNames(RECORD_PREFIX + place.map((part) => `${part}/`).join(""));
}

export function findFile(storage: Storage, key: BulkKey): BulkInfo | undefined {
  return storage.record<BulkInfo>(recordOf(key));
}

/** What is coming to the place of a whole file. */
export function findNext(storage: Storage, key: BulkKey): BulkInfo | undefined {
  return storage.record<BulkInfo>(nextOf(key));
}

/** What an upload goes on with: a whole file is one that nothing has come of yet to replace it. */
export function findUpload(storage: Storage, key: BulkKey): BulkInfo | undefined {
  const next = findNext(storage, key);
  return next !== undefined && next.size > 0 ? next : findFile(storage, key);
}

/** `notFound` when there is none. */
export function getFile(storage: Storage, key: BulkKey): BulkInfo {
  const info = findFile(storage, key);
  if (info === undefined) throw new Fault("notFound", `There is no file ${key.id} in ${key.category}`);
  return info;
}

/** Bytes `[from, to)` of a file, in pieces of at most 1 MiB. */
export function* fileChunks(
  storage: Storage,
  info: BulkInfo,
  from = 0,
  to = info.size,
): Generator<Uint8Array, void, undefined> {
  let at = 0;
  for (const [index, length] of info.segments.entries()) {
    const end = at + length;
    if (end > from && at < to) {
      yield* segmentChunks(storage, info, index, Math.max(0, from - at), Math.min(length, to - at));
    }
    at = end;
    if (at >= to) return;
  }
}

function* segmentChunks(
  storage: Storage,
  info: BulkInfo,
  index: number,
  from: number,
  to: number,
): Generator<Uint8Array, void, undefined> {
  const value = storage.read(info.collection, segmentKey(index));
  try {
    let at = 0;
    for (const chunk of value.chunks()) {
      const end = at + chunk.byteLength;
      if (end > from && at < to) yield chunk.subarray(Math.max(0, from - at), Math.min(chunk.byteLength, to - at));
      at = end;
      if (at >= to) return;
    }
  } finally {
    value.close();
  }
}

/** Name of a file's record. */
export function recordOf({ component, category, id }: BulkKey): string {
  return `${RECORD_PREFIX}${component}/${category}/${id}`;
}

/** Name of the record of what is coming to its place. */
export function nextOf({ component, category, id }: BulkKey): string {
  return `${NEXT_PREFIX}${component}/${category}/${id}`;
}

/** Key of a segment in its file's collection. */
export function segmentKey(index: number): string {
  return String(index).padStart(SEGMENT_DIGITS, "0");
}
