/**
 * The durable side of campaigns. A transition is one audit record that holds the state it leads to, then the campaign's own key. When
 * power fails between the two, the record is the truth and the next start writes the key. Everything else is read from these keys.
 */
import { Fault } from "#core/errors.ts";
import { Turns } from "#core/turns.ts";
import { keysOf, type Persistence } from "#store/persistence.ts";
import {
  type CampaignRecord,
  type CampaignState,
  FINAL_STATES,
  type Member,
} from "#update/software/campaign/states.ts";
import { type Anchor, type AuditEntry, type AuditRecord, type ChainVerdict, hashOf, NO_ANCHOR } from "./audit.ts";
import {
  ANCHOR_KEY,
  auditKeys,
  BUCKETS,
  headKeys,
  keyOf,
  readAnchor,
  readHeads,
  readRecord,
  readRecords,
  verifyStored,
} from "./chain.ts";
import type { SignedHead, SignHead } from "./heads.ts";
import { type Installed, installedBy, newlyClosed } from "./installed.ts";

type NoteBucket = "notes" | "trust";
/** The event whose record carries the package. */
export const REGISTERED = "registered";
/** An update that gets there does nothing more by itself, or waits for service. */
const ENDS: ReadonlySet<CampaignState> = new Set([...FINAL_STATES, "needsService", "deleted"]);
/** Pruning goes in steps, so that it is not done at each record. */
const PRUNE_STEP = 64;

export interface JournalOptions {
  readonly persistence: Persistence;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
  /** Records kept; older ones leave an anchor. */
  readonly maxRecords: number;
  /** Each new head, for the log: a head noted elsewhere is what a cut chain is found by. */
  readonly onHead?: (head: AuditRecord) => void;
  /** Signs heads, at the end of each update, when records are pruned, and at the close; absent: nobody does. */
  readonly sign?: SignHead | undefined;
  /** Each head that was signed, for the log. */
  readonly onSigned?: (head: SignedHead) => void;
  /** What failed beside a transition and comes again: pruning, signing, the key of a transition that a crash has cut. */
  readonly onProblem?: (problem: unknown) => void;
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #campaigns = new Map<string, CampaignRecord>();
  #head: Anchor = NO_ANCHOR;
  #anchor: Anchor = NO_ANCHOR;
  readonly #turns = new Turns();
  /** A state whose record is written but whose own key is not, e.g. on a full disk. */
  #behind: { readonly record: CampaignRecord; readonly before: CampaignRecord | undefined } | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Reads what is there and finishes a transition that a crash cut in two. */
  async open(): Promise<void> {
    const { persistence } = this.#options;
    for (const key of keysOf(persistence, BUCKETS.campaigns)) {
      this.#campaigns.set(key, JSON.parse(persistence.get(BUCKETS.campaigns, key)) as CampaignRecord);
    }
    this.#anchor = readAnchor(persistence);
    const last = auditKeys(persistence, this.#anchor.seq).at(-1);
    if (last === undefined) {
      this.#head = this.#anchor;
      return;
    }
    const { seq, hash, state } = readRecord(persistence, last);
    this.#head = { seq, hash };
    if (state === undefined) return;
    const known = this.#campaigns.get(state.id);
    if ((known?.auditSeq ?? 0) >= state.auditSeq) return;
    // what cannot be written now is so all the same, and is written with the next record
    const cut = { ...state, package: state.package ?? known?.package ?? {} };
    await this.#store(cut).catch((error: unknown) => this.#options.onProblem?.(error));
  }

  /** Where the chain ends. */
  get head(): Anchor {
    return this.#head;
  }

  campaigns(): readonly CampaignRecord[] {
    return [...this.#campaigns.values()];
  }

  campaign(id: string): CampaignRecord | undefined {
    return this.#campaigns.get(id);
  }

  /** Puts a transition on record. Resolves with what was written once it is on the disk. One after the other. */
  transition(entry: Omit<AuditEntry, "state">, state: CampaignRecord): Promise<CampaignRecord> {
    return this.#turns.run(async () => {
      const written: CampaignRecord = { ...state, auditSeq: this.#head.seq + 1 };
      const { package: _, ...bare } = written;
      // the package does not change: it stands in the record of its registration and in the campaign's key
      const before = this.#campaigns.get(state.id)?.state;
      await this.#append({ ...entry, state: entry.event === REGISTERED ? written : bare });
      await this.#store(written);
      if (written.state !== before && ENDS.has(written.state)) await this.#trySign();
      await this.#prune();
      return written;
    });
  }

  /** Puts something on record that changes no state: a refusal, a sample of the health gate. */
  note(entry: Omit<AuditEntry, "state">): Promise<void> {
    return this.#turns.run(async () => {
      await this.#append(entry);
      await this.#prune();
    });
  }

  /** Signs what is on the chain by now. */
  close(): Promise<void> {
    return this.#turns.run(() => this.#trySign());
  }

  /** Signed heads from a record on, oldest first. */
  heads(from = 0): readonly SignedHead[] {
    return readHeads(this.#options.persistence, from);
  }

  /** The chain as it is kept, oldest first. `after`: only records behind this sequence number. */
  records(after = 0): Generator<AuditRecord, void, undefined> {
    return readRecords(this.#options.persistence, Math.max(after, this.#anchor.seq));
  }

  verify(expected?: Anchor): ChainVerdict {
    return verifyStored(this.#options.persistence, expected);
  }

  /** Components that an update has ended on for good. */
  installedComponents(): readonly string[] {
    return keysOf(this.#options.persistence, BUCKETS.installed);
  }

  /** What the last update left on a component. */
  installed(component: string): Installed | undefined {
    const { persistence } = this.#options;
    if (!persistence.contains(BUCKETS.installed, component)) return undefined;
    return JSON.parse(persistence.get(BUCKETS.installed, component)) as Installed;
  }

  /** Small durable notes beside the chain, by name. */
  readNote(bucket: NoteBucket, name: string): string | undefined {
    const { persistence } = this.#options;
    return persistence.contains(BUCKETS[bucket], name) ? persistence.get(BUCKETS[bucket], name) : undefined;
  }

  /** Notes of an update whose names begin so, by what follows. */
  notesUnder(prefix: string): ReadonlyMap<string, string> {
    const { persistence } = this.#options;
    const names = keysOf(persistence, BUCKETS.notes).filter((key) => key.startsWith(prefix));
    return new Map(names.map((key) => [key.slice(prefix.length), persistence.get(BUCKETS.notes, key)]));
  }

  writeNote(bucket: NoteBucket, name: string, value: string): Promise<void> {
    return this.#options.persistence.set(BUCKETS[bucket], name, value);
  }

  async #append(entry: AuditEntry): Promise<void> {
    if (this.#behind !== undefined) await this.#store(this.#behind.record, this.#behind.before);
    const { persistence, nowMs, onHead } = this.#options;
    const seq = this.#head.seq + 1;
    const record = { ...entry, seq, at: new Date(nowMs()).toISOString(), prev: this.#head.hash };
    const hash = hashOf(record);
    const whole: AuditRecord = { ...record, hash };
    await persistence.set(BUCKETS.audit, keyOf(seq), JSON.stringify(whole));
    this.#head = { seq, hash };
    onHead?.(whole);
  }

  /** The record on the chain is the truth from here on, also when its own key cannot be written now. */
  async #store(record: CampaignRecord, before = this.#campaigns.get(record.id)): Promise<void> {
    const { persistence } = this.#options;
    this.#behind = { record, before };
    if (record.state === "deleted") {
      this.#campaigns.delete(record.id);
      await this.#forget(record.id);
    } else {
      // before the campaign's key: a power cut between the two brings the next start here again; and before anybody sees the end
      try {
        for (const member of newlyClosed(before, record)) await this.#install(record, member);
        if (before?.attempt !== record.attempt) await this.#forgetNotes(record.id, record.attempt);
      } finally {
        this.#campaigns.set(record.id, record);
      }
      await persistence.set(BUCKETS.campaigns, record.id, JSON.stringify(record));
    }
    this.#behind = undefined;
  }

  async #install(record: CampaignRecord, member: Member): Promise<void> {
    const installed = installedBy(this.installed(member.component), record, member);
    await this.#options.persistence.set(BUCKETS.installed, member.component, JSON.stringify(installed));
  }

  async #forget(id: string): Promise<void> {
    const { persistence } = this.#options;
    await this.#forgetNotes(id);
    if (persistence.contains(BUCKETS.campaigns, id)) await persistence.delete(BUCKETS.campaigns, id);
  }

  /** Notes of an update, but those of one attempt. */
  async #forgetNotes(id: string, attempt?: number): Promise<void> {
    const { persistence } = this.#options;
    const isOld = (key: string) => key.startsWith(`${id}/`) && !key.startsWith(`${id}/${attempt}/`);
    const old = keysOf(persistence, BUCKETS.notes).filter(isOld);
    await Promise.all(old.map((key) => persistence.delete(BUCKETS.notes, key)));
  }

  async #trySign(): Promise<void> {
    await this.#sign(this.#anchor.seq).catch((error: unknown) => this.#options.onProblem?.(error));
  }

  /** `anchor`: last record that is pruned. A head that is there is not replaced by another: it shows that the chain was cut. */
  async #sign(anchor: number): Promise<void> {
    const { persistence, nowMs, sign, onSigned } = this.#options;
    const { seq, hash } = this.#head;
    if (sign === undefined || seq === 0) return;
    const [known] = persistence.contains(BUCKETS.heads, keyOf(seq)) ? this.heads(seq) : [];
    if (known !== undefined && known.hash !== hash)
      throw new Fault("corruption", `The audit chain was changed: record ${seq} is not the one whose head was signed`);
    if (known !== undefined && known.anchor >= anchor) return;
    const head = sign({ seq, hash, anchor, at: new Date(nowMs()).toISOString() });
    await persistence.set(BUCKETS.heads, keyOf(seq), JSON.stringify(head));
    onSigned?.(head);
  }

  /** A head that knows of the anchor, and the anchor, are on the disk before the records before it go. What cannot be pruned now goes with the next record. */
  async #prune(): Promise<void> {
    const { persistence, maxRecords, onProblem } = this.#options;
    if (this.#head.seq - this.#anchor.seq < maxRecords + PRUNE_STEP) return;
    // also what a power cut left of an earlier time
    const old = auditKeys(persistence, 0).filter((key) => Number(key) <= this.#head.seq - maxRecords);
    const last = old.at(-1);
    if (last === undefined) return;
    const { seq, hash } = readRecord(persistence, last);
    try {
      await this.#sign(seq);
      await persistence.set(BUCKETS.audit, ANCHOR_KEY, JSON.stringify({ seq, hash }));
      this.#anchor = { seq, hash };
      const passed = headKeys(persistence).filter((key) => Number(key) < seq);
      await Promise.all([
        ...old.map((key) => persistence.delete(BUCKETS.audit, key)),
        ...passed.map((key) => persistence.delete(BUCKETS.heads, key)),
      ]);
    } catch (error) {
      onProblem?.(error);
    }
  }
}
