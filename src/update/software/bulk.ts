/**
 * Bulk data: files of any length in the store, written in segments so that neither memory nor a transaction grows with them, and an
 * upload that was cut goes on where its last whole segment ended. The SHA-256 is worked out on the way; after a restart the hash of
 * what is there is worked out again from the store.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import type { Storage } from "#store/storage.ts";
import type { Artifact } from "./provider.ts";

/** One transaction's worth of an upload. */
export const SEGMENT_BYTES = 4 << 20;
const RECORD_PREFIX = "bulk/";
const SEGMENT_DIGITS = 6;
/** Tries of a change that met another writer's. */
const CONFLICT_TRIES = 8;

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

export interface BulkOptions {
  readonly storage: Storage;
  readonly maxBytes: number;
  /** Files of all categories together. */
  readonly maxFiles: number;
  readonly nowMs?: () => number;
}

/** What an upload says of itself. */
export interface BulkStart extends BulkKey {
  readonly name: string;
  readonly mimetype: string;
}

export class Bulk {
  readonly #options: BulkOptions;
  /** Hashes of uploads that may go on, by collection, so that going on in the same process costs no reading. */
  readonly #hashes = new Map<string, { readonly size: number; readonly hash: Hash }>();
  readonly #writing = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: BulkOptions) {
    this.#options = options;
  }

  /** Files of a component's category, oldest first; those not complete as well. */
  list(component: string, category: string): readonly BulkInfo[] {
    const { storage } = this.#options;
    const names = storage.recordNames(`${RECORD_PREFIX}${component}/${category}/`);
    const infos = names.map((name) => storage.record<BulkInfo>(name)).filter((info) => info !== undefined);
    return infos.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Categories of a component that hold a file. */
  categories(component: string): readonly string[] {
    const prefix = `${RECORD_PREFIX}${component}/`;
    const names = this.#options.storage
      .recordNames(prefix)
      .map((name) => name.slice(prefix.length).split("/")[0] ?? "");
    return [...new Set(names)];
  }

  find(key: BulkKey): BulkInfo | undefined {
    return this.#options.storage.record<BulkInfo>(recordOf(key));
  }

  /** Facts of a file; `notFound`. */
  get(key: BulkKey): BulkInfo {
    const info = this.find(key);
    if (info === undefined) throw new Fault("notFound", `There is no file ${key.id} in ${key.category}`);
    return info;
  }

  /**
   * Writes a file from `offset` on; what the file had behind that is replaced. Resolves when all is on the disk and, with `last`, the
   * file is complete. A stream that breaks leaves whole segments behind, to go on from: `rangeNotSatisfiable` names where.
   */
  async write(start: BulkStart, offset: number, chunks: AsyncIterable<Uint8Array>, last: boolean): Promise<BulkInfo> {
    const name = recordOf(start);
    if (this.#writing.has(name)) throw new Fault("storageBusy", `File ${start.id} is being written already`);
    this.#writing.add(name);
    try {
      const info = await this.#begin(start, offset);
      return await this.#fill(info, chunks, last);
    } finally {
      this.#writing.delete(name);
    }
  }

  /** Removes a file; `notFound`. */
  async remove(key: BulkKey): Promise<void> {
    const info = this.get(key);
    if (this.#writing.has(recordOf(key))) throw new Fault("storageBusy", `File ${key.id} is being written`);
    await this.#change(async (tx) => {
      if (tx.has(info.collection)) tx.deleteCollection(info.collection);
      tx.setRecord(recordOf(key), undefined);
    });
    this.#hashes.delete(info.collection);
  }

  /** Bytes `[from, to)` of a file, in pieces of at most 1 MiB. */
  *chunks(info: BulkInfo, from = 0, to = info.size): Generator<Uint8Array, void, undefined> {
    let at = 0;
    for (const [index, length] of info.segments.entries()) {
      const end = at + length;
      if (end > from && at < to) yield* this.#segment(info, index, Math.max(0, from - at), Math.min(length, to - at));
      at = end;
      if (at >= to) return;
    }
  }

  /** A complete file as an artifact. */
  artifact(info: BulkInfo): Artifact {
    const { name, size, sha256 } = info;
    const pieces = (offset?: number) => this.chunks(info, offset);
    return {
      name,
      sizeBytes: size,
      sha256,
      async *read(offset = 0) {
        yield* pieces(offset);
      },
    };
  }

  *#segment(info: BulkInfo, index: number, from: number, to: number): Generator<Uint8Array, void, undefined> {
    const value = this.#options.storage.read(info.collection, segmentKey(index));
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

  async #begin(start: BulkStart, offset: number): Promise<BulkInfo> {
    const { storage, maxFiles, nowMs = Date.now } = this.#options;
    const known = this.find(start);
    if (offset === 0) {
      if (known === undefined && storage.recordNames(RECORD_PREFIX).length >= maxFiles) {
        throw new Fault("noSpaceLeft", `There are ${maxFiles} files already`);
      }
      const { component, category, id, name, mimetype } = start;
      const collection = `bulk-${randomUUID()}`;
      const fresh = { component, category, id, name, mimetype, collection };
      const info: BulkInfo = { ...fresh, size: 0, sha256: "", complete: false, createdAt: nowMs(), segments: [] };
      await this.#change((tx) => {
        if (known !== undefined && tx.has(known.collection)) tx.deleteCollection(known.collection);
        tx.create(collection);
        tx.setRecord(recordOf(start), info);
      });
      this.#hashes.set(collection, { size: 0, hash: createHash("sha256") });
      return info;
    }
    if (known === undefined || known.complete || known.size !== offset) {
      const size = known === undefined || known.complete ? 0 : known.size;
      throw new Fault("rangeNotSatisfiable", `The upload goes on at byte ${size}`, { offset: size });
    }
    return known;
  }

  async #fill(begun: BulkInfo, chunks: AsyncIterable<Uint8Array>, last: boolean): Promise<BulkInfo> {
    const { maxBytes } = this.#options;
    let info = begun;
    const hash = this.#hashOf(info);
    const segment = new Uint8Array(SEGMENT_BYTES);
    let filled = 0;
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength; ) {
        const part = chunk.subarray(at, at + SEGMENT_BYTES - filled);
        segment.set(part, filled);
        filled += part.byteLength;
        at += part.byteLength;
        if (info.size + filled > maxBytes) throw new Fault("payloadTooLarge", `A file has at most ${maxBytes} bytes`);
        if (filled < SEGMENT_BYTES) continue;
        info = await this.#store(info, segment, hash);
        filled = 0;
      }
    }
    if (filled > 0) info = await this.#store(info, segment.subarray(0, filled), hash);
    if (!last) return info;
    const complete: BulkInfo = { ...info, complete: true, sha256: hash.digest("hex") };
    await this.#change((tx) => tx.setRecord(recordOf(info), complete));
    this.#hashes.delete(info.collection);
    return complete;
  }

  #hashOf(info: BulkInfo): Hash {
    const known = this.#hashes.get(info.collection);
    if (known?.size === info.size) return known.hash.copy();
    const hash = createHash("sha256");
    for (const chunk of this.chunks(info)) hash.update(chunk);
    return hash;
  }

  async #store(info: BulkInfo, bytes: Uint8Array, hash: Hash): Promise<BulkInfo> {
    const grown = { ...info, size: info.size + bytes.byteLength, segments: [...info.segments, bytes.byteLength] };
    await this.#change(async (tx) => {
      await tx.write(info.collection, segmentKey(info.segments.length), bytes);
      tx.setRecord(recordOf(info), grown);
    });
    hash.update(bytes);
    this.#hashes.set(info.collection, { size: grown.size, hash: hash.copy() });
    return grown;
  }

  /** One transaction after the other; one that met another writer's is made again. */
  #change(work: Parameters<Storage["transaction"]>[0]): Promise<void> {
    const turn = this.#turn.then(async () => {
      const { storage } = this.#options;
      for (let tries = 1; ; tries++) {
        try {
          await storage.idle();
          await storage.transaction(work);
          return;
        } catch (error) {
          const met = error instanceof Fault && (error.kind === "storageBusy" || error.kind === "transactionConflict");
          if (!met || tries === CONFLICT_TRIES) throw error;
        }
      }
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

function recordOf({ component, category, id }: BulkKey): string {
  return `${RECORD_PREFIX}${component}/${category}/${id}`;
}

function segmentKey(index: number): string {
  return String(index).padStart(SEGMENT_DIGITS, "0");
}
