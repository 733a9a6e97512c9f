import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { checkEnvironment } from "#store/check.ts";
import { getRecord } from "#store/lmdb-env.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { COLLECTIONS } from "#store/names.ts";
import { CHUNK_BYTES, type Storage } from "#store/storage.ts";
import { contentOf, faultOf, MIB, PROVIDERS, someBytes, storageEnvironment } from "./support.ts";

const CURRENT = COLLECTIONS.DiagnosticDatabase;

for (const [provider, create] of Object.entries(PROVIDERS)) {
  describe(`storage access, ${provider}`, () => {
    test("a value comes back with its metadata, in any case of the names", async (t) => {
      const storage = await create(t);
      await storage.getOrCreate("Diagnostic_Database");
      const bytes = someBytes(3000);
      await storage.transaction((tx) =>
        tx.write(CURRENT, "ECU.mdd", bytes, { revision: "1.2", properties: { uploader: "tester" } }),
      );
      assert.deepEqual(storage.list("DIAGNOSTIC_DATABASE"), ["ecu.mdd"]);
      assert.equal(storage.len(CURRENT), 1);
      const info = storage.metadata(CURRENT, "ecu.MDD");
      assert.equal(info.size, 3000);
      assert.equal(info.sha256, createHash("sha256").update(bytes).digest("hex"));
      assert.equal(info.revision, "1.2");
      assert.deepEqual(info.properties, { uploader: "tester" });
      assert.deepEqual(contentOf(storage.read(CURRENT, "Ecu.Mdd")), bytes);
    });

    for (const size of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 17]) {
      test(`a stream of ${size} bytes in odd pieces`, async (t) => {
        const storage = await create(t);
        const bytes = someBytes(size);
        async function* source() {
          for (let at = 0; at < size; at += 300_007) yield bytes.subarray(at, at + 300_007);
        }
        await storage.transaction(async (tx) => {
          tx.create("images");
          await tx.write("images", "a", source());
          await tx.write("images", "m", source(), { kind: "mapped" });
        });
        assert.ok(contentOf(storage.read("images", "a")).equals(bytes));
        assert.ok(contentOf(storage.read("images", "m")).equals(bytes));
      });
    }

    test("random access at the edges of chunks", async (t) => {
      const storage = await create(t);
      const bytes = someBytes(3 * CHUNK_BYTES + 5);
      await storage.transaction(async (tx) => {
        tx.create("images");
        await tx.write("images", "a", bytes);
      });
      const value = storage.read("images", "a");
      for (const [offset, length] of [
        [0, 10],
        [CHUNK_BYTES - 3, 6],
        [CHUNK_BYTES - 1, CHUNK_BYTES + 2],
        [bytes.length - 4, 10],
        [bytes.length, 10],
        [bytes.length + 5, 10],
      ] as const) {
        const target = Buffer.alloc(length);
        const count = value.readAt(offset, target);
        const expected = bytes.subarray(offset, offset + length);
        assert.equal(count, expected.length);
        assert.ok(target.subarray(0, count).equals(expected));
      }
      value.close();
      assert.throws(() => value.readAt(0, Buffer.alloc(1)), faultOf("transactionConflict"));
    });

    test("a mapped value is one view; a streamed one has none", async (t) => {
      const storage = await create(t);
      const bytes = someBytes(20 * MIB);
      await storage.transaction(async (tx) => {
        tx.create("c");
        await tx.write("c", "mapped", bytes, { kind: "mapped" });
        await tx.write("c", "streamed", bytes);
      });
      const mapped = storage.read("c", "mapped");
      assert.ok(bytes.equals(mapped.view()));
      mapped.verify();
      mapped.close();
      assert.throws(() => mapped.view(), faultOf("transactionConflict"));
      const streamed = storage.read("c", "streamed");
      assert.throws(() => streamed.view(), faultOf("transactionConflict"));
      streamed.close();
    });

    test("an open value keeps what it was while it is replaced and deleted", async (t) => {
      const storage = await create(t);
      const old = { streamed: someBytes(2 * MIB, 1), mapped: someBytes(17 * MIB, 2) };
      await storage.transaction(async (tx) => {
        tx.create("c");
        await tx.write("c", "s", old.streamed);
        await tx.write("c", "m", old.mapped, { kind: "mapped" });
      });
      const streamed = storage.read("c", "s");
      const mapped = storage.read("c", "m");
      for (let round = 3; round < 6; round++)
        await storage.transaction(async (tx) => {
          await tx.write("c", "s", someBytes(2 * MIB, round));
          await tx.write("c", "m", someBytes(17 * MIB, round), { kind: "mapped" });
        });
      await storage.transaction((tx) => tx.deleteCollection("c"));
      assert.ok(old.mapped.equals(mapped.view()));
      mapped.verify();
      mapped.close();
      assert.ok(contentOf(streamed).equals(old.streamed));
    });

    test("a transaction that throws leaves nothing", async (t) => {
      const storage = await create(t);
      await storage.transaction(async (tx) => {
        tx.create("c");
        await tx.write("c", "kept", someBytes(10));
      });
      const stop = new Error("stop");
      await assert.rejects(
        storage.transaction(async (tx) => {
          await tx.write("c", "new", someBytes(100));
          tx.delete("c", "kept");
          tx.create("d");
          tx.setRecord("r", { a: 1 });
          throw stop;
        }),
        stop,
      );
      assert.deepEqual(storage.collections(), ["c"]);
      assert.deepEqual(storage.list("c"), ["kept"]);
      assert.equal(storage.record("r"), undefined);
      assert.deepEqual(contentOf(storage.read("c", "kept")), someBytes(10));
    });

    test("a source that fails fails the write with its own error and leaves the old value", async (t) => {
      const storage = await create(t);
      await storage.transaction(async (tx) => {
        tx.create("c");
        await tx.write("c", "a", someBytes(10));
      });
      const broken = new Error("client went away");
      async function* source() {
        yield someBytes(3 * MIB);
        throw broken;
      }
      await assert.rejects(
        storage.transaction((tx) => tx.write("c", "a", source())),
        broken,
      );
      assert.deepEqual(contentOf(storage.read("c", "a")), someBytes(10));
    });

    test("one transaction at a time; reads go on and show what is committed", async (t) => {
      const storage = await create(t);
      await storage.getOrCreate("c");
      let go: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      const first = storage.transaction(async (tx) => {
        await tx.write("c", "a", someBytes(5));
        assert.deepEqual(tx.list("c"), ["a"]);
        await gate;
      });
      await assert.rejects(
        storage.transaction(() => undefined),
        faultOf("storageBusy"),
      );
      await assert.rejects(storage.getOrCreate("other"), faultOf("storageBusy"));
      await storage.getOrCreate("c");
      assert.deepEqual(storage.list("c"), []);
      go();
      await first;
      assert.deepEqual(storage.list("c"), ["a"]);
      await storage.transaction(() => undefined);
    });

    test("steps after the end of a transaction are refused", async (t) => {
      const storage = await create(t);
      await storage.getOrCreate("c");
      const tx = await storage.transaction((open) => open);
      assert.throws(() => tx.list("c"), faultOf("transactionConflict"));
      await assert.rejects(tx.write("c", "a", someBytes(1)), faultOf("transactionConflict"));
    });

    test("copy replaces the target and shares values; what is deleted on one side stays on the other", async (t) => {
      const storage = await create(t, { maxBytes: 9 * MIB });
      const bytes = someBytes(6 * MIB);
      await storage.transaction(async (tx) => {
        tx.create("a");
        await tx.write("a", "x", bytes);
        await tx.attach("a", "x", "part", someBytes(1000));
        tx.create("b");
        await tx.write("b", "old", someBytes(10));
      });
      await storage.transaction((tx) => tx.copyCollection("a", "b"));
      assert.deepEqual(storage.list("b"), ["x"]);
      await storage.transaction((tx) => tx.deleteCollection("a"));
      assert.ok(contentOf(storage.read("b", "X")).equals(bytes));
      assert.deepEqual(contentOf(storage.read("b", "x", "PART")), someBytes(1000));
      assert.throws(() => storage.read("b", "x", "other"), faultOf("keyNotFound"));
    });

    test("the closed set of errors", async (t) => {
      const storage = await create(t, { maxMappedBytes: 1000 });
      await storage.getOrCreate("c");
      for (const call of [
        () => storage.list("none"),
        () => storage.len("none"),
        () => storage.metadata("none", "a"),
        () => storage.read("none", "a"),
      ])
        assert.throws(call, faultOf("collectionNotFound"));
      assert.throws(() => storage.read("c", "none"), faultOf("keyNotFound"));
      assert.throws(() => storage.metadata("c", "none"), faultOf("keyNotFound"));
      await storage.transaction(async (tx) => {
        assert.throws(() => tx.create("C"), faultOf("transactionConflict"));
        assert.throws(() => tx.deleteCollection("none"), faultOf("collectionNotFound"));
        assert.throws(() => tx.copyCollection("none", "c"), faultOf("collectionNotFound"));
        assert.throws(() => tx.delete("c", "none"), faultOf("keyNotFound"));
        await assert.rejects(tx.write("none", "a", someBytes(1)), faultOf("collectionNotFound"));
        await assert.rejects(tx.attach("c", "none", "p", someBytes(1)), faultOf("keyNotFound"));
        await assert.rejects(tx.write("c", "a", someBytes(1001), { kind: "mapped" }), faultOf("noSpaceLeft"));
      });
      for (const name of ["", ".", "..", "a/b", "a\\b", "a\0", "a\n", "x".repeat(256), "\ud800"])
        assert.throws(() => storage.list(name), faultOf("invalidParameter"));
    });

    test("a full store refuses, keeps what it has, and takes again after a delete", async (t) => {
      const storage = await create(t, { maxBytes: 8 * MIB });
      await storage.transaction(async (tx) => {
        tx.create("c");
        await tx.write("c", "a", someBytes(5 * MIB, 1));
      });
      await assert.rejects(
        storage.transaction((tx) => tx.write("c", "b", someBytes(5 * MIB, 2))),
        faultOf("noSpaceLeft"),
      );
      assert.deepEqual(storage.list("c"), ["a"]);
      assert.ok(contentOf(storage.read("c", "a")).equals(someBytes(5 * MIB, 1)));
      await storage.transaction((tx) => tx.delete("c", "a"));
      await storage.transaction((tx) => tx.write("c", "b", someBytes(5 * MIB, 2)));
      assert.ok(contentOf(storage.read("c", "b")).equals(someBytes(5 * MIB, 2)));
    });

    test("records change with the transaction", async (t) => {
      const storage = await create(t);
      await storage.transaction((tx) => {
        for (const name of ["audit/2", "audit/1", "audits", "auditor"]) tx.setRecord(name, { name });
      });
      assert.deepEqual(storage.recordNames("audit/"), ["audit/1", "audit/2"]);
      assert.deepEqual(storage.record("audit/1"), { name: "audit/1" });
      await storage.transaction((tx) => tx.setRecord("audit/1", undefined));
      assert.deepEqual(storage.recordNames("audit/"), ["audit/2"]);
    });
  });
}

test("two storages on one environment do not overwrite each other", async (t) => {
  const env = await storageEnvironment(t);
  const [one, other] = [1, 2].map(() => createLmdbStorage(env, { maxMappedBytes: MIB })) as [Storage, Storage];
  await one.getOrCreate("c");
  await assert.rejects(
    one.transaction(async (tx) => {
      await tx.write("c", "a", someBytes(10));
      await other.transaction((inner) => inner.write("c", "a", someBytes(20)));
    }),
    faultOf("transactionConflict"),
  );
  assert.equal(one.metadata("c", "a").size, 20);
  assert.deepEqual(checkEnvironment("bulk", env).problems, []);
});

test("a commit that fails halfway undoes what it had put", async (t) => {
  const env = await storageEnvironment(t);
  await assert.rejects(
    env.commit("Trying", (write) => {
      write.record(env.table("records"), "half", 1);
      throw new Fault("corruption", "stop");
    }),
    faultOf("corruption"),
  );
  assert.equal(getRecord(env.table("records"), "half"), undefined);
});
