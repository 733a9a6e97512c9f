/** How often each of many senders may do something: every time takes a token of its own, and one comes back each `1 / rate` seconds. */
export interface TokenBucketsOptions {
  readonly ratePerS: number;
  /** Tokens of a sender that was silent; at least one. */
  readonly burst: number;
  /** Senders that are remembered; the longest silent goes first. */
  readonly maxSenders: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class TokenBuckets {
  readonly #options: TokenBucketsOptions;
  /** Latest sender last. */
  readonly #senders = new Map<string, Bucket>();

  constructor(options: TokenBucketsOptions) {
    this.#options = options;
  }

  /** Senders that are remembered. */
  get senders(): number {
    return this.#senders.size;
  }

  /** False: there is no token left. */
  take(sender: string, nowMs: number): boolean {
    const { ratePerS, maxSenders } = this.#options;
    const burst = Math.max(1, this.#options.burst);
    const bucket = this.#senders.get(sender) ?? { tokens: burst, atMs: nowMs };
    this.#senders.delete(sender);
    if (this.#senders.size >= maxSenders) this.#senders.delete(this.#senders.keys().next().value!);
    this.#senders.set(sender, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * ratePerS) / 1_000);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
