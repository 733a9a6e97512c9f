/**
 * Images for devices, in the bulk store under their SHA-256, so that what is served was verified whole. Blocks are small and a chunk of
 * the store is not: the last few chunks are kept, so that a device that asks for one block after the other costs one read per chunk.
 */
import { Fault } from "#core/errors.ts";
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
   * Stores an image unless it is there, from where an earlier try was cut; returns its length. The same one twice at a time is written
   * once. @throws Fault invalidData for another hash
   */
  put(content: ImageContent): Promise<number> {
    const size = this.sizeOf(content.sha256);
    if (size !== undefined) return Promise.resolve(size);
    const filling = this.#filling.get(content.sha256) ?? this.#fill(content);
    this.#filling.set(content.sha256, filling);
    return filling.finally(() => this.#filling.delete(content.sha256));
  }

  /** Bytes `[offset, offset + length)` of an image, cut where a chunk ends; never empty. @throws Fault notFound, corruption */
  read(sha256: string, offset: number, length: number): Uint8Array {
    const index = Math.floor(offset / CHUNK_BYTES);
    const at = offset - index * CHUNK_BYTES;
    const block = this.#chunk(sha256, index).subarray(at, at + length);
    if (block.length === 0) throw new Fault("corruption", `Image ${sha256} has no byte ${offset}`);
    return block;
  }

  /** Removes all images but these. */
  async keepOnly(wanted: ReadonlySet<string>): Promise<void> {
    for (const { id } of this.#bulk.list(COMPONENT, CATEGORY)) {
      if (wanted.has(id) || this.#filling.has(id)) continue;
      for (const key of this.#chunks.keys()) if (key.startsWith(`${id}/`)) this.#chunks.delete(key);
      await this.#bulk.remove(keyOf(id));
    }
  }

  async #fill({ sha256, name, read }: ImageContent): Promise<number> {
    const start = { ...keyOf(sha256), name, mimetype: "application/octet-stream" };
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
