/** Signed heads of the audit chain: attacks by whoever holds the store, and what a power cut or a full disk does to them. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { keysOf, type Persistence } from "#store/persistence.ts";
import type { CampaignState } from "#update/software/campaign/states.ts";
import { type Anchor, type AuditRecord, hashOf } from "#update/software/journal/audit.ts";
import {
  ANCHOR_KEY,
  auditKeys,
  BUCKETS,
  keyOf,
  readAnchor,
  readHeads,
  readRecord,
  verifyStored,
} from "#update/software/journal/chain.ts";
import { type SignedHead, signerOf, verifySigned } from "#update/software/journal/heads.ts";
import { Journal, type JournalOptions } from "#update/software/journal/journal.ts";
import { DyingPersistence, ID, registered } from "./software-model.ts";

const OWN = generateKeyPairSync("ed25519");
const OTHER = generateKeyPairSync("ed25519");
const NOTE = { actor: "a", campaign: ID, event: "e", result: "ok" };
const NOW = Date.parse("2030-06-01T00:00:00Z");

async function journalOn(persistence: Persistence, more: Partial<JournalOptions> = {}): Promise<Journal> {
  const sign = signerOf(OWN.privateKey);
  const journal = new Journal({ persistence, nowMs: () => NOW, maxRecords: 10, sign, ...more });
  await journal.open();
  return journal;
}

async function note(journal: Journal, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await journal.note(NOTE);
}

const go = (journal: Journal, state: CampaignState) =>
  journal.transition({ ...NOTE, event: state }, { ...registered(["a"], "coordinated"), state });

function verdictOf(disk: Persistence, keys: readonly KeyObject[] = [OWN.publicKey]) {
  return verifySigned(readHeads(disk), keys, readAnchor(disk), (signed) => verifyStored(disk, undefined, signed));
}

const signedSeqs = (disk: Persistence) => readHeads(disk).map(({ seq }) => seq);

/** Records 1 to 12, heads 5 and 10 signed; pruned ones before, if wanted. */
async function signedChain(pruned = 0): Promise<Persistence> {
  const disk = createMemoryPersistence();
  const journal = await journalOn(disk, pruned === 0 ? { maxRecords: 1_000 } : {});
  await note(journal, pruned);
  for (let i = 0; i < 2; i++) {
    await go(journal, "registered");
    await note(journal, 3);
    await go(journal, "failed");
  }
  await note(journal, 2);
  return disk;
}

test("the end of an update is signed, and what is on the chain at the close, once", async () => {
  const disk = await signedChain();
  assert.deepEqual(signedSeqs(disk), [5, 10]);
  const logged: SignedHead[] = [];
  const journal = await journalOn(disk, { onSigned: (head) => logged.push(head) });
  for (let i = 0; i < 3; i++) await journal.close();
  assert.deepEqual(signedSeqs(disk), [5, 10, 12]);
  assert.deepEqual(logged, readHeads(disk, 12));
  const verdict = verdictOf(disk);
  assert.deepEqual([verdict.whole, verdict.signed?.seq, verdict.signed?.at], [true, 12, "2030-06-01T00:00:00.000Z"]);
  assert.deepEqual([journal.heads(6).length, journal.heads().length], [2, 3]);
  assert.ok(verdictOf(disk, [OTHER.publicKey, OWN.publicKey]).whole, "one of several keys will do");
});

for (const state of ["completed", "partial", "rolledBack", "failed", "needsService", "deleted"] as const) {
  test(`signed: an update that is ${state}, not when it stays so`, async () => {
    const disk = createMemoryPersistence();
    const journal = await journalOn(disk);
    await go(journal, "registered");
    await go(journal, "executing");
    assert.deepEqual(signedSeqs(disk), []);
    await go(journal, state);
    if (state !== "deleted") await go(journal, state);
    assert.deepEqual(signedSeqs(disk), [3]);
  });
}

test("without a key nothing is signed, and nothing more is looked at", async () => {
  const disk = createMemoryPersistence();
  const journal = await journalOn(disk, { sign: undefined });
  await go(journal, "failed");
  await note(journal, 200);
  await journal.close();
  assert.deepEqual(keysOf(disk, BUCKETS.heads), []);
  assert.ok(verdictOf(disk, []).whole);
  const verdict = verdictOf(disk);
  assert.ok(!verdict.whole && /no head of the chain is signed/.test(verdict.problem));
});

/** Takes records away behind one. */
async function cut(disk: Persistence, last: number): Promise<void> {
  for (const key of auditKeys(disk, last)) await disk.delete(BUCKETS.audit, key);
  if (disk.contains(BUCKETS.campaigns, ID)) await disk.delete(BUCKETS.campaigns, ID);
}

/** Writes the chain anew from one record on, so that each link holds. */
async function rewrite(disk: Persistence, from: number): Promise<void> {
  let prev: string | undefined;
  for (const key of auditKeys(disk, from - 1)) {
    const { hash: _, ...record } = readRecord(disk, key);
    const changed: Omit<AuditRecord, "hash"> = { ...record, prev: prev ?? record.prev, actor: "nobody" };
    prev = hashOf(changed);
    await disk.set(BUCKETS.audit, key, JSON.stringify({ ...changed, hash: prev }));
  }
}

const setHead = (disk: Persistence, head: SignedHead) => disk.set(BUCKETS.heads, keyOf(head.seq), JSON.stringify(head));

const headAt = (disk: Persistence, seq: number): SignedHead => readHeads(disk, seq)[0]!;

async function dropHeads(disk: Persistence, from = 0): Promise<void> {
  for (const { seq } of readHeads(disk, from)) await disk.delete(BUCKETS.heads, keyOf(seq));
}

/** Takes records away at the front, with an anchor to match. */
async function behead(disk: Persistence, last: number): Promise<void> {
  const { seq, hash } = readRecord(disk, keyOf(last));
  await disk.set(BUCKETS.audit, ANCHOR_KEY, JSON.stringify({ seq, hash } satisfies Anchor));
  for (const key of auditKeys(disk, 0)) if (Number(key) <= last) await disk.delete(BUCKETS.audit, key);
}

type Attack = readonly [attack: (disk: Persistence) => Promise<void>, seq: number, says: RegExp];
const ATTACKS: Readonly<Record<string, Attack>> = {
  "the tail cut to before the last signed head": [
    (disk) => cut(disk, 9),
    10,
    /the chain ends before record 10, whose head was signed/,
  ],
  "cut to before the first": [(disk) => cut(disk, 2), 3, /ends before record 5, whose head was signed/],
  "cut off altogether": [(disk) => cut(disk, 0), 1, /ends before record 5/],
  "written anew from the start": [(disk) => rewrite(disk, 1), 5, /is not the record whose head was signed/],
  "written anew in the middle": [(disk) => rewrite(disk, 7), 10, /is not the record whose head was signed/],
  "the last signed record written anew": [(disk) => rewrite(disk, 10), 10, /is not the record whose head was signed/],
  "written anew, with heads that were moved along": [
    async (disk) => {
      await rewrite(disk, 1);
      for (const head of readHeads(disk))
        await setHead(disk, { ...head, hash: readRecord(disk, keyOf(head.seq)).hash });
    },
    5,
    /its head is signed by no key that was given/,
  ],
  "written anew, with heads by another key": [
    async (disk) => {
      await rewrite(disk, 1);
      for (const head of readHeads(disk))
        await setHead(disk, signerOf(OTHER.privateKey)({ ...head, hash: readRecord(disk, keyOf(head.seq)).hash }));
    },
    5,
    /signed by no key that was given/,
  ],
  "written anew, one head left of the former": [
    async (disk) => {
      await rewrite(disk, 1);
      await disk.delete(BUCKETS.heads, keyOf(5));
    },
    10,
    /is not the record whose head was signed/,
  ],
  "all heads taken away": [(disk) => dropHeads(disk), 1, /no head of the chain is signed/],
  "a head that says another record": [
    (disk) => setHead(disk, { ...headAt(disk, 10), seq: 9 }),
    9,
    /signed by no key that was given/,
  ],
  "a head that says another time": [
    (disk) => setHead(disk, { ...headAt(disk, 10), at: "2031-01-01T00:00:00.000Z" }),
    10,
    /signed by no key that was given/,
  ],
  "a head without a signature": [
    (disk) => setHead(disk, { ...headAt(disk, 10), signature: undefined as never }),
    10,
    /signed by no key that was given/,
  ],
  "the front cut off": [(disk) => behead(disk, 3), 1, /begins behind record 3, the heads know of none pruned behind 0/],
  "the front cut off, with heads that say so": [
    async (disk) => {
      await behead(disk, 3);
      for (const head of readHeads(disk)) await setHead(disk, { ...head, anchor: 3 });
    },
    5,
    /signed by no key that was given/,
  ],
};
for (const [what, [attack, seq, says]] of Object.entries(ATTACKS)) {
  test(`attack: ${what}`, async () => {
    const disk = await signedChain();
    await attack(disk);
    const verdict = verdictOf(disk);
    assert.ok(!verdict.whole);
    assert.equal(verdict.seq, seq, verdict.problem);
    assert.match(verdict.problem, says);
  });
}

test("known: what came behind the last signed head can be cut; the verdict says up to where it is signed", async () => {
  const disk = await signedChain();
  await cut(disk, 10);
  assert.equal(verdictOf(disk).signed?.seq, 10);
});

test("a chain that was cut goes on, and its own node does not sign that away", async () => {
  const disk = await signedChain();
  await cut(disk, 8);
  const problems: unknown[] = [];
  const journal = await journalOn(disk, { maxRecords: 1_000, onProblem: (problem) => problems.push(problem) });
  await note(journal, 2);
  await journal.close();
  assert.ok(problems[0] instanceof Fault && problems[0].kind === "corruption");
  await note(journal, 5);
  await journal.close();
  const verdict = verdictOf(disk);
  assert.ok(!verdict.whole && verdict.seq === 10, "the head that was signed before still counts");
});

test("pruning leaves an anchor that is signed, and no heads before it", async () => {
  const disk = await signedChain(500);
  const anchor = readAnchor(disk);
  assert.ok(anchor.seq > 400 && verdictOf(disk).whole);
  assert.ok(readHeads(disk).length <= 3, "bounded by the records that are kept");
  assert.ok(readHeads(disk).every(({ seq }) => seq >= anchor.seq));
  await behead(disk, anchor.seq + 1);
  const verdict = verdictOf(disk);
  assert.ok(!verdict.whole && /none pruned behind/.test(verdict.problem));
});

test("a disk that takes no heads keeps no update from its end, and nothing is pruned unsigned", async () => {
  let full = true;
  const inner = createMemoryPersistence();
  const disk: Persistence = {
    ...inner,
    set: async (bucket, key, value) => {
      if (full && bucket === BUCKETS.heads) throw new Fault("noSpaceLeft", "the disk is full");
      await inner.set(bucket, key, value);
    },
  };
  const problems: unknown[] = [];
  const journal = await journalOn(disk, { onProblem: (problem) => problems.push(problem) });
  await go(journal, "failed");
  await note(journal, 100);
  assert.ok(problems.length > 1);
  assert.equal(readAnchor(disk).seq, 0);
  full = false;
  await note(journal, 1);
  assert.ok(readAnchor(disk).seq > 0 && verdictOf(disk).whole);
});

test("power cut before and after each write: what is there verifies, and goes on", async () => {
  const RECORDS = 76;
  const write = async (disk: Persistence, crash?: { at: number; when: "before" | "after" }) => {
    const dying = new DyingPersistence(disk, crash);
    const journal = await journalOn(dying);
    try {
      await note(journal, 3);
      await go(journal, "failed");
      await note(journal, RECORDS);
    } catch (error) {
      assert.ok(dying.dead, String(error));
    }
    return dying.writes;
  };
  const writes = await write(createMemoryPersistence());
  assert.ok(writes > RECORDS + 60, "records were pruned");
  for (const when of ["before", "after"] as const) {
    for (let at = 1; at <= writes; at++) {
      const disk = createMemoryPersistence();
      await write(disk, { at, when });
      if (readHeads(disk).length > 0) assert.deepEqual(verdictOf(disk).whole, true, `${when} ${at}`);
      const journal = await journalOn(disk);
      await note(journal, RECORDS);
      await journal.close();
      const verdict = verdictOf(disk);
      assert.ok(verdict.whole, `${when} ${at}: ${JSON.stringify(verdict)}`);
    }
  }
});
