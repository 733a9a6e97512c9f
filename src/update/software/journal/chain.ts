/** The audit chain as it lies in the store: a record a key, and the anchor that pruning left. Read by the journal and by whoever checks it. */
import { keysOf, type Persistence } from "#store/persistence.ts";
import type { CampaignRecord } from "#update/software/campaign/states.ts";
import { type Anchor, type AuditRecord, type ChainVerdict, NO_ANCHOR, verifyChain } from "./audit.ts";
import type { SignedHead } from "./heads.ts";

export const BUCKETS = {
  campaigns: "update-campaigns",
  audit: "update-audit",
  heads: "update-audit-heads",
  notes: "update-notes",
  installed: "update-floors",
  trust: "update-trust",
} as const;
export const ANCHOR_KEY = "anchor";
const SEQ_DIGITS = 12;

type Readable = Pick<Persistence, "get" | "contains" | "listKeys">;

export function keyOf(seq: number): string {
  return String(seq).padStart(SEQ_DIGITS, "0");
}

export function readAnchor(persistence: Readable): Anchor {
  if (!persistence.contains(BUCKETS.audit, ANCHOR_KEY)) return NO_ANCHOR;
  return JSON.parse(persistence.get(BUCKETS.audit, ANCHOR_KEY)) as Anchor;
}

/** Keys of the records behind a sequence number, oldest first. */
export function auditKeys(persistence: Readable, after: number): string[] {
  return keysOf(persistence, BUCKETS.audit).filter((key) => key !== ANCHOR_KEY && Number(key) > after);
}

export function readRecord(persistence: Readable, key: string): AuditRecord {
  return JSON.parse(persistence.get(BUCKETS.audit, key)) as AuditRecord;
}

/** Records behind a sequence number, oldest first. The walk may take its time: what is pruned meanwhile is left out. */
export function* readRecords(persistence: Readable, after: number): Generator<AuditRecord, void, undefined> {
  for (const key of auditKeys(persistence, after)) {
    if (persistence.contains(BUCKETS.audit, key)) yield readRecord(persistence, key);
  }
}

/** Signed heads from a sequence number on, oldest first. */
export function readHeads(persistence: Readable, from = 0): readonly SignedHead[] {
  return headKeys(persistence)
    .filter((key) => Number(key) >= from && persistence.contains(BUCKETS.heads, key))
    .map((key) => JSON.parse(persistence.get(BUCKETS.heads, key)) as SignedHead);
}

export function headKeys(persistence: Readable): readonly string[] {
  return keysOf(persistence, BUCKETS.heads);
}

/**
 * Walks the chain of a store, and looks for updates that stand behind its end: their records were cut away. `expected` and `signed` as
 * `verifyChain` has them.
 */
export function verifyStored(persistence: Readable, expected?: Anchor, signed: readonly Anchor[] = []): ChainVerdict {
  const anchor = readAnchor(persistence);
  const verdict = verifyChain(readRecords(persistence, anchor.seq), anchor, expected, signed);
  if (!verdict.whole) return verdict;
  for (const key of keysOf(persistence, BUCKETS.campaigns)) {
    const { auditSeq } = JSON.parse(persistence.get(BUCKETS.campaigns, key)) as CampaignRecord;
    if (auditSeq <= verdict.head.seq) continue;
    const seq = verdict.head.seq + 1;
    return { whole: false, seq, problem: `the chain ends, but update ${key} stands at record ${auditSeq}` };
  }
  return verdict;
}
