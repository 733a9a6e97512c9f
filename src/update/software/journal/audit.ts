/**
 * The audit chain: each record carries the hash of the one before, so that a record changed, left out or put in shows. That its tail was
 * cut, or all of it written anew, shows by a head that was noted elsewhere, such as in the log, or signed (heads.ts).
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

export interface BrokenChain {
  readonly whole: false;
  readonly seq: number;
  readonly problem: string;
}

export type ChainVerdict =
  | {
      readonly whole: true;
      readonly records: number;
      readonly head: Anchor;
      /** Whether the expected head was compared: not when it lies before the oldest record that is kept. */
      readonly compared: boolean;
    }
  | BrokenChain;

/**
 * Walks a chain from its anchor. `expected`: a head noted elsewhere, which must be in the chain, its anchor, or before it; `signed`: heads
 * whose signatures hold, likewise.
 */
export function verifyChain(
  records: Iterable<AuditRecord>,
  anchor: Anchor = NO_ANCHOR,
  expected?: Anchor,
  signed: readonly Anchor[] = [],
): ChainVerdict {
  let head = anchor;
  let count = 0;
  const broken = (seq: number, problem: string): BrokenChain => ({ whole: false, seq, problem });
  const noted = [...(expected === undefined ? [] : [expected]), ...signed]
    .filter(({ seq }) => seq >= anchor.seq)
    .sort((a, b) => a.seq - b.seq)
    .values();
  let next = noted.next().value;
  const differs = (): boolean => {
    for (; next?.seq === head.seq; next = noted.next().value) if (next.hash !== head.hash) return true;
    return false;
  };
  const whoSays = () => (next === expected ? "that was noted elsewhere" : "whose head was signed");
  if (differs()) return broken(head.seq, `is not the record ${whoSays()}`);
  for (const { hash, ...record } of records) {
    const seq = head.seq + 1;
    if (record.seq !== seq) return broken(seq, `record ${seq} is missing, ${record.seq} follows`);
    if (record.prev !== head.hash) return broken(seq, "does not follow the record before");
    if (hashOf(record) !== hash) return broken(seq, "does not match its hash");
    head = { seq, hash };
    count++;
    if (differs()) return broken(seq, `is not the record ${whoSays()}`);
  }
  if (next !== undefined) return broken(head.seq + 1, `the chain ends before record ${next.seq}, ${whoSays()}`);
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
