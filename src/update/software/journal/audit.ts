/**
 * The audit chain: each record carries the hash of the one before, so that a record changed, left out or put in shows. A chain without
 * a key cannot show that its tail was cut: each head also goes to the log, and `verifyChain` can be told which head to expect.
 */
import { createHash } from "node:crypto";
import type { CampaignEvent, CampaignRecord } from "#update/software/campaign/states.ts";
import { canonical } from "#update/software/canonical.ts";

/** Before the first record. */
export const GENESIS = "0".repeat(64);

export interface AuditEntry {
  /** Who caused it: subject of the token, or the part of the program. */
  readonly actor: string;
  readonly campaign: string;
  readonly event: string;
  readonly component?: string;
  readonly from?: string;
  readonly to?: string;
  /** `ok`, or what went wrong. */
  readonly result: string;
  /** Versions, image hash and RXSWIN of the component before and after, as far as known. */
  readonly versionBefore?: string;
  readonly versionAfter?: string;
  readonly sha256Before?: string;
  readonly sha256After?: string;
  readonly rxswinBefore?: string;
  readonly rxswinAfter?: string;
  /** State after the event: the record is the write-ahead log of the campaign as well. */
  readonly state?: Omit<CampaignRecord, "package"> & Partial<Pick<CampaignRecord, "package">>;
}

export interface AuditRecord extends AuditEntry {
  readonly seq: number;
  /** Wall clock, ISO 8601. */
  readonly at: string;
  readonly prev: string;
  /** SHA-256 over the canonical record without this member. */
  readonly hash: string;
}

/** Where the kept part of the chain begins. */
export interface Anchor {
  /** Of the last record that was pruned; 0 when none was. */
  readonly seq: number;
  readonly hash: string;
}

export const NO_ANCHOR: Anchor = { seq: 0, hash: GENESIS };

export function hashOf(record: Omit<AuditRecord, "hash">): string {
  return createHash("sha256").update(canonical(record)).digest("hex");
}

export type ChainVerdict =
  | {
      readonly whole: true;
      readonly records: number;
      readonly head: Anchor;
      /** Whether the expected head was compared: not when it lies before the oldest record that is kept. */
      readonly compared: boolean;
    }
  | { readonly whole: false; readonly seq: number; readonly problem: string };

/** Walks a chain from its anchor. `expected`: a head noted elsewhere, which must be in the chain, its anchor, or before it. */
export function verifyChain(
  records: Iterable<AuditRecord>,
  anchor: Anchor = NO_ANCHOR,
  expected?: Anchor,
): ChainVerdict {
  let head = anchor;
  let count = 0;
  const other = (seq: number): ChainVerdict => {
    return { whole: false, seq, problem: "is not the record that was noted elsewhere" };
  };
  if (expected?.seq === anchor.seq && expected.hash !== anchor.hash) return other(anchor.seq);
  let seen = expected === undefined || expected.seq <= anchor.seq;
  for (const { hash, ...record } of records) {
    const seq = head.seq + 1;
    if (record.seq !== seq) return { whole: false, seq, problem: `record ${seq} is missing, ${record.seq} follows` };
    if (record.prev !== head.hash) return { whole: false, seq, problem: "does not follow the record before" };
    if (hashOf(record) !== hash) return { whole: false, seq, problem: "does not match its hash" };
    if (expected?.seq === seq) {
      if (expected.hash !== hash) return other(seq);
      seen = true;
    }
    head = { seq, hash };
    count++;
  }
  if (!seen) return { whole: false, seq: head.seq + 1, problem: `the chain ends before record ${expected!.seq}` };
  return { whole: true, records: count, head, compared: expected === undefined || expected.seq >= anchor.seq };
}

/** What a transition puts on record. */
export function entryOf(
  before: CampaignRecord,
  after: CampaignRecord,
  event: CampaignEvent,
  actor: string,
): Omit<AuditEntry, "state"> {
  const entry = { actor, campaign: before.id, event: event.type, from: before.state, to: after.state };
  const result = "error" in event ? event.error.message : "reason" in event ? event.reason : "ok";
  if (!("component" in event)) return { ...entry, result };
  const member = after.members.find(({ component }) => component === event.component);
  return {
    ...entry,
    result,
    component: event.component,
    ...(member?.fromVersion === undefined ? {} : { versionBefore: member.fromVersion }),
    ...(member?.toVersion === undefined ? {} : { versionAfter: member.toVersion }),
    ...(member?.fromSha256 === undefined ? {} : { sha256Before: member.fromSha256 }),
    ...(member?.sha256 === undefined ? {} : { sha256After: member.sha256 }),
    ...(member?.fromRxswin === undefined ? {} : { rxswinBefore: member.fromRxswin }),
    ...(member?.toRxswin === undefined ? {} : { rxswinAfter: member.toRxswin }),
  };
}
