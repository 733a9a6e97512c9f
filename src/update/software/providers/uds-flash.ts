/**
 * A classic ECU over UDS (ISO 14229-1 clause 15), driven by a recipe. It has one memory: from the erasing on the old software is gone,
 * so the image that is on the ECU must be in the store before; it is what rollback flashes.
 */
import { Fault, reasonOf } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import type { Bulk, BulkInfo, BulkKey } from "#update/software/bulk/bulk.ts";
import {
  type Artifact,
  CURRENT_IMAGE,
  type TargetFacts,
  type TargetFault,
  type UpdateJob,
  type UpdateProvider,
} from "#update/software/provider.ts";
import { faultOf, type SovdFault } from "./sovd-fault.ts";
import { demand, type Exchange, ecuName } from "./uds-exchange.ts";
import { checkFits, NO_FILLINGS, othersOf, type Recipe, requestBytes } from "./uds-recipe.ts";
import { flash, type KeyOfSeed, makeGood } from "./uds-sequence.ts";
import { FlashTurns, reachOf } from "./uds-turns.ts";

export type { KeyOfSeed };

export interface UdsTarget {
  readonly recipe: Recipe;
  readonly keyOfSeed: KeyOfSeed | undefined;
  readonly hardwareId: string | undefined;
  readonly serial: string | undefined;
}

export interface UdsFlashOptions extends Exchange {
  readonly targets: Readonly<Record<string, UdsTarget>>;
  readonly bulk: Bulk;
  /** Holds the ECU for the update: nobody else may talk to it. Resolves with what gives it back. */
  readonly hold?: (component: string, campaign: string) => Promise<() => void>;
}

/** Shown as progress. */
const WAITS = "waits for the flash of another ECU";

export class UdsFlashProvider implements UpdateProvider {
  readonly kind = "uds-flash";
  readonly #options: UdsFlashOptions;
  readonly #turns = new FlashTurns();

  constructor(options: UdsFlashOptions) {
    this.#options = options;
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const { hardwareId, serial } = this.#target(component);
    // a boot loader that an earlier attempt has left behind need not know its version; it is updated as any other
    const version = await this.#readVersion(component, signal).catch(unlessRefused);
    return {
      supportsRollback: this.#currentImage(component) !== undefined,
      supportsTrial: false,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === undefined ? {} : { version }),
    };
  }

  async prepare(job: UpdateJob): Promise<void> {
    const { artifact, component } = job;
    if (artifact === undefined) throw new Fault("invalidData", `The package has no image for ${component}`);
    const { recipe } = this.#target(component);
    this.#requireOthers(recipe);
    checkFits(recipe, artifact.sizeBytes, { version: job.toVersion, previous: job.fromVersion });
    const current = this.#currentImage(component);
    if (current !== undefined) await job.memory.set("previous", JSON.stringify(keyOf(current)));
    job.progress({ percent: 100, step: "staged" });
  }

  async execute(job: UpdateJob): Promise<void> {
    if (job.artifact === undefined) throw new Fault("invalidData", `The package has no image for ${job.component}`);
    if (job.memory.get("flashed") === job.artifact.sha256) return;
    // what prepare relied on may have been deleted since
    if (job.memory.get("previous") !== undefined) this.#previousImage(job);
    await this.#flash(job, job.artifact, job.toVersion, job.fromVersion);
    await job.memory.set("flashed", job.artifact.sha256);
  }

  async verify(job: UpdateJob): Promise<void> {
    const version = await this.#readVersion(job.component, job.signal);
    if (version === undefined || job.toVersion === undefined || version === job.toVersion) return;
    throw new Fault("conflict", `${job.component} reports version ${version} instead of ${job.toVersion}`);
  }

  /** It runs already, and the old image stays in the store until `close`. */
  async commit(): Promise<void> {}

  async rollback(job: UpdateJob): Promise<void> {
    if (job.memory.get("touched") === undefined || job.memory.get("rolledBack") !== undefined) return;
    const image = await this.#previousOrMakeGood(job);
    await job.memory.set("flashed", "");
    await this.#flash(job, image, job.fromVersion, job.toVersion);
    await job.memory.set("rolledBack", "yes");
  }

  /** What was flashed is now the image to go back to. */
  async close(job: UpdateJob): Promise<void> {
    const { bulk } = this.#options;
    const { artifact, component } = job;
    const old = bulk.list(component, CURRENT_IMAGE);
    if (artifact === undefined) {
      // deleted since it was flashed: what was kept before would bring the ECU back to something else than it has
      for (const info of old) await bulk.remove(keyOf(info));
      return;
    }
    const id = artifact.sha256.slice(0, 32);
    const key = { component, category: CURRENT_IMAGE, id };
    if (bulk.find(key)?.complete !== true) {
      await bulk.write({ ...key, name: artifact.name, mimetype: BYTES_TYPE }, 0, artifact.read(), true);
    }
    for (const info of old) if (info.id !== id) await bulk.remove(keyOf(info));
  }

  speaksTo(component: string): readonly string[] {
    const { ecus, groups } = othersOf(this.#target(component).recipe);
    return [...ecus, ...groups];
  }

  /** None where the database knows no service that reads them: then the version alone decides. */
  async faults(component: string, signal: AbortSignal): Promise<readonly TargetFault[]> {
    const ecu = ecuName(this.#options, component);
    const reply = await this.#options.fleet
      .call(ecu, "faultList", { statusMask: 0xff }, { signal })
      .catch(unlessUnknown);
    if (reply === undefined) return [];
    const { items = [] } = JSON.parse(Buffer.from(reply.body ?? []).toString() || "{}") as { items?: SovdFault[] };
    return items.map(faultOf);
  }

  async #flash(
    job: UpdateJob,
    image: Artifact,
    version: string | undefined,
    previous: string | undefined,
  ): Promise<void> {
    const { recipe, keyOfSeed } = this.#target(job.component);
    // from then on a rollback has something to do: neither somebody else's lock nor a refused session is a reason for one
    const onChange = () => job.memory.set("touched", "yes");
    await this.#inTurn(job, async () => {
      const release = await this.#hold(job);
      try {
        await flash({ exchange: this.#options, job, image, recipe, keyOfSeed, version, previous, onChange });
      } finally {
        release?.();
      }
    });
  }

  /** @throws Fault misconfigured for an ECU or group of the recipe that no database describes */
  #requireOthers(recipe: Recipe): void {
    const { fleet } = this.#options;
    const { ecus, groups } = othersOf(recipe);
    const unknown = [
      ...ecus.filter((name) => fleet.ecu(name) === undefined),
      ...groups.filter((name) => fleet.group(name.toLowerCase()) === undefined),
    ];
    if (unknown.length === 0) return;
    throw new Fault("misconfigured", `The flash recipe names what no database describes: ${unknown.join(", ")}`);
  }

  /** A lock of somebody else ends, and an ECU that is half-written is brought back then. @throws Fault notReady for such a one */
  async #hold({ component, campaign, memory }: UpdateJob): Promise<(() => void) | undefined> {
    try {
      return await this.#options.hold?.(component, campaign);
    } catch (error) {
      if (memory.get("touched") === undefined) throw error;
      throw new Fault("notReady", `${component} cannot be locked: ${reasonOf(error)}`, undefined, error);
    }
  }

  /** Alone with all ECUs that the recipe reaches. */
  async #inTurn(job: UpdateJob, work: () => Promise<void>): Promise<void> {
    const reach = reachOf(this.#options.fleet, job.component, this.#target(job.component).recipe);
    const end = await this.#turns.take(reach, job.signal, () => job.progress({ percent: 0, step: WAITS }));
    try {
      await work();
    } finally {
      end();
    }
  }

  async #previousOrMakeGood(job: UpdateJob): Promise<Artifact> {
    try {
      return this.#previousImage(job);
    } catch (error) {
      const { recipe } = this.#target(job.component);
      const run = { exchange: this.#options, job, recipe, version: job.fromVersion, previous: job.toVersion };
      await this.#inTurn(job, () => makeGood(run));
      throw error;
    }
  }

  /** The image that `prepare` found on the ECU, else what an operator has brought since. @throws Fault conflict when there is none */
  #previousImage({ component, memory }: UpdateJob): Artifact {
    const note = memory.get("previous");
    const { bulk } = this.#options;
    const info = note === undefined ? this.#currentImage(component) : bulk.find(JSON.parse(note) as BulkKey);
    if (info?.complete !== true) {
      throw new Fault(
        "conflict",
        `There is no image to bring ${component} back with in its bulk-data/${CURRENT_IMAGE}`,
      );
    }
    return bulk.artifact(info);
  }

  async #readVersion(component: string, signal: AbortSignal): Promise<string | undefined> {
    const { version } = this.#target(component).recipe;
    if (version === undefined) return undefined;
    const request = requestBytes(version.request, NO_FILLINGS);
    const answer = await demand(this.#options, component, request, { signal, name: "read version" });
    return Buffer.from(answer.subarray(version.skip ?? request.byteLength))
      .toString("latin1")
      .replace(/[\0\s]+$/, "");
  }

  #currentImage(component: string): BulkInfo | undefined {
    return this.#options.bulk.list(component, CURRENT_IMAGE).findLast(({ complete }) => complete);
  }

  #target(component: string): UdsTarget {
    const target = this.#options.targets[component];
    if (target === undefined) throw new Fault("misconfigured", `No flash recipe is configured for ${component}`);
    return target;
  }
}

function keyOf({ component, category, id }: BulkInfo): BulkKey {
  return { component, category, id };
}

function unlessUnknown(error: unknown): undefined {
  if (!(error instanceof Fault) || error.kind !== "notFound") throw error;
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Fault) || error.kind !== "ecuRefused") throw error;
}
