/**
 * Standing requests of clients to be told of something: cyclic subscriptions and triggers. They live in memory, for a time that is
 * bounded, and so is their number; each has one stream at a time, the newest.
 */
import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { AnswerEvents } from "./route.ts";

/** Who observes what, and below which base path the client wants to read it. */
export interface Standing<T> {
  readonly id: string;
  /** Path of the entity that hosts it, e.g. `components/body_mcu`. */
  readonly entity: string;
  readonly base: string;
  readonly lifetimeS: number;
  readonly what: T;
}

interface Held<T> {
  standing: Standing<T>;
  timer: TimerHandle;
  endStream: (() => void) | undefined;
}

export class StandingRequests<T> {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #byId = new Map<string, Held<T>>();

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** @throws Fault overloaded when there are too many */
  add(standing: Omit<Standing<T>, "id">): Standing<T> {
    if (this.#byId.size >= this.#max) throw new Fault("overloaded", `More than ${this.#max} of these at once`);
    const added = { ...standing, id: randomUUID() };
    this.#byId.set(added.id, { standing: added, timer: this.#expiry(added), endStream: undefined });
    return added;
  }

  all(): readonly Standing<T>[] {
    return [...this.#byId.values()].map(({ standing }) => standing);
  }

  list(entity: string): readonly Standing<T>[] {
    return this.all().filter((standing) => standing.entity === entity);
  }

  /** @throws Fault notFound */
  get(entity: string, id: string): Standing<T> {
    return this.#held(entity, id).standing;
  }

  /** In the place of what it was; its lifetime begins anew. @throws Fault notFound */
  change(entity: string, id: string, change: Partial<Pick<Standing<T>, "lifetimeS" | "what">>): Standing<T> {
    const held = this.#held(entity, id);
    this.#clock.clearTimeout(held.timer);
    held.standing = { ...held.standing, ...change };
    held.timer = this.#expiry(held.standing);
    return held.standing;
  }

  /** @throws Fault notFound */
  remove(entity: string, id: string): void {
    this.#held(entity, id);
    this.#end(id);
  }

  /** The one stream of a request: a new one ends the one before. @throws Fault notFound */
  stream(entity: string, id: string, events: AnswerEvents): AnswerEvents {
    this.#held(entity, id);
    let ended: (() => void) | undefined;
    return {
      open: (write, end) => {
        const held = this.#byId.get(id);
        if (held === undefined) return end();
        held.endStream?.();
        held.endStream = end;
        ended = end;
        events.open(write, end);
      },
      onDrain: () => events.onDrain(),
      close: () => {
        const held = this.#byId.get(id);
        if (held !== undefined && held.endStream === ended) held.endStream = undefined;
        events.close();
      },
    };
  }

  close(): void {
    for (const id of [...this.#byId.keys()]) this.#end(id);
  }

  #held(entity: string, id: string): Held<T> {
    const held = this.#byId.get(id);
    if (held?.standing.entity !== entity) throw new Fault("notFound", `There is no ${id} at ${entity}`);
    return held;
  }

  #expiry({ id, lifetimeS }: Standing<T>): TimerHandle {
    return this.#clock.setTimeout(() => this.#end(id), lifetimeS * 1_000);
  }

  #end(id: string): void {
    const held = this.#byId.get(id);
    if (held === undefined) return;
    this.#byId.delete(id);
    this.#clock.clearTimeout(held.timer);
    held.endStream?.();
  }
}
