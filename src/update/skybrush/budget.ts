/** Memory for messages of all connections together, and time for each to arrive. */
import type { Clock, TimerHandle } from "#core/time.ts";

/** What one holder has of it. */
export interface Share {
  /** Holds so many bytes from now on, instead of what it held. False: there is no room, nothing changed. */
  set(bytes: number): boolean;
}

/** Bytes of messages, unfinished ones too, that are kept at a time. A single one always has room. */
export class Budget {
  readonly #maxBytes: number;
  #used = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  share(): Share {
    let own = 0;
    return {
      set: (bytes) => {
        const others = this.#used - own;
        if (bytes > own && others > 0 && others + bytes > this.#maxBytes) return false;
        this.#used = others + bytes;
        own = bytes;
        return true;
      },
    };
  }
}

export interface ArrivalOptions {
  readonly budget: Budget;
  readonly clock: Clock;
  /** Longest time for a message to come whole. */
  readonly messageTimeoutMs: number;
}

/** A connection's message on its way in: it has room among the others and comes to an end, or its connection is given up. */
export class Arrival {
  readonly #options: ArrivalOptions;
  readonly #giveUp: (problem: string) => void;
  readonly #share: Share;
  #timer: TimerHandle | undefined;

  /** `giveUp`: closes the connection; called once at most. */
  constructor(options: ArrivalOptions, giveUp: (problem: string) => void) {
    this.#options = options;
    this.#share = options.budget.share();
    this.#giveUp = (problem) => {
      this.hold(0);
      giveUp(problem);
    };
  }

  /** Bytes of a message that is not whole yet. 0: there is none, or the connection is gone. */
  hold(bytes: number): void {
    const { clock, messageTimeoutMs } = this.#options;
    if (!this.#share.set(bytes)) {
      this.#giveUp("There is no room for more messages");
      return;
    }
    if (bytes > 0) {
      this.#timer ??= clock.setTimeout(() => this.#giveUp("A message did not end in time"), messageTimeoutMs);
    } else if (this.#timer !== undefined) {
      clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }
}
