/**
 * Entities that have not agreed on VIN and GID yet (ISO 13400-2 clause 7.4, sync status 0x10): the tester asks again until they have,
 * for A_Vehicle_Discovery_Timer at most, and then goes on without.
 */
import { formatAddress } from "#core/bytes.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { SYNC_STATUS, TIMERS } from "./tables.ts";

export interface SyncWatchOptions {
  readonly clock: Clock;
  /** Sends identification requests again. */
  readonly ask: () => void;
  readonly onProblem: (message: string) => void;
}

export interface SyncFacts {
  readonly logicalAddress: number;
  readonly ip: string;
  readonly syncStatus?: number;
}

/** Entities watched at a time; those of a vehicle are far fewer. */
const MAX_WATCHED = 1_024;

export class SyncWatch {
  readonly #options: SyncWatchOptions;
  /** Entity → when it is given up; infinite once it was, so that it is not asked for ever. */
  readonly #untilMs = new Map<string, number>();
  #timer: TimerHandle | undefined;

  constructor(options: SyncWatchOptions) {
    this.#options = options;
  }

  /** An entity announced itself. */
  heard({ logicalAddress, ip, syncStatus }: SyncFacts): void {
    const key = `${formatAddress(logicalAddress)} at ${ip}`;
    if (syncStatus !== SYNC_STATUS.notSynchronized) {
      this.#untilMs.delete(key);
      return;
    }
    if (this.#untilMs.has(key) || this.#untilMs.size >= MAX_WATCHED) return;
    this.#untilMs.set(key, this.#options.clock.now() + TIMERS.vehicleDiscoveryMs);
    this.#timer ??= this.#arm();
  }

  close(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#untilMs.clear();
  }

  #arm(): TimerHandle {
    return this.#options.clock.setTimeout(() => this.#again(), TIMERS.processingMs);
  }

  #again(): void {
    this.#timer = undefined;
    const nowMs = this.#options.clock.now();
    for (const [key, untilMs] of this.#untilMs) {
      if (untilMs > nowMs) continue;
      this.#untilMs.set(key, Number.POSITIVE_INFINITY);
      this.#options.onProblem(`entity ${key} has not agreed on VIN and GID with the others of its group`);
    }
    const waits = [...this.#untilMs.values()].some((untilMs) => Number.isFinite(untilMs));
    if (!waits) return;
    this.#options.ask();
    this.#timer = this.#arm();
  }
}
