import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { CURRENT, FLATBUFFER_PART, writeDatabase } from "#store/databases.ts";
import { openDatabasesReader } from "#store/databases-reader.ts";
import { environmentFile, openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { MIB, someBytes } from "../unit/store/support.ts";

const LIMITS = { databases: 128 * MIB, state: 16 * MIB, bulk: 16 * MIB };
const COMMITS = 10_000;
/** On a disk that takes long for each: so many in any case, and then no more than fit into this time. */
const LEAST_COMMITS = 1_000;
const TIME_LIMIT_MS = 60_000;
/** Until then the file finds its size. */
const SETTLED = 300;

test("thousands of small commits beside a pinned mapping: the file of state stays flat", async (t) => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  cleanup(t, () => store.close());
  const storage = createLmdbStorage(store.databases, { maxMappedBytes: 32 * MIB });
  const flatbuffer = someBytes(17 * MIB);
  await storage.transaction(async (tx) => {
    tx.create(CURRENT);
    await writeDatabase(tx, CURRENT, "a.mdd", someBytes(10), { ecuName: "a", flatbuffer, chunks: [], metadata: {} });
  });
  const reader = await openDatabasesReader(folder);
  cleanup(t, () => reader.close());
  const pinned = reader.map("a");
  const persistence = createLmdbPersistence(store.state);
  const sizes: number[] = [];
  const start = performance.now();
  const isEnough = (commits: number) => commits >= LEAST_COMMITS && performance.now() - start > TIME_LIMIT_MS;
  let commits = 0;
  for (; commits < COMMITS && !isEnough(commits); commits++) {
    await persistence.set("ecu-topology", `gateway-${commits % 20}`, `seen ${commits}`);
    if (commits >= SETTLED && commits % 100 === 0) sizes.push(statSync(environmentFile(folder, "state")).size);
  }
  const eachMs = (performance.now() - start) / commits;
  t.diagnostic(`${commits} commits, ${eachMs.toFixed(3)} ms each, durable; file ${sizes.at(-1)} bytes`);
  assert.equal(new Set(sizes).size, 1, `grew: ${sizes}`);
  assert.ok((sizes.at(-1) ?? 0) < MIB);
  assert.ok(flatbuffer.equals(pinned.bytes));
  assert.equal(storage.metadata(CURRENT, "a.mdd").parts[FLATBUFFER_PART]?.size, flatbuffer.length);
  pinned.release();
});
