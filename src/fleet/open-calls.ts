/** The calls of one ECU that are under way, and how many there may be. */
import type { Clock } from "#core/time.ts";

export interface OpenCallLimits {
  readonly max: number;
  /** The same while the ECU gets more than it answers. */
  readonly maxOverloaded: number;
}

/** How long is looked at before the whole queue is given back, ms. */
const WINDOW_MS = 1_000;
/** An ECU that has nothing to do gets its whole queue back when nobody was refused for so long, ms: a client's pause is no end of an overload. */
const QUIET_MS = 250;
/** Given back when at least so many calls have ended for each that was refused: those had found their place in it. */
const ENDED_PER_REFUSED = 10;

interface Overload {
  sinceMs: number;
  refusedMs: number;
  refused: number;
  ended: number;
}

/**
 * From a refusal on the queue is kept short: in one that stays full every call waits for its whole length, and none is answered more
 * often. That lasts until hardly anyone was refused for a while.
 */
export class OpenCalls {
  readonly #limits: OpenCallLimits;
  readonly #clock: Clock;
  #open = 0;
  #refused: number;
  #overload: Overload | undefined;

  /** `refused`: those counted before. */
  constructor(limits: OpenCallLimits, clock: Clock, refused = 0) {
    this.#limits = limits;
    this.#clock = clock;
    this.#refused = refused;
  }

  get open(): number {
    return this.#open;
  }

  get refused(): number {
    return this.#refused;
  }

  /** Takes a call in, whose end `leave` tells; false when there are too many. */
  enter(): boolean {
    const { max, maxOverloaded } = this.#limits;
    if (this.#open === 0) this.#rest();
    if (this.#open < (this.#overload === undefined ? max : maxOverloaded)) {
      this.#open++;
      return true;
    }
    this.#refused++;
    this.#overload ??= this.#window();
    this.#overload.refused++;
    this.#overload.refusedMs = this.#clock.now();
    return false;
  }

  leave(): void {
    this.#open--;
    if (this.#overload === undefined) return;
    this.#overload.ended++;
    if (this.#clock.now() - this.#overload.sinceMs >= WINDOW_MS) this.#review(this.#overload);
  }

  /** The ECU has nothing to do. */
  #rest(): void {
    if (this.#overload !== undefined && this.#clock.now() - this.#overload.refusedMs >= QUIET_MS)
      this.#overload = undefined;
  }

  #review({ refused, ended, refusedMs }: Overload): void {
    this.#overload = ended >= ENDED_PER_REFUSED * refused ? undefined : { ...this.#window(), refusedMs };
  }

  #window(): Overload {
    const nowMs = this.#clock.now();
    return { sinceMs: nowMs, refusedMs: nowMs, refused: 0, ended: 0 };
  }
}
