/**
 * What a deleted update leaves with its backends, such as the copy on another node. It is taken away as far as that goes at once: who
 * is away, or still needs it, keeps it until its own room is needed, and keeps nobody from deleting.
 */
import { Fault, reasonOf } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { Turns } from "#core/turns.ts";
import type { UpdateProvider } from "#update/software/provider.ts";
import { type JobParts, lastJobOf } from "./job.ts";
import { occupies } from "./next.ts";
import type { CampaignRecord } from "./states.ts";

export interface ForgettingOptions extends JobParts {
  readonly clock: Clock;
  readonly providerOf: (component: string) => UpdateProvider | undefined;
}

/** A client that deletes waits so long for all backends. */
const FORGET_TIMEOUT_MS = 5_000;

export class Forgetting {
  readonly #options: ForgettingOptions;
  /** By component: one at a time. */
  readonly #turns = new Map<string, Turns>();

  constructor(options: ForgettingOptions) {
    this.#options = options;
  }

  /** To be called while the record is there; what it returns, when it is gone. That never rejects. */
  of(record: CampaignRecord): () => Promise<void> {
    // never prepared, so nothing is anywhere
    if (record.attempt === 0) return async () => undefined;
    const { clock, providerOf } = this.#options;
    const stop = new AbortController();
    const works = record.members.map((member) => {
      const { component } = member;
      const provider = providerOf(component);
      if (provider?.forget === undefined) return async () => undefined;
      const job = lastJobOf(this.#options, record, member, stop.signal);
      return () => this.#run(component, async () => provider.forget?.(job));
    });
    return async () => {
      const late = new Fault("requestTimeout", "It took too long");
      const timer = clock.setTimeout(() => stop.abort(late), FORGET_TIMEOUT_MS);
      await Promise.all(works.map((work) => work()));
      clock.clearTimeout(timer);
    };
  }

  /** Resolves when nothing is being taken away from a component: what begins there now could be of the same name, or have the same image. */
  settled(component: string): Promise<void> {
    return this.#turns.get(component)?.run(() => undefined) ?? Promise.resolve();
  }

  /** Not beside another update on the component: that could need the very image. */
  async #run(component: string, work: () => Promise<void>): Promise<void> {
    const { journal, log } = this.#options;
    const turns = this.#turns.get(component) ?? new Turns();
    this.#turns.set(component, turns);
    const unlessOccupied = (): Promise<void> => {
      const other = journal.campaigns().find((record) => occupies(record, component));
      if (other !== undefined) throw new Fault("updateInProgress", `Update ${other.id} is on ${component}`);
      return work();
    };
    await turns
      .run(unlessOccupied)
      .catch((error: unknown) => log("what a deleted update left is kept", { component, problem: reasonOf(error) }));
  }
}
