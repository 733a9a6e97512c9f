/** Who gets in: refusals before anything of a request is looked at, so that they stay cheap when they are many. */
import { Fault } from "#core/errors.ts";
import { TokenBuckets } from "#core/token-buckets.ts";

export interface AdmissionOptions {
  /** Requests under way. */
  readonly maxInFlight: number;
  /** Once a turn of the event loop has lasted so long, further requests of that turn are refused; ms. */
  readonly maxTurnMs: number;
  /** Requests of one client address per second, with a burst of one second; 0: as many as it likes. */
  readonly maxClientRatePerS: number;
  /** Client addresses remembered for that. */
  readonly maxClients: number;
}

/** Why requests are refused: a closed set, for the metric. */
export const REFUSALS = ["inFlight", "turn", "client"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** One fault for all of a kind: a stack for each would cost more than the refusal. */
const FAULTS: Readonly<Record<Refusal, Fault>> = {
  inFlight: new Fault("overloaded", "Too many requests at once"),
  turn: new Fault("overloaded", "Too many requests are waiting to be read"),
  client: new Fault("tooManyRequests", "Too many requests of this client"),
};

/** With fewer requests under way nobody waits long for the turn's end, and the turn need not be watched. */
const CROWD = 64;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #refused: Record<Refusal, number> = { inFlight: 0, turn: 0, client: 0 };
  readonly #clients: TokenBuckets;
  #turnBeganMs = 0;
  #turnIsWatched = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { maxClientRatePerS: ratePerS, maxClients: maxSenders } = options;
    this.#clients = new TokenBuckets({ ratePerS, burst: ratePerS, maxSenders });
  }

  /** Refusals so far. */
  get refused(): Readonly<Record<Refusal, number>> {
    return this.#refused;
  }

  /** Client addresses that are remembered. */
  get clients(): number {
    return this.#clients.senders;
  }

  /** Whether a request may go on. `client` is only asked for where clients are counted. @throws Fault overloaded, tooManyRequests */
  check(inFlight: number, nowMs: number, client: () => string): void {
    const { maxInFlight, maxClientRatePerS } = this.#options;
    if (inFlight >= maxInFlight) this.#refuse("inFlight");
    if (inFlight >= CROWD && this.#turnIsLong(nowMs)) this.#refuse("turn");
    if (maxClientRatePerS > 0 && !this.#clients.take(client(), nowMs)) this.#refuse("client");
  }

  #refuse(why: Refusal): never {
    this.#refused[why]++;
    throw FAULTS[why];
  }

  /** All sockets that can be read are read in one turn: who is behind many others waits for all of them. */
  #turnIsLong(nowMs: number): boolean {
    if (this.#turnIsWatched) return nowMs - this.#turnBeganMs > this.#options.maxTurnMs;
    this.#turnIsWatched = true;
    this.#turnBeganMs = nowMs;
    setImmediate(this.#endTurn);
    return false;
  }

  readonly #endTurn = (): void => {
    this.#turnIsWatched = false;
  };
}
