import type { Clock, TimerHandle } from "#core/time.ts";

/** setTimeout takes 31 bits of milliseconds; a longer wait is cut into pieces. */
const MAX_TIMER_MS = 0x7fffffff;

/** One timer per key; a new one replaces the old. For modes that fall back to their default after a time. */
export class Expiries<K> {
  readonly #clock: Clock;
  readonly #timers = new Map<K, TimerHandle>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `handler` once, `delayMs` from now. */
  set(key: K, delayMs: number, handler: () => void): void {
    this.clear(key);
    this.#arm(key, this.#clock.now() + delayMs, handler);
  }

  clear(key: K): void {
    const timer = this.#timers.get(key);
    if (timer !== undefined) this.#clock.clearTimeout(timer);
    this.#timers.delete(key);
  }

  clearAll(): void {
    for (const key of [...this.#timers.keys()]) this.clear(key);
  }

  #arm(key: K, atMs: number, handler: () => void): void {
    const waitMs = Math.min(Math.max(0, atMs - this.#clock.now()), MAX_TIMER_MS);
    const fire = () => {
      if (this.#clock.now() < atMs) return this.#arm(key, atMs, handler);
      this.#timers.delete(key);
      handler();
    };
    this.#timers.set(key, this.#clock.setTimeout(fire, waitMs));
  }
}
