/**
 * Two slots and a link. `current` points to the slot that runs; `slots.json` says which one is committed and whether the other is on
 * trial. The link changes in one step, the committed slot is never written, and a trial that is not committed falls back at a start
 * (RAUC, Mender): a bootable, verified image is there at every instant.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#core/errors.ts";
import type { TargetFacts, UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { type CommandRunner, fill } from "./command-runner.ts";
import {
  exportImage,
  linkTarget,
  makeFolder,
  readJson,
  replaceFile,
  replaceLink,
  requireImage,
  roomFor,
} from "./files.ts";

export interface SlotTarget {
  /** Holds `slot-a`, `slot-b`, the link `current` and `slots.json`. */
  readonly folder: string;
  /** Run after the link changed, e.g. to restart what runs; empty: nothing to run. */
  readonly activate: readonly string[];
  /** Says with its exit code whether the new software is well; empty: no question. */
  readonly health: readonly string[];
  readonly timeoutMs: number;
  /** Starts of this program that a trial survives. */
  readonly trialStarts: number;
  readonly hardwareId: string | undefined;
  readonly serial: string | undefined;
}

const SLOTS = ["slot-a", "slot-b"] as const;
type Slot = (typeof SLOTS)[number];

interface Trial {
  readonly slot: Slot;
  readonly campaign: string;
  readonly attempt: number;
  readonly startsLeft: number;
}

interface SlotState {
  readonly committed: Slot | null;
  readonly versions: Partial<Readonly<Record<Slot, string>>>;
  readonly trial: Trial | null;
}

/** In notes: no slot. */
const NONE = "none";
const EMPTY: SlotState = { committed: null, versions: {}, trial: null };

export class SlotProvider implements UpdateProvider {
  readonly kind = "slot";
  readonly #targets: Readonly<Record<string, SlotTarget>>;
  readonly #run: CommandRunner;

  constructor(targets: Readonly<Record<string, SlotTarget>>, run: CommandRunner) {
    this.#targets = targets;
    this.#run = run;
  }

  async describe(component: string): Promise<TargetFacts> {
    const { hardwareId, serial, folder } = this.#target(component);
    const { committed, versions } = await this.#state(component);
    const version = committed === null ? undefined : versions[committed];
    // the image that is there gives way to the next
    const free = roomFor(folder, join(folder, otherSlot(committed), "image"));
    return {
      supportsRollback: true,
      supportsTrial: true,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === undefined ? {} : { version }),
      ...(free === undefined ? {} : { freeBytes: free }),
    };
  }

  /** Only the slot that does not run is written. */
  async prepare(job: UpdateJob): Promise<void> {
    const state = await this.#state(job.component);
    if (state.trial !== null) await this.#fallBack(job.component, state);
    const slot = otherSlot(state.committed);
    const { [slot]: _, ...versions } = state.versions;
    await this.#write(job.component, { ...state, trial: null, versions });
    const image = join(this.#target(job.component).folder, slot, "image");
    await rm(image, { force: true });
    await exportImage(job, image);
    const known = job.toVersion === undefined ? versions : { ...versions, [slot]: job.toVersion };
    await this.#write(job.component, { ...state, trial: null, versions: known });
  }

  async execute(job: UpdateJob): Promise<void> {
    const state = await this.#state(job.component);
    const slot = otherSlot(state.committed);
    const { trialStarts, folder } = this.#target(job.component);
    await requireImage(job, join(folder, slot, "image"));
    const trial = { slot, campaign: job.campaign, attempt: job.attempt, startsLeft: trialStarts };
    await this.#write(job.component, { ...state, trial });
    await this.#switch(job.component, slot, job);
  }

  async verify(job: UpdateJob): Promise<void> {
    const { trial } = await this.#state(job.component);
    if (!isOf(trial, job)) throw new Fault("conflict", `${job.component} fell back to its old software`);
    const { health, timeoutMs, folder } = this.#target(job.component);
    if ((await linkTarget(join(folder, "current"))) !== trial.slot)
      throw new Fault("conflict", `${job.component} no longer runs its new software`);
    if (health.length > 0) await this.#run(fill(health, job), { timeoutMs, job });
  }

  async commit(job: UpdateJob): Promise<void> {
    const state = await this.#state(job.component);
    const before = job.memory.get("committed");
    // the note alone says nothing: a start may have fallen back between it and the commit itself
    if (state.trial === null && before !== undefined && before !== (state.committed ?? NONE)) return;
    if (!isOf(state.trial, job)) throw new Fault("conflict", `${job.component} fell back before the verdict`);
    // noted first: a repeated call then knows that the trial is over because it was committed
    await job.memory.set("committed", state.committed ?? NONE);
    await this.#write(job.component, { ...state, committed: state.trial.slot, trial: null });
  }

  async rollback(job: UpdateJob): Promise<void> {
    const state = await this.#state(job.component);
    if (isOf(state.trial, job)) {
      await this.#fallBack(job.component, state, job);
      return;
    }
    // committed, but the others were not: the old slot is still there
    const before = job.memory.get("committed");
    if (before === undefined || before === (state.committed ?? NONE) || job.memory.get("rolledBack") !== undefined)
      return;
    const committed = before === NONE ? null : (before as Slot);
    await this.#switch(job.component, committed, job);
    await this.#write(job.component, { ...state, committed, trial: null });
    await job.memory.set("rolledBack", "yes");
  }

  /** A trial lives through so many starts and no more. One target that cannot be read keeps no other from falling back. */
  async boot(): Promise<void> {
    const results = await Promise.allSettled(Object.keys(this.#targets).map((component) => this.#boot(component)));
    const failed = results.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  }

  async #boot(component: string): Promise<void> {
    const state = await this.#state(component);
    const { trial } = state;
    if (trial === null) return;
    if (trial.startsLeft <= 0) await this.#fallBack(component, state);
    else await this.#write(component, { ...state, trial: { ...trial, startsLeft: trial.startsLeft - 1 } });
  }

  async #fallBack(component: string, state: SlotState, job?: UpdateJob): Promise<void> {
    await this.#switch(component, state.committed, job);
    await this.#write(component, { ...state, trial: null });
  }

  async #switch(component: string, slot: Slot | null, job?: UpdateJob): Promise<void> {
    const { folder, activate, timeoutMs } = this.#target(component);
    const link = join(folder, "current");
    if (slot === null) await rm(link, { force: true });
    else if ((await linkTarget(link)) !== slot) await replaceLink(link, slot);
    if (activate.length > 0) await this.#run(fill(activate, job ?? { component }), { timeoutMs, job });
  }

  async #state(component: string): Promise<SlotState> {
    const { folder } = this.#target(component);
    await makeFolder(folder);
    const known = await readJson<SlotState>(join(folder, "slots.json"));
    if (known !== undefined) return known;
    const running = await linkTarget(join(folder, "current"));
    const committed = SLOTS.find((slot) => slot === running) ?? null;
    return { ...EMPTY, committed };
  }

  async #write(component: string, state: SlotState): Promise<void> {
    await replaceFile(join(this.#target(component).folder, "slots.json"), JSON.stringify(state));
  }

  #target(component: string): SlotTarget {
    const target = this.#targets[component];
    if (target === undefined) throw new Fault("misconfigured", `No slots are configured for ${component}`);
    return target;
  }
}

function otherSlot(slot: Slot | null): Slot {
  return slot === "slot-a" ? "slot-b" : "slot-a";
}

function isOf(trial: Trial | null, { campaign, attempt }: UpdateJob): trial is Trial {
  return trial?.campaign === campaign && trial.attempt === attempt;
}
