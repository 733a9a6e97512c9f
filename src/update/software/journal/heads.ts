/**
 * Signed heads of the audit chain: a key that the store does not hold vouches for where the chain ended and from where it is kept. Whoever
 * holds the store alone can neither write a chain anew, nor cut it back to before a head that stays, nor take records away at its front.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { canonical } from "#update/software/canonical.ts";
import type { Anchor, BrokenChain, ChainVerdict } from "./audit.ts";

/** What is signed. */
interface Head extends Anchor {
  /** Last record that was pruned by then; 0 for none. */
  readonly anchor: number;
  /** Wall clock, ISO 8601. */
  readonly at: string;
}

export interface SignedHead extends Head {
  /** Which key signed: SHA-256 of its public half (SPKI, DER), hexadecimal. */
  readonly key: string;
  /** Ed25519, base64, over the canonical text of the other members but `key`, with `type`. */
  readonly signature: string;
}

export type SignHead = (head: Head) => SignedHead;

/** No other text that the key may sign looks like this. */
const TYPE = "sovd-edge audit head";

function textOf({ seq, hash, anchor, at }: Head): Buffer {
  return Buffer.from(canonical({ type: TYPE, seq, hash, anchor, at }));
}

/** `privateKey`: Ed25519. */
export function signerOf(privateKey: KeyObject): SignHead {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const key = createHash("sha256").update(spki).digest("hex");
  return (head) => ({ ...head, key, signature: sign(null, textOf(head), privateKey).toString("base64") });
}

/** `signed`: the last head that was. */
export type SignedVerdict = ChainVerdict & { readonly signed?: SignedHead | undefined };

/**
 * Verifies a chain with its heads, oldest first; without keys as if nothing were signed. `anchor`: where the chain begins. `walk`: the chain
 * itself, which has to hold what is signed as well.
 */
export function verifySigned(
  heads: readonly SignedHead[],
  keys: readonly KeyObject[],
  anchor: Anchor,
  walk: (signed: readonly Anchor[]) => ChainVerdict,
): SignedVerdict {
  if (keys.length === 0) return walk([]);
  return checkHeads(heads, keys, anchor) ?? { ...walk(heads), signed: heads.at(-1) };
}

/** What shows by the heads alone; undefined: nothing. */
function checkHeads(heads: readonly SignedHead[], keys: readonly KeyObject[], anchor: Anchor): BrokenChain | undefined {
  const broken = (seq: number, problem: string): BrokenChain => ({ whole: false, seq, problem });
  if (heads.length === 0) return broken(anchor.seq + 1, "no head of the chain is signed");
  for (const head of heads) {
    const signature = Buffer.from(String(head.signature), "base64");
    if (!keys.some((key) => verify(null, textOf(head), key, signature)))
      return broken(head.seq, "its head is signed by no key that was given");
  }
  const pruned = Math.max(...heads.map((head) => head.anchor));
  if (anchor.seq <= pruned) return undefined;
  return broken(
    pruned + 1,
    `the chain begins behind record ${anchor.seq}, the heads know of none pruned behind ${pruned}`,
  );
}
