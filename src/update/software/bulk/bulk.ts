/**
 * Bulk data: files of any length in the store. They are read where they are asked for; all changes go through a `BulkWriter`, which in the
 * server lives in the thread for uploads (`thread.ts`).
 */
import type { Storage } from "#store/storage.ts";
import type { Artifact } from "#update/software/provider.ts";
import {
  type BulkForm,
  type BulkInfo,
  type BulkKey,
  type BulkStart,
  type BulkWriter,
  fileChunks,
  fileRecords,
  findFile,
  findUpload,
  getFile,
  recordOf,
} from "./files.ts";
import { Places } from "./places.ts";

export type { BulkInfo, BulkKey } from "./files.ts";

/** Where a record's name `bulk/component/category/id` has it. */
const CATEGORY = 2;

export class Bulk {
  readonly #storage: Storage;
  readonly #writer: BulkWriter;
  readonly #places: Places;
  readonly #room: (() => number) | undefined;
  /** Removals under way, by record. */
  readonly #going = new Map<string, Promise<void>>();

  /** `storage` shows what `writer` has committed. `places`: for uploads of clients. `room`: bytes that the store will still take. */
  constructor(
    storage: Storage,
    writer: BulkWriter,
    places = new Places(Number.POSITIVE_INFINITY),
    room?: () => number,
  ) {
    this.#storage = storage;
    this.#writer = writer;
    this.#places = places;
    this.#room = room;
  }

  /** Undefined: not known. */
  get roomBytes(): number | undefined {
    return this.#room?.();
  }

  /** Uploads of clients for which there was no place. */
  get refused(): number {
    return this.#places.refused;
  }

  /** Files of a component's category, oldest first; those not complete as well. */
  list(component: string, category: string): readonly BulkInfo[] {
    const names = fileRecords(this.#storage, component, category);
    const infos = names.map((name) => this.#storage.record<BulkInfo>(name)).filter((info) => info !== undefined);
    return infos.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Categories of a component that hold a file. */
  categories(component: string): readonly string[] {
    const names = fileRecords(this.#storage, component);
    return [...new Set(names.map((name) => name.split("/")[CATEGORY] ?? ""))];
  }

  /** Undefined as well for what is about to be gone: nobody is to build on it. */
  find(key: BulkKey): BulkInfo | undefined {
    return this.#going.has(recordOf(key)) ? undefined : findFile(this.#storage, key);
  }

  /** What an upload would go on with, a whole file included; undefined as `find`. */
  upload(key: BulkKey): BulkInfo | undefined {
    return this.#going.has(recordOf(key)) ? undefined : findUpload(this.#storage, key);
  }

  /** Facts of a file; `notFound`. */
  get(key: BulkKey): BulkInfo {
    return getFile(this.#storage, key);
  }

  /** As `BulkWriter.write`; the chunks stay the caller's. */
  write(start: BulkStart, offset: number, chunks: AsyncIterable<Uint8Array>, last: boolean): Promise<BulkInfo> {
    return this.#write(start, offset, { chunks }, last);
  }

  /** As `BulkWriter.write`, of a client, whose chunks are handed over. @throws as well what `Places.hold` does */
  take(
    client: string,
    start: BulkStart,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    last: boolean,
  ): Promise<BulkInfo> {
    return this.#places.hold(client, () => this.#write(start, offset, { chunks, own: true }, last));
  }

  /** As `BulkWriter.create`, of a client, whose chunks are handed over. @throws as well what `Places.hold` does */
  create(client: string, form: BulkForm, chunks: AsyncIterable<Uint8Array>): Promise<BulkInfo> {
    return this.#places.hold(client, () => this.#writer.create(form, { chunks, own: true }));
  }

  /** Removes a file; `notFound`. */
  remove(key: BulkKey): Promise<void> {
    const name = recordOf(key);
    const gone = this.#writer.remove(key).finally(() => this.#going.delete(name));
    this.#going.set(name, gone);
    return gone;
  }

  async #write(...write: Parameters<BulkWriter["write"]>): Promise<BulkInfo> {
    await this.#going.get(recordOf(write[0]))?.catch(() => undefined);
    return this.#writer.write(...write);
  }

  /** Bytes `[from, to)` of a file, in pieces of at most 1 MiB. */
  chunks(info: BulkInfo, from = 0, to = info.size): Generator<Uint8Array, void, undefined> {
    return fileChunks(this.#storage, info, from, to);
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
}
