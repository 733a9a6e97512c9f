/** Checks that each file of TUF metadata has to pass (specification 1.0, 5.3 to 5.6), whoever names it. */
import { createHash, createPublicKey } from "node:crypto";
import type { Key, Metadata, Root, Snapshot, Targets, Timestamp } from "@tufjs/models";
import { Fault, reasonOf } from "#core/errors.ts";

export type Models = typeof import("@tufjs/models");

export interface Walk {
  readonly models: Models;
  readonly timeMs: number;
  readonly root: Metadata<Root>;
}

/** By role; delegated ones are targets as well. */
export interface Kinds {
  readonly root: Metadata<Root>;
  readonly timestamp: Metadata<Timestamp>;
  readonly snapshot: Metadata<Snapshot>;
  readonly targets: Metadata<Targets>;
}

/** @throws Fault invalidData for anything that is no metadata of this role */
export function parse<R extends keyof Kinds>({ Metadata }: Models, role: R, text: string): Kinds[R] {
  try {
    return Metadata.fromJSON(role as never, JSON.parse(text)) as unknown as Kinds[R];
  } catch (error) {
    throw new Fault("invalidData", `The ${role} metadata is none: ${reasonOf(error)}`, undefined, error);
  }
}

/** `by`: who says which keys may sign for the role. @throws Fault invalidSignature */
export function requireSigned(by: Metadata<Root | Targets>, role: string, metadata: Kinds[keyof Kinds]): void {
  try {
    by.verifyDelegate(role, metadata);
  } catch (error) {
    throw new Fault("invalidSignature", reasonOf(error), undefined, error);
  }
}

interface Named {
  readonly length?: number | undefined;
  readonly hashes?: Readonly<Record<string, string>> | undefined;
}

/** Mix and match: the file must be the very one that the signer of the other meant. */
export function requireNamed(role: string, text: string, { length, hashes = {} }: Named, by: string): void {
  const bytes = Buffer.from(text);
  if (length !== undefined && bytes.byteLength > length)
    throw new Fault("invalidData", `Mix and match: the ${role} is longer than the ${length} bytes of the ${by}`);
  for (const [algorithm, hash] of Object.entries(hashes)) {
    if (HASHES.has(algorithm) && createHash(algorithm).update(bytes).digest("hex") === hash.toLowerCase()) continue;
    throw new Fault("invalidData", `Mix and match: the ${role} has not the ${algorithm} that the ${by} names`);
  }
}

/** Hashes that can be checked; any other is refused, as every one that is listed has to be right. */
export const HASHES: ReadonlySet<string> = new Set(["sha256", "sha512"]);

export function requireVersion(role: string, version: number, named: number): void {
  if (version === named) return;
  throw new Fault("invalidData", `Mix and match: ${role} has version ${version}, version ${named} is named`);
}

export function requireNotOlder(what: string, version: number, known: number): void {
  if (version >= known) return;
  throw new Fault("conflict", `Rollback: version ${version} of ${what} is older than ${known}, which was seen`);
}

export function requireFresh({ timeMs }: Walk, role: string, expires: string): void {
  const expiresMs = Date.parse(expires);
  if (expiresMs > timeMs) return;
  throw new Fault("invalidData", `Freeze: the ${role} expired at ${expires}`);
}

/** One key under two ids would count twice against a threshold. */
export function requireDistinctKeys(role: string, keys: Readonly<Record<string, Key>>): void {
  const points = Object.values(keys).map(({ keyVal: { public: text = "" } }) => pointOf(text).toString("hex"));
  if (new Set(points).size !== points.length)
    throw new Fault("invalidSignature", `The ${role} has one key under two ids`);
}

const POINT_BYTES = 32;
const HEX = /^[0-9a-f]+$/i;

/** What tells keys apart, however they are written: PEM, or hexadecimal in either case, of which half a byte more is not read. */
function pointOf(text: string): Buffer {
  if (HEX.test(text)) return Buffer.from(text, "hex").subarray(-POINT_BYTES);
  try {
    return createPublicKey(text).export({ type: "spki", format: "der" }).subarray(-POINT_BYTES);
  } catch {
    // nothing is verified by it
    return Buffer.from(text);
  }
}
