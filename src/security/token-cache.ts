/**
 * Tokens that were verified before. Checking a signature costs a hundred microseconds and more and cannot be waited for in one turn;
 * a vehicle's clients send the same few tokens for hours. Bounded: the oldest entry goes first.
 */
import { createHash } from "node:crypto";
import type { Claims } from "./claims.ts";

/** Longer tokens are remembered by their hash, so that an entry has a bounded size. */
const LONGEST_KEY = 512;

interface Entry {
  readonly claims: Claims;
  readonly untilMs: number;
}

export interface TokenCache {
  /** Claims of a token that was put and has not expired. */
  get(token: string): Claims | undefined;
  put(token: string, claims: Claims, untilMs: number): void;
  readonly size: number;
}

/** A cache of up to `maxEntries` tokens; 0 remembers none. */
export function createTokenCache(maxEntries: number, now: () => number): TokenCache {
  const entries = new Map<string, Entry>();
  return {
    get(token) {
      const key = keyOf(token);
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (now() < entry.untilMs) return entry.claims;
      entries.delete(key);
      return undefined;
    },
    put(token, claims, untilMs) {
      if (maxEntries === 0) return;
      const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined;
      if (oldest !== undefined) entries.delete(oldest);
      entries.set(keyOf(token), { claims, untilMs });
    },
    get size() {
      return entries.size;
    },
  };
}

function keyOf(token: string): string {
  return token.length <= LONGEST_KEY ? token : createHash("sha256").update(token).digest("base64");
}
