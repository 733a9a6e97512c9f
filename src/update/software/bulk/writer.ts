/**
 * Writes bulk data in segments, so that neither memory nor a transaction grows with a file, and an upload that was cut goes on where its
 * last whole segment ended. The SHA-256 is worked out on the way; when it is not known any more, again from the store.
 */
import { createHash, type Hash, randomBytes, randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { Fault } from "#core/errors.ts";
import { MULTIPART_TYPE } from "#core/media-types.ts";
import { Turns } from "#core/turns.ts";
import type { Storage, StorageTransaction } from "#store/storage.ts";
import type { FilePart } from "#update/form-files.ts";
import type { UploadSource } from "#update/upload-port.ts";
import {
  type BulkForm,
  type BulkInfo,
  type BulkKey,
  type BulkStart,
  type BulkWriter,
  fileChunks,
  fileRecords,
  findFile,
  findNext,
  findUpload,
  getFile,
  nextOf,
  recordOf,
  segmentKey,
} from "./files.ts";
import { takeFile } from "./form-file.ts";

/** One transaction's worth of an upload. */
export const SEGMENT_BYTES = 4 << 20;
const MAX_ID_LENGTH = 64;
const RANDOM_BYTES = 3;

export interface BulkLimits {
  readonly maxBytes: number;
  /** Files of all categories together. */
  readonly maxFiles: number;
}

/** Hashes of uploads that may go on, by collection, so that going on costs no reading. */
export type KnownHashes = Map<string, { readonly size: number; readonly hash: Hash }>;

/** The writer of a storage; there may be one of them at a time that changes files. */
export class StorageBulkWriter implements BulkWriter {
  readonly #storage: Storage;
  readonly #limits: BulkLimits;
  readonly #hashes: KnownHashes;
  readonly #writing = new Set<string>();
  readonly #turns = new Turns();

  constructor(storage: Storage, limits: BulkLimits, hashes: KnownHashes = new Map()) {
    this.#storage = storage;
    this.#limits = limits;
    this.#hashes = hashes;
  }

  async write(start: BulkStart, offset: number, { chunks }: UploadSource, last: boolean): Promise<BulkInfo> {
    const name = recordOf(start);
    if (this.#writing.has(name)) throw new Fault("storageBusy", `File ${start.id} is being written already`);
    this.#writing.add(name);
    try {
      const info = offset === 0 ? await this.#begin(start) : this.#goOn(start, offset);
      return await this.#fill(info, chunks, last);
    } finally {
      this.#writing.delete(name);
    }
  }

  async create({ component, category, name, contentType }: BulkForm, { chunks }: UploadSource): Promise<BulkInfo> {
    const take = async (part: FilePart): Promise<BulkInfo> => {
      const { name, mimetype, chunks } = part;
      const start = { component, category, id: idOf(name), name, mimetype };
      try {
        return await this.write(start, 0, { chunks }, true);
      } catch (error) {
        await this.remove(start).catch(() => undefined);
        throw error;
      }
    };
    if (contentType.toLowerCase().startsWith(MULTIPART_TYPE)) return takeFile(contentType, chunks, take);
    return take({ name, mimetype: contentType, chunks });
  }

  async remove(key: BulkKey): Promise<void> {
    const info = getFile(this.#storage, key);
    if (this.#writing.has(recordOf(key))) throw new Fault("storageBusy", `File ${key.id} is being written`);
    const next = findNext(this.#storage, key);
    await this.#change((tx) => {
      for (const name of [recordOf(key), nextOf(key)]) tx.setRecord(name, undefined);
      for (const each of [info, next]) dropContent(tx, each);
    });
    for (const { collection } of next === undefined ? [info] : [info, next]) this.#hashes.delete(collection);
  }

  async #begin({ component, category, id, name, mimetype }: BulkStart): Promise<BulkInfo> {
    const { maxFiles } = this.#limits;
    const key = { component, category, id };
    const known = findFile(this.#storage, key);
    if (known === undefined && fileRecords(this.#storage).length >= maxFiles) {
      throw new Fault("noSpaceLeft", `There are ${maxFiles} files already`);
    }
    // a whole file stays until the new one is whole
    const [place, replaced] =
      known?.complete === true ? [nextOf(key), findNext(this.#storage, key)] : [recordOf(key), known];
    const collection = `bulk-${randomUUID()}`;
    const fresh = { ...key, name, mimetype, collection };
    const info: BulkInfo = { ...fresh, size: 0, sha256: "", complete: false, createdAt: Date.now(), segments: [] };
    await this.#change((tx) => {
      dropContent(tx, replaced);
      tx.create(collection);
      tx.setRecord(place, info);
    });
    if (replaced !== undefined) this.#hashes.delete(replaced.collection);
    this.#hashes.set(collection, { size: 0, hash: createHash("sha256") });
    return info;
  }

  #goOn(key: BulkKey, offset: number): BulkInfo {
    const known = findUpload(this.#storage, key);
    if (known !== undefined && !known.complete && known.size === offset) return known;
    const size = known === undefined || known.complete ? 0 : known.size;
    throw new Fault("rangeNotSatisfiable", `The upload goes on at byte ${size}`, { offset: size });
  }

  async #fill(begun: BulkInfo, chunks: AsyncIterable<Uint8Array>, last: boolean): Promise<BulkInfo> {
    const { maxBytes } = this.#limits;
    let info = begun;
    const hash = await this.#hashOf(info);
    const segment = new Uint8Array(SEGMENT_BYTES);
    let filled = 0;
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength; ) {
        // the last segment waits for the end, to be stored in one step with it: nobody could go on with a file that lacks nothing
        if (filled === SEGMENT_BYTES) {
          info = await this.#store(info, segment, hash, false);
          filled = 0;
        }
        const part = chunk.subarray(at, at + SEGMENT_BYTES - filled);
        segment.set(part, filled);
        filled += part.byteLength;
        at += part.byteLength;
        if (info.size + filled > maxBytes) throw new Fault("payloadTooLarge", `A file has at most ${maxBytes} bytes`);
      }
    }
    return this.#store(info, segment.subarray(0, filled), hash, last);
  }

  async #hashOf(info: BulkInfo): Promise<Hash> {
    const known = this.#hashes.get(info.collection);
    if (known?.size === info.size) return known.hash.copy();
    const hash = createHash("sha256");
    for (const chunk of fileChunks(this.#storage, info)) {
      hash.update(chunk);
      // other uploads go on meanwhile
      await setImmediate();
    }
    return hash;
  }

  /** Adds a segment; with `last` the file is complete. */
  async #store(info: BulkInfo, bytes: Uint8Array, hash: Hash, last: boolean): Promise<BulkInfo> {
    const { collection, segments } = info;
    const isEmpty = bytes.byteLength === 0;
    if (isEmpty && !last) return info;
    hash.update(bytes);
    const grown: BulkInfo = {
      ...info,
      size: info.size + bytes.byteLength,
      segments: isEmpty ? segments : [...segments, bytes.byteLength],
      ...(last ? { complete: true, sha256: hash.copy().digest("hex") } : {}),
    };
    const isNext = findNext(this.#storage, info)?.collection === collection;
    const replaced = isNext && last ? findFile(this.#storage, info) : undefined;
    await this.#change(async (tx) => {
      if (!isEmpty) await tx.write(collection, segmentKey(segments.length), bytes);
      tx.setRecord(isNext && !last ? nextOf(info) : recordOf(info), grown);
      if (isNext && last) tx.setRecord(nextOf(info), undefined);
      dropContent(tx, replaced);
    });
    if (last) this.#hashes.delete(collection);
    else this.#hashes.set(collection, { size: grown.size, hash: hash.copy() });
    return grown;
  }

  /** One transaction after the other. */
  #change(work: (tx: StorageTransaction) => Promise<void> | void): Promise<void> {
    return this.#turns.run(() => this.#storage.transaction(work));
  }
}

function dropContent(tx: StorageTransaction, info: BulkInfo | undefined): void {
  if (info !== undefined && tx.has(info.collection)) tx.deleteCollection(info.collection);
}

/** `vehicle-fw v2.1.tar.zst` → `vehicle-fw-v2-1-tar-zst-a1b2c3`. */
function idOf(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `${plain.slice(0, MAX_ID_LENGTH) || "file"}-${randomBytes(RANDOM_BYTES).toString("hex")}`;
}
