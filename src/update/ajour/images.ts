/**
 * Images for devices, in the bulk store under their SHA-256, so that what is served was verified whole. Blocks are small and a chunk of
 * the store is not: the last few chunks are kept, so that a device that asks for one block after the other costs one read per chunk.
 */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { Turns } from "#core/turns.ts";
import type { Bulk, BulkInfo } from "#update/software/bulk/bulk.ts";

const COMPONENT = "x-ajour";
const CATEGORY = "images";
const CHUNK_BYTES = 1 << 20;

export interface ImageContent {
  readonly name: string;
  readonly sha256: string;
  /** Bytes from `offset` on. */
  read(offset: number): AsyncIterable<Uint8Array>;
}

export class Images {
  readonly #bulk: Bulk;
  readonly #maxChunks: number;
  readonly #chunks = new Map<string, Uint8Array>();
  readonly #filling = new Map<string, Promise<number>>();
  /** Not on record anywhere yet. */
  readonly #held = new Set<ImageContent>();
  readonly #removals = new Turns();

  /** `maxChunks`: chunks of 1 MiB held in memory. */
  constructor(bulk: Bulk, maxChunks: number) {
    this.#bulk = bulk;
    this.#maxChunks = maxChunks;
  }

  /** Length of a complete image; undefined when it is not there. */
  sizeOf(sha256: string): number | undefined {
    const info = this.#find(sha256);
    return info?.complete === true ? info.size : undefined;
  }

  /**
   * Stores an image unless it is there, from where an earlier try was cut; the same one twice at a time is written once. Resolves with what
   * `name` makes of its length: until that has put it on record it is not removed. @throws Fault invalidData for another hash
   */
  async put<T>(content: ImageContent, name: (sizeBytes: number) => T | Promise<T>): Promise<T> {
    this.#held.add(content);
    try {
      // the same one may be on its way out
      const sizeBytes = await this.#removals.run(() => this.sizeOf(content.sha256));
      return await name(sizeBytes ?? (await this.#filled(content)));
    } finally {
      this.#held.delete(content);
    }
  }

  /** Bytes `[offset, offset + length)` of an image, cut where a chunk ends; never empty. @throws Fault notFound, corruption */
  read(sha256: string, offset: number, length: number): Uint8Array {
    const index = Math.floor(offset / CHUNK_BYTES);
    const at = offset - index * CHUNK_BYTES;
    const block = this.#chunk(sha256, index).subarray(at, at + length);
    if (block.length === 0) throw new Fault("corruption", `Image ${sha256} has no byte ${offset}`);
    return block;
  }

  /** Removes images that are not wanted, as it is when their turn comes. */
  keepOnly(isWanted: (sha256: string) => boolean): Promise<void> {
    return this.#removals.run(async () => {
      for (const { id } of this.#bulk.list(COMPONENT, CATEGORY)) {
        if (isWanted(id) || [...this.#held].some(({ sha256 }) => sha256 === id)) continue;
        for (const key of this.#chunks.keys()) if (key.startsWith(`${id}/`)) this.#chunks.delete(key);
        await this.#bulk.remove(keyOf(id));
      }
    });
  }

  #filled(content: ImageContent): Promise<number> {
    const { sha256 } = content;
    const filling = this.#filling.get(sha256) ?? this.#fill(content).finally(() => this.#filling.delete(sha256));
    this.#filling.set(sha256, filling);
    return filling;
  }

  async #fill({ sha256, name, read }: ImageContent): Promise<number> {
    const start = { ...keyOf(sha256), name, mimetype: BYTES_TYPE };
    const offset = this.#find(sha256)?.size ?? 0;
    const info = await this.#bulk.write(start, offset, read(offset), true);
    if (info.sha256 === sha256) return info.size;
    await this.#bulk.remove(keyOf(sha256));
    throw new Fault("invalidData", `Image ${name} has the SHA-256 ${info.sha256}, expected is ${sha256}`);
  }

  #chunk(sha256: string, index: number): Uint8Array {
    const key = `${sha256}/${index}`;
    const known = this.#chunks.get(key);
    if (known !== undefined) {
      // last used last
      this.#chunks.delete(key);
      this.#chunks.set(key, known);
      return known;
    }
    const info = this.#find(sha256);
    if (info?.complete !== true) throw new Fault("notFound", `There is no image ${sha256}`);
    const from = index * CHUNK_BYTES;
    const chunk = Buffer.concat([...this.#bulk.chunks(info, from, Math.min(info.size, from + CHUNK_BYTES))]);
    this.#chunks.set(key, chunk);
    const [oldest] = this.#chunks.keys();
    if (this.#chunks.size > this.#maxChunks && oldest !== undefined) this.#chunks.delete(oldest);
    return chunk;
  }

  #find(sha256: string): BulkInfo | undefined {
    return this.#bulk.find(keyOf(sha256));
  }
}

function keyOf(id: string): { component: string; category: string; id: string } {
  return { component: COMPONENT, category: CATEGORY, id };
}
