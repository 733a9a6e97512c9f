/** A timeout that is set and cleared with every request. */
import type { Clock, TimerHandle } from "./time.ts";

const NEVER = Number.POSITIVE_INFINITY;

/**
 * Clearing it forgets the time and leaves the timer; setting it anew starts none while one is under way that fires no later. The timer
 * looks at the time when it fires: that is once in the length of the timeout, where starting and stopping one would be twice in every
 * request.
 */
export class Timeout {
  readonly #clock: Clock;
  readonly #expired: () => void;
  readonly #fire = () => this.#fired();
  #timer: TimerHandle | undefined;
  #firesMs = NEVER;
  #dueMs = NEVER;

  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  /** When it expires, `Clock.now()` milliseconds; infinite while it is not set. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Expires once, `delayMs` after `nowMs`; what was set before is forgotten. */
  set(delayMs: number, nowMs = this.#clock.now()): void {
    this.#dueMs = nowMs + delayMs;
    if (this.#dueMs < this.#firesMs) this.#start(delayMs);
  }

  clear(): void {
    this.#dueMs = NEVER;
  }

  /** Clears it and lets go of the timer. */
  stop(): void {
    this.clear();
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#firesMs = NEVER;
  }

  #start(delayMs: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#firesMs = this.#dueMs;
    this.#timer = this.#clock.setTimeout(this.#fire, delayMs);
  }

  #fired(): void {
    this.#timer = undefined;
    this.#firesMs = NEVER;
    if (this.#dueMs === NEVER) return;
    const leftMs = this.#dueMs - this.#clock.now();
    if (leftMs > 0) this.#start(leftMs);
    else {
      this.#dueMs = NEVER;
      this.#expired();
    }
  }
}
