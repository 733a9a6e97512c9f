/** What a token says, and how one travels. */
import { Fault } from "#core/errors.ts";

/** Who calls; `sub` owns locks. */
export interface Claims {
  readonly sub: string;
  /** Seconds since 1970; a token without it is verified at each use. */
  readonly exp?: number;
  readonly [claim: string]: unknown;
}

/** Answer of `POST authorize` (RFC 6749 §5.1). */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: "Bearer";
  /** Seconds that the token still holds. */
  readonly expires_in: number;
}

/** Milliseconds since 1970. Tokens are about the time of day, which a monotonic clock does not follow when it is set. */
export interface WallClock {
  now(): number;
}
export const wallClock: WallClock = { now: Date.now };

const BEARER = /^bearer +(\S+) *$/i;

/** The token of an `Authorization` header; `unauthorized` when there is none. */
export function bearerToken(header: string | undefined): string {
  const token = header === undefined ? undefined : BEARER.exec(header)?.[1];
  if (token === undefined) throw new Fault("unauthorized", "A bearer token is required");
  return token;
}

/** The refusal of a token that does not hold; `reason` in the CDA's words. */
export function invalidToken(reason = "Token could not be decoded", cause?: unknown): Fault {
  return new Fault("forbidden", `Invalid token: ${reason}`, undefined, cause);
}
