import { networkInterfaces } from "node:os";
import { fromHex } from "#core/bytes.ts";
import type { Clock, TimerHandle } from "#core/time.ts";

/** Bytes of hex text. */
export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`not hex: ${text}`);
  return bytes;
}

interface Pending {
  readonly atMs: number;
  readonly handler: () => void;
}

/** A clock that stands still until it is advanced. */
export class ManualClock implements Clock {
  #nowMs = 1_000;
  readonly #pending = new Set<Pending>();
  #watchers: (() => void)[] = [];

  now(): number {
    return this.#nowMs;
  }

  setTimeout(handler: () => void, delayMs: number): TimerHandle {
    const entry = { atMs: this.#nowMs + delayMs, handler };
    this.#pending.add(entry);
    for (const watcher of this.#watchers.splice(0)) watcher();
    return entry as unknown as TimerHandle;
  }

  clearTimeout(handle: TimerHandle): void {
    this.#pending.delete(handle as unknown as Pending);
  }

  get timers(): number {
    return this.#pending.size;
  }

  /** Delays of the timers that run now, in order. */
  get delays(): number[] {
    return [...this.#pending].map(({ atMs }) => atMs - this.#nowMs).sort((a, b) => a - b);
  }

  /** Moves time, firing timers in order; what they set in between fires too. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#pending].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.handler();
    }
    this.#nowMs = end;
  }

  /** Moves time like `advance`, letting promises settle after each timer. */
  async advanceAsync(ms: number): Promise<void> {
    await settle();
    const end = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#pending].map(({ atMs }) => atMs).filter((atMs) => atMs <= end);
      if (due.length === 0) break;
      this.advance(Math.max(0, Math.min(...due) - this.#nowMs));
      await settle();
    }
    this.advance(end - this.#nowMs);
    await settle();
  }

  /** Resolves when a timer of exactly this delay is set or runs. */
  async timer(delayMs: number): Promise<void> {
    while (!this.delays.includes(delayMs)) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }
}

/** Options of a test that needs IPv6 on the loopback. */
export const skipIpv6 = {
  skip: Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))
    ? false
    : "this machine has no IPv6 loopback (::1)",
};

/** Lets everything that is already resolved run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Values in the order in which they came, to be awaited one by one. */
export class Mailbox<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#values.push(value);
    else waiting(value);
  }

  next(): Promise<T> {
    const value = this.#values.shift();
    return value === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(value);
  }

  /** Values until one satisfies; that one. */
  async until(wanted: (value: T) => boolean): Promise<T> {
    for (;;) {
      const value = await this.next();
      if (wanted(value)) return value;
    }
  }

  get waiting(): number {
    return this.#values.length;
  }
}
