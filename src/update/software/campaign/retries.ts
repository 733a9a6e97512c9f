/** What failed and comes again: how often it did, and until when it pauses. Keys are a campaign's id, or `<id>/<component>`. */
import type { Clock, TimerHandle } from "#core/time.ts";

/** Each pause is twice as long as the one before, up to so many times the first. */
const MAX_BACKOFF = 32;

export class Retries {
  readonly #clock: Clock;
  readonly #pauses = new Map<string, TimerHandle>();
  readonly #failed = new Map<string, { readonly what: string; readonly times: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether what was last tried failed. */
  hasFailed(key: string): boolean {
    return this.#failed.has(key);
  }

  /** How often `what` failed in a row, this time included. */
  fail(key: string, what: string): number {
    const before = this.#failed.get(key);
    const times = before?.what === what ? before.times + 1 : 1;
    this.#failed.set(key, { what, times });
    return times;
  }

  succeed(key: string): void {
    this.#failed.delete(key);
  }

  isPausing(key: string): boolean {
    return this.#pauses.has(key);
  }

  /** Calls `then` after a pause that grows with the failures of the key; one that is under way goes on instead. */
  pause(key: string, firstMs: number, then: () => void): void {
    if (this.#pauses.has(key)) return;
    const delayMs = firstMs * Math.min(2 ** ((this.#failed.get(key)?.times ?? 1) - 1), MAX_BACKOFF);
    const timer = this.#clock.setTimeout(() => {
      this.#pauses.delete(key);
      then();
    }, delayMs);
    this.#pauses.set(key, timer);
  }

  /** Failures and pauses of a campaign that is no more: another one may have its id. */
  forget(id: string): void {
    const isOf = (key: string): boolean => key === id || key.startsWith(`${id}/`);
    for (const key of [...this.#failed.keys()].filter(isOf)) this.#failed.delete(key);
    for (const key of [...this.#pauses.keys()].filter(isOf)) this.#end(key);
  }

  stop(): void {
    for (const key of [...this.#pauses.keys()]) this.#end(key);
  }

  #end(key: string): void {
    const timer = this.#pauses.get(key);
    if (timer !== undefined) this.#clock.clearTimeout(timer);
    this.#pauses.delete(key);
  }
}

export function keyOf(id: string, component: string): string {
  return `${id}/${component}`;
}

/** Under which a store that could not write gets its pause. */
export function storeKeyOf(id: string): string {
  return keyOf(id, "");
}

/** Ids hold no slash. */
export function idOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}
