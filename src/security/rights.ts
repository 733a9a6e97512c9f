/** Rights that a token of an identity provider states, in whichever claim it does. */
import { Fault } from "#core/errors.ts";
import type { Claims } from "./claims.ts";

/** `scope` is text with blanks (RFC 8693), the others are text or a list. */
const CLAIMS = ["scope", "scp", "roles", "role"] as const;

/** All words that a token states. */
export function rightsOf(claims: Claims): ReadonlySet<string> {
  const stated = CLAIMS.flatMap((name) => claims[name]);
  return new Set(stated.flatMap((value) => (typeof value === "string" ? value.split(" ") : [])));
}

/** Passes a token that states one of these; an empty list asks for none. @throws Fault forbidden */
export function requireRight(claims: Claims, wanted: readonly string[]): void {
  const stated = rightsOf(claims);
  if (wanted.length === 0 || wanted.some((right) => stated.has(right))) return;
  throw new Fault("forbidden", `Updates need one of these rights: ${wanted.join(", ")}`);
}
