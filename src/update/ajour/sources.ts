/**
 * Images that configuration names, kept ready: looked up when a device first asks for one, looked up again when they have grown old,
 * and shown only when they are complete and verified in the store. A source that fails leaves what was there before.
 */
import type { Clock } from "#core/time.ts";
import type { Report } from "./desk.ts";
import type { Images } from "./images.ts";
import type { Image } from "./next.ts";
import type { FirmwareSpec } from "./registry.ts";

/** What a source offers now. */
export interface Offer {
  readonly name: string;
  readonly version: Uint8Array;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Milliseconds until it is worth asking again; undefined: never. */
  readonly validMs: number | undefined;
  /** Its bytes from `offset` on. */
  fetch(signal: AbortSignal, offset: number): AsyncIterable<Uint8Array>;
}

/** One place that firmware comes from. */
export interface FirmwareSource {
  /** Undefined: there is nothing yet. @throws Fault */
  look(signal: AbortSignal): Promise<Offer | undefined>;
  /** What a device said that was served from here. */
  note?(report: Report): void;
}

export interface SourcesOptions {
  readonly create: (spec: FirmwareSpec) => FirmwareSource;
  readonly images: Images;
  readonly clock: Clock;
  /** Pause before a source is asked again that failed or had nothing. */
  readonly retryMs: number;
  readonly onProblem: (problem: unknown, source: string) => void;
  /** An image took the place of another. */
  readonly onChange: () => Promise<void>;
}

interface Kept {
  readonly source: FirmwareSource;
  image: Image | undefined;
  /** `Clock.now()` from which on the source is asked again. */
  dueMs: number;
  running: Promise<void> | undefined;
}

export class Sources {
  readonly #options: SourcesOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #controller = new AbortController();

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** The image to serve now; undefined while there is none. Looks for it, or for a newer one, beside. */
  image(spec: FirmwareSpec): Image | undefined {
    const kept = this.#keep(spec);
    if (kept.running === undefined && this.#options.clock.now() >= kept.dueMs && !this.#controller.signal.aborted) {
      kept.running = this.#look(kept, labelOf(spec)).finally(() => {
        kept.running = undefined;
      });
    }
    return kept.image;
  }

  note(spec: FirmwareSpec, report: Report): void {
    this.#keep(spec).source.note?.(report);
  }

  /** Hashes of all images that are served. */
  get images(): readonly string[] {
    return [...this.#kept.values()].flatMap(({ image }) => (image === undefined ? [] : [image.sha256]));
  }

  /** Ends downloads. */
  async close(): Promise<void> {
    this.#controller.abort();
    await Promise.all([...this.#kept.values()].map(({ running }) => running));
  }

  #keep(spec: FirmwareSpec): Kept {
    const label = labelOf(spec);
    const known = this.#kept.get(label);
    if (known !== undefined) return known;
    const kept: Kept = { source: this.#options.create(spec), image: undefined, dueMs: 0, running: undefined };
    this.#kept.set(label, kept);
    return kept;
  }

  async #store({ name, version, sha256, fetch }: Offer): Promise<Image> {
    const read = (offset: number) => fetch(this.#controller.signal, offset);
    const sizeBytes = await this.#options.images.put({ name, sha256, read });
    return { version, sizeBytes, sha256 };
  }

  /** Never rejects. */
  async #look(kept: Kept, label: string): Promise<void> {
    const { clock, retryMs, onProblem, onChange } = this.#options;
    const { signal } = this.#controller;
    try {
      const offer = await kept.source.look(signal);
      const before = kept.image;
      kept.image = offer === undefined ? undefined : await this.#store(offer);
      if (before !== undefined && before.sha256 !== kept.image?.sha256) await onChange();
      const validMs = offer === undefined ? retryMs : offer.validMs;
      kept.dueMs = validMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + validMs;
    } catch (error) {
      kept.dueMs = clock.now() + retryMs;
      if (!signal.aborted) onProblem(error, label);
    }
  }
}

/** One text per firmware that is the same for the same thing. */
export function labelOf(spec: FirmwareSpec): string {
  if (spec.kind === "oci") return `oci ${spec.image} ${spec.pull} ${spec.platform ?? ""}`;
  if (spec.kind === "hawkbit") return `hawkbit ${spec.controller}`;
  return `file ${spec.component}/${spec.category}/${spec.name}`;
}
