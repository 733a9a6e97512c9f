import assert from "node:assert/strict";
import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  BACKUP,
  CURRENT,
  compareRevisions,
  databaseProperties,
  FLATBUFFER_PART,
  NEXT,
  type ParsedDatabase,
  readSet,
  writeDatabase,
} from "#store/databases.ts";
import { openDatabasesReader } from "#store/databases-reader.ts";
import { openStore, type Store } from "#store/environments.ts";
import { importDatabases } from "#store/import-databases.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { Storage } from "#store/storage.ts";
import {
  applyUpdate,
  beginExecution,
  beginPending,
  cleanupUpdate,
  endExecution,
  readExecution,
  recoverExecution,
  rollbackUpdate,
} from "#store/update-set.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { contentOf, faultOf, MIB, someBytes } from "./support.ts";

const LIMITS = { databases: 1024 * MIB, state: 64 * MIB, bulk: 256 * MIB };

interface Bench {
  readonly store: Store;
  readonly storage: Storage;
  /** Folder of MDD files. */
  readonly folder: string;
}

async function bench(t: TestContext): Promise<Bench> {
  const root = scratchFolder("store");
  const store = await openStore({ folder: join(root, "data"), maxBytes: LIMITS });
  cleanup(t, () => store.close());
  const folder = join(root, "mdd");
  mkdirSync(folder);
  return { store, storage: createLmdbStorage(store.databases, { maxMappedBytes: 512 * MIB }), folder };
}

/** A toy container: `name;revision;` then the description. A text that begins with `broken` does not parse. */
function parse(container: Uint8Array): ParsedDatabase {
  const text = Buffer.from(container);
  if (text.subarray(0, 6).toString() === "broken") throw new Error("not a container");
  const [ecuName = "", revision = ""] = text.subarray(0, 40).toString("latin1").split(";");
  return {
    ecuName,
    revision,
    flatbuffer: text.subarray(ecuName.length + revision.length + 2),
    chunks: [{ type: "EMBEDDED_FILE", name: "notes.txt", size: 5, data: Buffer.from("notes") }],
    metadata: { supplier: "somebody" },
  };
}

let tick = 1_000_000;
function put(folder: string, file: string, text: string | Buffer): void {
  writeFileSync(join(folder, file), text);
  tick += 10;
  utimesSync(join(folder, file), tick, tick);
}

test("a folder is imported once, then only what changed", async (t) => {
  const { storage, folder } = await bench(t);
  put(folder, "FCM.mdd", "fcm;1.0;first");
  put(folder, "RearLight.MDD", "rear;2;a longer description");
  put(folder, "bad.mdd", "broken");
  put(folder, "readme.txt", "none of them");
  const order: string[] = [];
  const onFile = (file: string) => order.push(file);
  assert.deepEqual(await importDatabases(storage, folder, { parse, onFile }), {
    imported: ["RearLight.MDD", "FCM.mdd"],
    unchanged: [],
    removed: [],
    broken: [{ file: "bad.mdd", problem: "not a container" }],
  });
  assert.deepEqual(order, ["RearLight.MDD", "FCM.mdd", "bad.mdd"]);
  assert.deepEqual(storage.list(CURRENT), ["fcm.mdd", "rearlight.mdd"]);
  const info = storage.metadata(CURRENT, "fcm.mdd");
  assert.equal(info.revision, "1.0");
  assert.deepEqual(databaseProperties(info), {
    ecuName: "fcm",
    chunks: [{ type: "EMBEDDED_FILE", name: "notes.txt", mimeType: null, size: 5, part: "chunk.0" }],
    metadata: { supplier: "somebody" },
  });
  assert.equal(contentOf(storage.read(CURRENT, "fcm.mdd")).toString(), "fcm;1.0;first");
  assert.equal(contentOf(storage.read(CURRENT, "fcm.mdd", FLATBUFFER_PART)).toString(), "first");
  assert.equal(contentOf(storage.read(CURRENT, "fcm.mdd", "chunk.0")).toString(), "notes");

  const parsed: string[] = [];
  const counting = (bytes: Uint8Array, file: string) => {
    parsed.push(file);
    return parse(bytes);
  };
  put(folder, "RearLight.MDD", "rear;2;a longer description");
  put(folder, "FCM.mdd", "fcm;1.1;second");
  put(folder, "new.mdd", "new;1;n");
  const second = await importDatabases(storage, folder, { parse: counting, parallel: 3 });
  assert.deepEqual(parsed.sort(), ["FCM.mdd", "new.mdd"]);
  assert.deepEqual(second.imported.sort(), ["FCM.mdd", "new.mdd"]);
  assert.deepEqual(second.unchanged, ["RearLight.MDD"]);
  assert.deepEqual(second.broken, [{ file: "bad.mdd", problem: "not a container" }]);

  put(folder, "FCM.mdd", "broken now");
  rmSync(join(folder, "new.mdd"));
  const third = await importDatabases(storage, folder, { parse });
  assert.deepEqual(third.removed, ["new.mdd"]);
  assert.deepEqual(third.broken.map(({ file }) => file).sort(), ["FCM.mdd", "bad.mdd"]);
  assert.equal(contentOf(storage.read(CURRENT, "fcm.mdd")).toString(), "fcm;1.1;second");

  for (const file of ["FCM.mdd", "RearLight.MDD", "bad.mdd"]) rmSync(join(folder, file));
  await importDatabases(storage, folder, { parse });
  assert.deepEqual(storage.list(CURRENT), ["fcm.mdd", "rearlight.mdd"], "an empty folder removes nothing");
  await assert.rejects(importDatabases(storage, join(folder, "absent"), { parse }), faultOf("storageIo"));
});

test("an import waits for a transaction of somebody else", async (t) => {
  const { storage, folder } = await bench(t);
  put(folder, "a.mdd", "a;1;aaa");
  await storage.getOrCreate(CURRENT);
  let go: () => void = () => undefined;
  const upload = storage.transaction(
    () =>
      new Promise<void>((resolve) => {
        go = resolve;
      }),
  );
  const importing = importDatabases(storage, folder, {
    parse(bytes) {
      go();
      return parse(bytes);
    },
  });
  await Promise.all([upload, importing]);
  assert.deepEqual(storage.list(CURRENT), ["a.mdd"]);
});

test("an applied set stays what the update made it, down to an empty one", async (t) => {
  const { storage, folder } = await bench(t);
  put(folder, "a.mdd", "a;1;aaa");
  put(folder, "b.mdd", "b;1;bbb");
  await importDatabases(storage, folder, { parse });
  await storage.transaction((tx) => {
    beginPending(tx);
    tx.deleteAll(NEXT);
  });
  await applyUpdate(storage, { id: "1", time: 5, completes: true });
  assert.equal(readSet(storage)?.origin, "apply");
  const again = await importDatabases(storage, folder, { parse });
  assert.deepEqual(again.unchanged.sort(), ["a.mdd", "b.mdd"]);
  assert.deepEqual(storage.list(CURRENT), []);
  put(folder, "b.mdd", "b;2;changed");
  rmSync(join(folder, "a.mdd"));
  assert.deepEqual((await importDatabases(storage, folder, { parse })).imported, ["b.mdd"]);
  assert.deepEqual(storage.list(CURRENT), ["b.mdd"]);
  assert.equal(readSet(storage)?.origin, "apply");
});

test("a set applied before the folder was ever seen is not imported over", async (t) => {
  const { storage, folder } = await bench(t);
  await storage.transaction(beginPending);
  await applyUpdate(storage, { id: "1", time: 5, completes: true });
  put(folder, "a.mdd", "a;1;aaa");
  assert.deepEqual((await importDatabases(storage, folder, { parse })).unchanged, ["a.mdd"]);
  assert.deepEqual(storage.list(CURRENT), []);
});

test("apply, rollback and cleanup move the three sets and keep a record", async (t) => {
  const { storage, folder } = await bench(t);
  put(folder, "a.mdd", "a;1;old");
  put(folder, "b.mdd", "b;1;old");
  await importDatabases(storage, folder, { parse });
  await assert.rejects(applyUpdate(storage, { id: "0", time: 1 }), faultOf("notFound"));
  await assert.rejects(rollbackUpdate(storage, { id: "0", time: 1 }), faultOf("notFound"));
  assert.equal(readExecution(storage), undefined);

  await storage.transaction(async (tx) => {
    beginPending(tx);
    const container = Buffer.from("a;2;new");
    await writeDatabase(tx, NEXT, "A.mdd", container, parse(container));
    tx.delete(NEXT, "b.mdd");
  });
  const generation = readSet(storage)?.generation ?? 0;
  await beginExecution(storage, "apply", { id: "1", time: 10 });
  await assert.rejects(beginExecution(storage, "apply", { id: "2", time: 11 }), faultOf("updateInProgress"));
  await applyUpdate(storage, { id: "1", time: 20, records: { "audit/1": { what: "apply" } } });
  assert.deepEqual(storage.list(CURRENT), ["a.mdd"]);
  assert.deepEqual(storage.list(BACKUP), ["a.mdd", "b.mdd"]);
  assert.equal(storage.has(NEXT), false);
  assert.deepEqual(storage.record("audit/1"), { what: "apply" });
  assert.equal(readSet(storage)?.generation, generation + 1);
  const running = { id: "1", mode: "apply", status: "running", reason: null, startedAt: 10, endedAt: null };
  assert.deepEqual(readExecution(storage), { ...running, switched: true });
  await endExecution(storage, "completed", { time: 30 });

  await storage.transaction(beginPending);
  await rollbackUpdate(storage, { id: "3", time: 40, completes: true });
  assert.deepEqual(storage.list(CURRENT), ["a.mdd", "b.mdd"]);
  assert.equal(contentOf(storage.read(CURRENT, "a.mdd")).toString(), "a;1;old");
  assert.deepEqual(storage.list(BACKUP), []);
  assert.equal(storage.has(NEXT), false);

  await storage.transaction(beginPending);
  await applyUpdate(storage, { id: "4", time: 50, completes: true });
  await cleanupUpdate(storage, { id: "5", time: 60, completes: true });
  assert.deepEqual(storage.list(BACKUP), []);
  assert.deepEqual(storage.list(CURRENT), ["a.mdd", "b.mdd"]);
});

test("an execution that a restart finds running is ended by what the store had done", async (t) => {
  const { storage } = await bench(t);
  await storage.transaction(beginPending);
  await beginExecution(storage, "apply", { id: "1", time: 1 });
  assert.equal((await recoverExecution(storage, 9))?.status, "failed");
  await beginExecution(storage, "apply", { id: "2", time: 1 });
  await applyUpdate(storage, { id: "2", time: 2 });
  assert.equal((await recoverExecution(storage, 9))?.status, "completed");
  assert.equal(await recoverExecution(storage, 9), undefined);
});

test("a reader maps by name and key; old mappings stay until released", async (t) => {
  const { store, storage, folder } = await bench(t);
  const large = (seed: number) => Buffer.concat([Buffer.from(`big;${seed};`), someBytes(20 * MIB, seed)]);
  put(folder, "big.mdd", large(1));
  put(folder, "small.mdd", "ECU_S;1.9;nine");
  put(folder, "small2.mdd", "ecu_s;1.10;ten");
  await importDatabases(storage, folder, { parse });
  const reader = await openDatabasesReader(store.folder);
  cleanup(t, () => reader.close());
  assert.equal(Buffer.from(reader.map("ECU_s").bytes).toString(), "ten");
  assert.equal(Buffer.from(reader.map("small.mdd").bytes).toString(), "nine");
  assert.throws(() => reader.map("none"), faultOf("keyNotFound"));
  const old = reader.map("BIG", { verify: true });
  assert.ok(someBytes(20 * MIB, 1).equals(old.bytes));
  for (let seed = 2; seed < 5; seed++) {
    put(folder, "big.mdd", large(seed));
    await importDatabases(storage, folder, { parse });
  }
  const now = reader.map("big", { verify: true });
  assert.notEqual(now.version, old.version);
  assert.ok(now.generation > old.generation);
  assert.equal(now.generation, reader.generation);
  assert.ok(someBytes(20 * MIB, 4).equals(now.bytes));
  assert.ok(someBytes(20 * MIB, 1).equals(old.bytes));
  old.release();
  old.release();
  assert.ok(someBytes(20 * MIB, 4).equals(now.bytes));
  now.release();
  assert.deepEqual(
    reader.list().map(({ key, ecuName, revision }) => [key, ecuName, revision]),
    [
      ["big.mdd", "big", "4"],
      ["small.mdd", "ECU_S", "1.9"],
      ["small2.mdd", "ecu_s", "1.10"],
    ],
  );
});

test("a reader maps by hash what any set holds, and nothing that is gone", async (t) => {
  const { store, storage, folder } = await bench(t);
  put(folder, "a.mdd", "A;1;before");
  await importDatabases(storage, folder, { parse });
  const reader = await openDatabasesReader(store.folder);
  cleanup(t, () => reader.close());
  const [before] = reader.list();
  await storage.transaction(async (tx) => {
    beginPending(tx);
    await writeDatabase(tx, NEXT, "a.mdd", Buffer.from("A;2;after"), parse(Buffer.from("A;2;after")));
  });
  const text = (version = "") => {
    const { bytes, release } = reader.mapVersion(version);
    const read = Buffer.from(bytes).toString();
    release();
    return read;
  };
  const pending = storage.metadata(NEXT, "a.mdd").parts[FLATBUFFER_PART]?.sha256;
  assert.deepEqual([text(before?.version), text(pending)], ["before", "after"], "pending");
  await applyUpdate(storage, { id: "1", time: 1 });
  assert.deepEqual([text(before?.version), text(pending)], ["before", "after"], "applied");
  await cleanupUpdate(storage, { id: "2", time: 2 });
  assert.throws(() => text(before?.version), faultOf("keyNotFound"));
  assert.equal(text(pending), "after");
});

test("revisions compare as versions", () => {
  const ascending = [undefined, "0.9", "1", "1.0", "1.9", "1.10", "1.10a", "1.10.1", "2.0", "10.0"];
  for (let i = 0; i < ascending.length - 1; i++)
    assert.ok(compareRevisions(ascending[i], ascending[i + 1]) < 0, `${ascending[i]} < ${ascending[i + 1]}`);
  assert.equal(compareRevisions("V1.2", "v1.2"), 0);
});
