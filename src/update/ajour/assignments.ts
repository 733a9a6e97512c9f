/** What campaigns gave to devices, durable: an assignment goes before what configuration names for the device. */
import { keysOf, type Persistence } from "#store/persistence.ts";
import type { Desired, Gate, Image } from "./next.ts";
import { imageOf, type StoredImage, storedImage } from "./stored-image.ts";

/** One device's place in a campaign, or what the last campaign left there. */
export interface Assignment extends Desired {
  /** `campaign/attempt` that is at work on it, or `NO_JOB`. */
  readonly job: string;
  /** What the device had before, where its image is kept. */
  readonly previous?: Image | undefined;
  /** The device was told to swap, or may have been. */
  readonly released: boolean;
  /** Image and previous have changed places: the device is on its way back. */
  readonly goingBack: boolean;
}

/** The JSON of an assignment. */
interface Stored {
  readonly job: string;
  readonly gate: Gate;
  readonly released: boolean;
  readonly goingBack: boolean;
  readonly image: StoredImage;
  readonly previous?: StoredImage;
}

/** Of an assignment that no update is at work on: repeated calls of the last one find nothing to do. */
export const NO_JOB = "";
const BUCKET = "ajour-assignments";

export class Assignments {
  readonly #persistence: Persistence;
  readonly #known: Map<string, Assignment>;

  constructor(persistence: Persistence) {
    this.#persistence = persistence;
    this.#known = new Map(keysOf(persistence, BUCKET).map((key) => [key, read(persistence.get(BUCKET, key))]));
  }

  get(device: string): Assignment | undefined {
    return this.#known.get(device);
  }

  /** Resolves when it is on the disk; devices see it from then on. */
  async set(device: string, assignment: Assignment): Promise<void> {
    await this.#persistence.set(BUCKET, device, write(assignment));
    this.#known.set(device, assignment);
  }

  async remove(device: string): Promise<void> {
    this.#known.delete(device);
    if (this.#persistence.contains(BUCKET, device)) await this.#persistence.delete(BUCKET, device);
  }

  /** Hashes of all images that an assignment names. */
  get images(): Set<string> {
    const hashes = [...this.#known.values()].flatMap(({ image, previous }) => [image.sha256, previous?.sha256]);
    return new Set(hashes.filter((hash) => hash !== undefined));
  }
}

function write({ job, gate, released, goingBack, image, previous }: Assignment): string {
  const stored: Stored = { job, gate, released, goingBack, image: storedImage(image) };
  return JSON.stringify(previous === undefined ? stored : { ...stored, previous: storedImage(previous) });
}

function read(text: string): Assignment {
  const { image, previous, ...rest } = JSON.parse(text) as Stored;
  return { ...rest, image: imageOf(image), previous: previous === undefined ? undefined : imageOf(previous) };
}
