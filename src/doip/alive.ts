/**
 * Keeps an idle connection and finds out when it is dead. ISO 13400-2 lets the tester send alive check responses on its own, which
 * restart the entity's inactivity timer; many entities also answer an alive check request. Silence counts as loss only for those that
 * have answered one before, or when there is another reason for doubt.
 */
import type { Clock, TimerHandle } from "#core/time.ts";

export interface AliveOptions {
  readonly clock: Clock;
  /** Idle time before a probe; 0 turns it off. */
  readonly intervalMs: number;
  /** How long anything may take to come back after a probe. */
  readonly timeoutMs: number;
  /** Sends alive check response and request. */
  readonly probe: () => void;
  readonly onDead: () => void;
}

export class AliveCheck {
  readonly #options: AliveOptions;
  #idleTimer: TimerHandle | undefined;
  #answerTimer: TimerHandle | undefined;
  #lastSentMs = 0;
  #heardSinceProbe = false;
  #strict = false;
  /** Whether this entity has ever answered an alive check request; outlives the socket. */
  #answers = false;

  constructor(options: AliveOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lastSentMs = this.#options.clock.now();
    this.#armIdle(this.#options.intervalMs);
  }

  stop(): void {
    if (this.#idleTimer !== undefined) this.#options.clock.clearTimeout(this.#idleTimer);
    if (this.#answerTimer !== undefined) this.#options.clock.clearTimeout(this.#answerTimer);
    this.#idleTimer = undefined;
    this.#answerTimer = undefined;
    this.#strict = false;
  }

  onSent(nowMs: number): void {
    this.#lastSentMs = nowMs;
  }

  onReceived(): void {
    this.#heardSinceProbe = true;
  }

  onAliveCheckResponse(): void {
    this.#answers = true;
  }

  /** Asks now. `strict`: silence means loss even of an entity that never answered. */
  probe(strict: boolean): void {
    this.#strict ||= strict;
    if (this.#answerTimer !== undefined) return;
    this.#heardSinceProbe = false;
    this.#options.probe();
    this.#answerTimer = this.#options.clock.setTimeout(() => this.#judge(), this.#options.timeoutMs);
  }

  #judge(): void {
    const dead = !this.#heardSinceProbe && (this.#strict || this.#answers);
    this.#answerTimer = undefined;
    this.#strict = false;
    if (dead) this.#options.onDead();
  }

  // One timer per interval instead of one per message: it looks how long ago the last message was.
  #armIdle(delayMs: number): void {
    if (this.#options.intervalMs <= 0) return;
    this.#idleTimer = this.#options.clock.setTimeout(() => this.#onIdleTimer(), Math.min(delayMs, MAX_TIMER_MS));
  }

  #onIdleTimer(): void {
    const { clock, intervalMs } = this.#options;
    const leftMs = this.#lastSentMs + intervalMs - clock.now();
    if (leftMs > 0) {
      this.#armIdle(leftMs);
      return;
    }
    this.probe(false);
    this.#armIdle(intervalMs);
  }
}

/** Longer delays overflow Node's timers and fire at once. */
const MAX_TIMER_MS = 0x7fff_ffff;
