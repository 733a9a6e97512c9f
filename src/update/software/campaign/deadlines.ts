/** When the states of campaigns must be over. A deadline is a time of day, which survives the process; the wait for it goes by a clock that nobody sets. */
import type { Clock, TimerHandle } from "#core/time.ts";

interface Deadline {
  readonly deadlineMs: number;
  readonly timer: TimerHandle;
}

/** Longest wait a timer of Node takes. */
const MAX_TIMER_MS = 2_147_483_647;

export class Deadlines {
  readonly #clock: Clock;
  readonly #onDue: (id: string) => void;
  readonly #byId = new Map<string, Deadline>();

  constructor(clock: Clock, onDue: (id: string) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** The one deadline of a campaign, `leftMs` from now; undefined: it has none. The same again changes nothing. */
  arm(id: string, deadlineMs: number | undefined, leftMs: number): void {
    const armed = this.#byId.get(id);
    if (armed?.deadlineMs === deadlineMs) return;
    if (armed !== undefined) this.#clock.clearTimeout(armed.timer);
    this.#byId.delete(id);
    if (deadlineMs !== undefined) this.#await(id, deadlineMs, this.#clock.now() + Math.max(0, leftMs));
  }

  clear(): void {
    for (const { timer } of this.#byId.values()) this.#clock.clearTimeout(timer);
    this.#byId.clear();
  }

  #await(id: string, deadlineMs: number, dueMs: number): void {
    const waitMs = Math.min(Math.max(0, dueMs - this.#clock.now()), MAX_TIMER_MS);
    const timer = this.#clock.setTimeout(() => {
      if (this.#clock.now() < dueMs) {
        this.#await(id, deadlineMs, dueMs);
        return;
      }
      this.#byId.delete(id);
      this.#onDue(id);
    }, waitMs);
    this.#byId.set(id, { deadlineMs, timer });
  }
}
