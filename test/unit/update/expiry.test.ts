/** Metadata that expires between prepare and execute. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#core/time.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { createCalls } from "#update/software/campaign/calls.ts";
import { Staging } from "#update/software/campaign/staging.ts";
import type { CampaignRecord, Member } from "#update/software/campaign/states.ts";
import { Journal } from "#update/software/journal/journal.ts";
import type { UpdateProvider } from "#update/software/provider.ts";
import { TufVerifier } from "#update/software/trust/tuf.ts";
import { LATER, NOW, newKeys, type RepositoryState, repositoryOf, rootOf } from "./tuf-support.ts";

const YEARS = "2035-01-01T00:00:00Z";
const AFTER = Date.parse(LATER) + 1;
const keys = newKeys();
const RUN = { progress: () => undefined, signal: new AbortController().signal };
const MEMBER: Member = { component: "bcm", state: "preparing", supportsTrial: true, restarts: 0 };
const FILES = { "bcm.bin": { content: "x", custom: { components: ["bcm"] } } };

const tuf = (expires: RepositoryState["expires"]) => ({
  "x-tuf": repositoryOf({
    keys,
    files: FILES,
    expires: { timestamp: YEARS, snapshot: YEARS, targets: YEARS, ...expires },
  }),
});
const manifest = (expires?: string) => ({
  "x-manifest": { id: "fw", ...(expires && { expires }), targets: { bcm: { sha256: "0".repeat(64), length: 1 } } },
});

/** A node whose wall clock is `now.ms`; what it executed is counted. */
async function startNode(rootExpires: string) {
  const now = { ms: NOW };
  const nowMs = () => now.ms;
  const rules = { allowExpired: false };
  const journal = new Journal({ persistence: createMemoryPersistence(), nowMs, maxRecords: 100 });
  await journal.open();
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 1 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 1 << 20, maxFiles: 10 }));
  let state: ReturnType<ConstructorParameters<typeof TufVerifier>[0]["store"]["read"]>;
  const store = {
    read: () => state,
    async write(written: NonNullable<typeof state>) {
      state = written;
    },
  };
  let executed = 0;
  const provider = {
    kind: "test",
    describe: async () => ({ supportsRollback: true, supportsTrial: true }),
    prepare: async () => undefined,
    async execute() {
      executed++;
    },
  } as unknown as UpdateProvider;
  const calls = createCalls({
    journal,
    bulk,
    staging: new Staging({ bulk, repository: undefined, timeoutMs: 1_000 }),
    clock: systemClock,
    nowMs,
    gate: { bootTimeoutMs: 1, intervalMs: 1, soakMs: 0, minPolls: 1, maxFaults: 0, maxSeverity: 0 },
    trust: {
      mode: "none",
      keys: [],
      tuf: new TufVerifier({ root: rootOf(keys, 1, keys.root, rootExpires), store, nowMs }),
      nowMs,
      signedTime: { read: () => 0, write: async () => undefined },
    },
    allowDowngrade: false,
    get allowExpired() {
      return rules.allowExpired;
    },
    providerOf: () => provider,
    silent: () => [],
    holds: async () => true,
    searched: async () => undefined,
    verdictMs: 0,
    resetReason: () => undefined,
    log: () => undefined,
  });
  return { now, rules, calls, executed: () => executed };
}

const recordOf = (more: object, attempt = 1) =>
  ({
    id: "fw",
    attempt,
    members: [MEMBER],
    package: { id: "fw", updated_components: ["bcm"], ...more },
  }) as unknown as CampaignRecord;

const ROWS: readonly [what: string, about: object, rootExpires: string, says: RegExp | undefined][] = [
  ["a manifest that expired", manifest(LATER), YEARS, /manifest expired at 2030-07-01/],
  ["a manifest in time", manifest(YEARS), YEARS, undefined],
  ["a manifest without an end", manifest(), YEARS, undefined],
  ["a timestamp that expired", tuf({ timestamp: LATER }), YEARS, /the timestamp expired/],
  ["a snapshot that expired", tuf({ snapshot: LATER }), YEARS, /the snapshot expired/],
  ["targets that expired", tuf({ targets: LATER }), YEARS, /the targets expired/],
  ["a root that expired", tuf({}), LATER, /the root expired/],
  ["metadata in time", tuf({}), YEARS, undefined],
];
for (const [what, about, rootExpires, says] of ROWS) {
  test(`at execute: ${what}`, async () => {
    const { now, rules, calls, executed } = await startNode(rootExpires);
    const record = recordOf(about);
    await calls.prepare(record, MEMBER, RUN);
    now.ms = AFTER;
    if (says === undefined) await calls.execute(record, MEMBER, RUN);
    else {
      await assert.rejects(calls.execute(record, MEMBER, RUN), { kind: "invalidData", message: says });
      assert.equal(executed(), 0);
      rules.allowExpired = true;
      await calls.execute(record, MEMBER, RUN);
    }
    assert.equal(executed(), 1);
  });
}

test("what began in time goes on; a new attempt does not", async () => {
  const { now, calls, executed } = await startNode(YEARS);
  const record = recordOf(manifest(LATER));
  await calls.prepare(record, MEMBER, RUN);
  await calls.prepare({ ...record, attempt: 2 }, MEMBER, RUN);
  await calls.execute(record, MEMBER, RUN);
  now.ms = AFTER;
  await calls.execute(record, MEMBER, RUN);
  assert.equal(executed(), 2);
  await assert.rejects(calls.execute({ ...record, attempt: 2 }, MEMBER, RUN), /expired/);
});

test("a clock that was set back does not bring expired metadata to life", async () => {
  const { now, calls } = await startNode(YEARS);
  const old = recordOf(tuf({ targets: LATER }));
  await calls.prepare(old, MEMBER, RUN);
  now.ms = AFTER;
  await calls.prepare(recordOf(tuf({}), 2), MEMBER, RUN);
  now.ms = NOW;
  await assert.rejects(calls.execute(old, MEMBER, RUN), /the targets expired/);
});
