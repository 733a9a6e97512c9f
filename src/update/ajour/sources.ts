/**
 * Images that configuration names, kept ready: looked up when a device first asks for one, looked up again when they have grown old,
 * and shown only when they are complete and verified in the store. A source that fails leaves what was there before, also after a restart.
 */
import type { Clock } from "#core/time.ts";
import { keysOf, type Persistence } from "#store/persistence.ts";
import type { Report } from "./desk.ts";
import type { Images } from "./images.ts";
import type { Gate, Image } from "./next.ts";
import type { FirmwareSpec } from "./registry.ts";
import { imageOf, type StoredImage, storedImage } from "./stored-image.ts";

/** What a source offers now. */
export interface Offer {
  readonly name: string;
  readonly version: Uint8Array;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Milliseconds until it is worth asking again; undefined: never. */
  readonly validMs: number | undefined;
  /** How far a device may go with it; default: all the way. */
  readonly gate?: Gate;
  /** Its bytes from `offset` on. */
  fetch(signal: AbortSignal, offset: number): AsyncIterable<Uint8Array>;
}

/** There is nothing now, and it is not worth asking again before so many milliseconds. */
export type Nothing = Pick<Offer, "validMs">;

/** One place that firmware comes from. */
export interface FirmwareSource {
  /** Undefined: there is nothing yet, as if it had failed. @throws Fault */
  look(signal: AbortSignal): Promise<Offer | Nothing | undefined>;
  /** What a device said that was served from here. */
  note?(report: Report): void;
}

export interface SourcesOptions {
  readonly create: (spec: FirmwareSpec) => FirmwareSource;
  readonly images: Images;
  readonly persistence: Persistence;
  readonly clock: Clock;
  /** Pause before a source is asked again that failed or had nothing. */
  readonly retryMs: number;
  readonly onProblem: (problem: unknown, source: string) => void;
  /** An image took the place of another. */
  readonly onChange: () => Promise<void>;
}

/** What is served now. `looking`: there may be more in a moment. */
export interface Served {
  readonly image: Image | undefined;
  readonly gate: Gate;
  readonly looking: boolean;
}

interface Kept {
  readonly source: FirmwareSource;
  image: Image | undefined;
  gate: Gate;
  /** `Clock.now()` from which on the source is asked again. */
  dueMs: number;
  running: Promise<void> | undefined;
}

const BUCKET = "ajour-sources";

export class Sources {
  readonly #options: SourcesOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #controller = new AbortController();

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** Looks for all of these, and forgets what others served. */
  async start(specs: readonly FirmwareSpec[]): Promise<void> {
    const { persistence } = this.#options;
    const labels = new Set(specs.map(labelOf));
    for (const label of keysOf(persistence, BUCKET)) {
      if (!labels.has(label)) await persistence.delete(BUCKET, label);
    }
    for (const spec of specs) this.serve(spec);
  }

  /** The image to serve now, if there is one. Looks for it, or for a newer one, beside. */
  serve(spec: FirmwareSpec): Served {
    const kept = this.#keep(spec);
    if (kept.running === undefined && this.#options.clock.now() >= kept.dueMs && !this.#controller.signal.aborted) {
      kept.running = this.#look(kept, labelOf(spec)).finally(() => {
        kept.running = undefined;
      });
    }
    return { image: kept.image, gate: kept.gate, looking: kept.running !== undefined };
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
    const source = this.#options.create(spec);
    // hawkBit may have called it back meanwhile: nothing is started before it was asked
    const gate = spec.kind === "hawkbit" ? "download" : "open";
    const kept: Kept = { source, image: this.#recall(label), gate, dueMs: 0, running: undefined };
    this.#kept.set(label, kept);
    return kept;
  }

  #recall(label: string): Image | undefined {
    const { persistence, images } = this.#options;
    if (!persistence.contains(BUCKET, label)) return undefined;
    const image = imageOf(JSON.parse(persistence.get(BUCKET, label)) as StoredImage);
    return images.sizeOf(image.sha256) === image.sizeBytes ? image : undefined;
  }

  async #remember(label: string, image: Image | undefined): Promise<void> {
    const { persistence } = this.#options;
    const known = persistence.contains(BUCKET, label) ? persistence.get(BUCKET, label) : undefined;
    const text = image && JSON.stringify(storedImage(image));
    if (text === known) return;
    if (text === undefined) await persistence.delete(BUCKET, label);
    else await persistence.set(BUCKET, label, text);
  }

  #store(kept: Kept, { name, version, sha256, fetch }: Offer): Promise<void> {
    const read = (offset: number) => fetch(this.#controller.signal, offset);
    return this.#options.images.put({ name, sha256, read }, (sizeBytes) => {
      kept.image = { version, sizeBytes, sha256 };
    });
  }

  /** Never rejects. */
  async #look(kept: Kept, label: string): Promise<void> {
    const { clock, retryMs, onProblem, onChange } = this.#options;
    const { signal } = this.#controller;
    try {
      const found = await kept.source.look(signal);
      const offer = found !== undefined && "sha256" in found ? found : undefined;
      const before = kept.image;
      if (offer === undefined) kept.image = undefined;
      else await this.#store(kept, offer);
      kept.gate = offer?.gate ?? "open";
      await this.#remember(label, kept.image);
      if (before !== undefined && before.sha256 !== kept.image?.sha256) await onChange();
      const validMs = found === undefined ? retryMs : found.validMs;
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
