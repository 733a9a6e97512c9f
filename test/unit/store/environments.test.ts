import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CURRENT } from "#store/databases.ts";
import { ENVIRONMENT_NAMES, environmentFolder, incomingFolder, openStore } from "#store/environments.ts";
import { type Format, migrate } from "#store/format.ts";
import type { BlobRecord } from "#store/lmdb-blobs.ts";
import { getRecord } from "#store/lmdb-env.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { backupStore, checkStore, compactStore, restoreStore } from "#store/maintenance.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { contentOf, faultOf, MIB, someBytes, storageEnvironment } from "./support.ts";

const LIMITS = { databases: 256 * MIB, state: 64 * MIB, bulk: 256 * MIB };
const MAPPED = { maxMappedBytes: 64 * MIB };

test("a store is opened once at a time; its lock goes with it", async () => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  await assert.rejects(openStore({ folder, maxBytes: LIMITS }), (error: Error) => {
    assert.match(error.message, new RegExp(`in use by process ${process.pid}$`));
    return faultOf("conflict")(error);
  });
  await store.close();
  assert.deepEqual(readdirSync(folder), ["store"]);
  await (await openStore({ folder, maxBytes: LIMITS })).close();
});

test("locks of processes that are gone, or of another life of a pid, are recovered", async () => {
  const folder = scratchFolder("store");
  const stale = [
    "owner-999999999-abc1.lock",
    `owner-${process.pid}-abc1.lock`,
    "owner-1-abc1.lock",
    "owner-999999999-0.lock",
  ];
  for (const name of stale) writeFileSync(join(folder, name), "");
  const store = await openStore({ folder, maxBytes: LIMITS });
  assert.equal(readdirSync(folder).filter((name) => stale.includes(name)).length, 0);
  await store.close();
});

test("formats: a new one is current, an old one goes step by step, a future or unknown one is refused whole", async (t) => {
  const env = await storageEnvironment(t);
  const records = env.table("records");
  await migrate(env, { version: 2, migrations: {} });
  assert.equal(getRecord(env.table("meta"), "format"), 2);
  await migrate(env, {
    version: 4,
    migrations: {
      2: (_env, write) => write.record(records, "steps", "2"),
      3: (_env, write) => write.record(records, "steps", `${getRecord(records, "steps")}3`),
    },
  });
  assert.equal(getRecord(records, "steps"), "23");
  assert.equal(getRecord(env.table("meta"), "format"), 4);
  await assert.rejects(migrate(env, { version: 3, migrations: {} }), /format 4; this version knows up to 3/);
  await assert.rejects(
    migrate(env, { version: 6, migrations: { 4: (_env, write) => write.record(records, "steps", "lost") } }),
    /no way from format 5 on/,
  );
  assert.equal(getRecord(records, "steps"), "23");
  assert.equal(getRecord(env.table("meta"), "format"), 4);
});

test("a store of an old format is migrated on opening, each environment once, also when that was interrupted", async () => {
  const folder = scratchFolder("store");
  const opened = async (format?: Format) => {
    const store = await openStore({ folder, maxBytes: LIMITS, ...(format === undefined ? {} : { format }) });
    const found = ENVIRONMENT_NAMES.map((name) => getRecord(store[name].table("meta"), "migrated") ?? 0);
    await store.close();
    return found;
  };
  const to2 = (broken?: string): Format => ({
    version: 2,
    migrations: {
      1: (env, write) => {
        if (broken !== undefined && env.file.endsWith(broken)) throw new Error("interrupted");
        const meta = env.table("meta");
        write.record(meta, "migrated", (getRecord<number>(meta, "migrated") ?? 0) + 1);
      },
    },
  });
  assert.deepEqual(await opened(), [0, 0, 0]);
  await assert.rejects(opened(to2("state.mdb")), /interrupted/);
  assert.deepEqual(await opened(to2()), [1, 1, 1]);
  assert.deepEqual(await opened(to2()), [1, 1, 1]);
  await assert.rejects(opened(), /databases\.mdb has format 2; this version knows up to 1/);
  await assert.rejects(opened({ version: 4, migrations: {} }), /databases\.mdb: no way from format 2 on/);
  assert.deepEqual(await opened(to2()), [1, 1, 1]);
});

test("backup of a store at work, damage found, restore whole, compaction", async () => {
  const root = scratchFolder("store");
  const folder = join(root, "data");
  let store = await openStore({ folder, maxBytes: LIMITS });
  const storage = createLmdbStorage(store.databases, MAPPED);
  const image = someBytes(18 * MIB, 1);
  await storage.transaction(async (tx) => {
    tx.create(CURRENT);
    await tx.write(CURRENT, "a", image);
    await tx.attach(CURRENT, "a", "m", image, "mapped");
  });
  await createLmdbPersistence(store.state).set("b", "k", "backed up");
  const backup = join(root, "backup");
  const manifest = await backupStore(store, backup, 7);
  assert.equal(manifest.createdAt, 7);
  await assert.rejects(backupStore(store, backup), faultOf("conflict"));
  await createLmdbPersistence(store.state).set("b", "k", "later");
  await storage.transaction((tx) => tx.deleteCollection(CURRENT));
  await assert.rejects(restoreStore(backup, folder, LIMITS), faultOf("conflict"), "in use");
  await store.close();

  const sizes = await compactStore(folder, LIMITS);
  assert.ok(sizes.before > 36 * MIB && sizes.after < MIB, JSON.stringify(sizes));

  await restoreStore(backup, folder, LIMITS);
  store = await openStore({ folder, maxBytes: LIMITS });
  assert.equal(createLmdbPersistence(store.state).get("b", "k"), "backed up");
  const restored = createLmdbStorage(store.databases, MAPPED);
  assert.ok(contentOf(restored.read(CURRENT, "a")).equals(image));
  const report = checkStore(store);
  assert.deepEqual(report.problems, []);
  assert.equal(report.values, 2);
  assert.equal(report.bytes, 2 * image.length);
  await store.close();

  writeFileSync(join(backup, "state.mdb"), "damaged");
  await assert.rejects(restoreStore(backup, folder, LIMITS), faultOf("corruption"));
  store = await openStore({ folder, maxBytes: LIMITS });
  assert.equal(createLmdbPersistence(store.state).get("b", "k"), "backed up");
  await store.close();
});

test("an interrupted exchange of the folder ends with one of the two, whole", async () => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  await createLmdbPersistence(store.state).set("b", "k", "1");
  await store.close();
  const value = async () => {
    const opened = await openStore({ folder, maxBytes: LIMITS });
    const text = createLmdbPersistence(opened.state).get("b", "k");
    await opened.close();
    return text;
  };
  mkdirSync(incomingFolder(folder));
  writeFileSync(join(incomingFolder(folder), "state.mdb"), "half");
  assert.equal(await value(), "1", "interrupted while copying");
  renameSync(environmentFolder(folder), join(folder, "store.outgoing"));
  assert.equal(await value(), "1", "old one moved away, new one lost");
  renameSync(environmentFolder(folder), incomingFolder(folder));
  mkdirSync(join(folder, "store.outgoing"));
  assert.equal(await value(), "1", "new one not yet in place");
  assert.deepEqual(readdirSync(folder), ["store"]);
});

test("orphans and wrong counts are found, named and put right", async (t) => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  const storage = createLmdbStorage(store.bulk, MAPPED);
  await storage.transaction(async (tx) => {
    tx.create("c");
    await tx.write("c", "a", someBytes(2 * MIB));
    await tx.write("c", "b", someBytes(100, 2));
  });
  await store.bulk.put("chunks", ["lost", 0], someBytes(10));
  const [id] = [...store.bulk.table("blobs").getKeys()].map(String);
  assert.ok(id);
  const blobs = store.bulk.table("blobs");
  await store.bulk.commit("Miscounting", (write) =>
    write.record(blobs, id, { ...getRecord<BlobRecord>(blobs, id), references: 5 }),
  );
  const problems = checkStore(store).problems.map(({ where, problem }) => `${where} ${problem}`);
  assert.equal(problems.length, 2, problems.join("; "));
  assert.match(
    problems.join("; "),
    /bulk: value .* is referred to 1 times, recorded are 5; bulk: content lost is an orphan/,
  );
  await store.close();
  assert.equal((await compactStore(folder, LIMITS)).orphans, 1);
  const again = await openStore({ folder, maxBytes: LIMITS });
  cleanup(t, () => again.close());
  assert.deepEqual(checkStore(again).problems, []);
  assert.deepEqual(contentOf(createLmdbStorage(again.bulk, MAPPED).read("c", "b")), someBytes(100, 2));
});
