/** How often clients of one address may send something. Refusals are answered at the same rate; who asks for more of them is given up. */
import type { Clock } from "#core/time.ts";
import { TokenBuckets } from "#core/token-buckets.ts";
import type { Incoming } from "./envelope.ts";
import type { Session } from "./hub.ts";

/** `refuse`: it is answered that there were too many; `drop`: not even that. */
export type Verdict = "take" | "refuse" | "drop";

/** Addresses that are remembered. */
const MAX_SENDERS = 1_024;

export class Rate {
  readonly #messages: TokenBuckets;
  readonly #refusals: TokenBuckets;
  readonly #clock: Clock;
  /** What who sends too many is told. */
  readonly reason: string;

  /** `burst`: messages of an address that was silent. */
  constructor(perS: number, burst: number, clock: Clock) {
    const options = { ratePerS: perS, burst: Math.max(perS, burst), maxSenders: MAX_SENDERS };
    this.#messages = new TokenBuckets(options);
    this.#refusals = new TokenBuckets(options);
    this.#clock = clock;
    this.reason = `There are too many messages, more than ${perS} a second (skybrush.max_messages_per_second)`;
  }

  judge(address: string): Verdict {
    const nowMs = this.#clock.now();
    if (this.#messages.take(address, nowMs)) return "take";
    return this.#refusals.take(address, nowMs) ? "refuse" : "drop";
  }

  /** What takes the messages of a connection from then on. `giveUp`: closes it. One that is dropped is not even read. */
  hearing(session: Session, address: string, giveUp: (problem: string) => void): (read: () => Incoming) => void {
    return (read) => {
      const verdict = this.judge(address);
      if (verdict === "take") session.receive(read());
      else if (verdict === "refuse") session.refuse(read(), this.reason);
      else giveUp(this.reason);
    };
  }
}
