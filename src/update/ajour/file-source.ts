/** Firmware from the store: a bulk-data file `<name>.bin` and beside it `<name>.json` with `{version, checksum, size}`. */
import { Fault } from "#core/errors.ts";
import type { Bulk, BulkInfo } from "#update/software/bulk/bulk.ts";
import { parseObject } from "./download.ts";
import type { FirmwareSource, Offer } from "./sources.ts";

export interface FileSourceOptions {
  readonly bulk: Bulk;
  /** Component and category that hold the files. */
  readonly component: string;
  readonly category: string;
  readonly name: string;
  readonly refreshMs: number;
}

const MAX_METADATA_BYTES = 64 << 10;

export class FileSource implements FirmwareSource {
  readonly #options: FileSourceOptions;

  constructor(options: FileSourceOptions) {
    this.#options = options;
  }

  async look(): Promise<Offer | undefined> {
    const { bulk, name, refreshMs } = this.#options;
    const image = this.#find(`${name}.bin`);
    const description = this.#find(`${name}.json`);
    if (image === undefined || description === undefined) return undefined;
    const { version, checksum, size } = this.#metadata(description);
    if (typeof version !== "string") throw new Fault("invalidData", `${name}.json names no version`);
    const sha256 = typeof checksum === "string" ? checksum.replace(/^sha256:/, "").toLowerCase() : image.sha256;
    if (sha256 !== image.sha256 || (size !== undefined && size !== image.size)) {
      throw new Fault("invalidData", `${name}.bin is not what ${name}.json describes`);
    }
    const fetch = (_signal: AbortSignal, offset: number) => bulk.artifact(image).read(offset);
    return { name: image.name, version: Buffer.from(version), sha256, validMs: refreshMs, fetch };
  }

  #find(name: string): BulkInfo | undefined {
    const { bulk, component, category } = this.#options;
    return bulk.list(component, category).findLast((info) => info.complete && (info.name === name || info.id === name));
  }

  #metadata(info: BulkInfo): Record<string, unknown> {
    if (info.size > MAX_METADATA_BYTES) throw new Fault("invalidData", `${info.name} is too large`);
    return parseObject(Buffer.concat([...this.#options.bulk.chunks(info)]), info.name);
  }
}
