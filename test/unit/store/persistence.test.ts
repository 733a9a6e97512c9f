import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Clock } from "#core/time.ts";
import type { PersistenceOptions } from "#store/create-persistence.ts";
import { ENVIRONMENTS } from "#store/environments.ts";
import { openEnvironment } from "#store/lmdb-env.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { keysOf, type Persistence } from "#store/persistence.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { faultOf, MIB } from "./support.ts";

async function stateEnvironment(t: TestContext, file: string, maxBytes = 16 * MIB) {
  const env = await openEnvironment({ file, tables: ENVIRONMENTS.state, maxBytes });
  cleanup(t, () => env.close());
  return env;
}

const PROVIDERS: Record<string, (t: TestContext, options?: PersistenceOptions) => Promise<Persistence>> = {
  lmdb: async (t, options) =>
    createLmdbPersistence(await stateEnvironment(t, join(scratchFolder("store"), "state.mdb")), options),
  memory: async (_t, options) => createMemoryPersistence(options),
};

/** A clock that runs its timers when told to. */
function manualClock(): Clock & { fire(): void } {
  const handlers = new Map<object, () => void>();
  return {
    now: () => 0,
    setTimeout(handler) {
      const handle = {};
      handlers.set(handle, handler);
      return handle as ReturnType<Clock["setTimeout"]>;
    },
    clearTimeout: (handle) => void handlers.delete(handle),
    fire() {
      for (const [handle, handler] of [...handlers]) {
        handlers.delete(handle);
        handler();
      }
    },
  };
}

for (const [provider, create] of Object.entries(PROVIDERS)) {
  describe(`persistence, ${provider}`, () => {
    for (const durability of ["durable", "buffered"] as const)
      test(`set, get, contains, list, delete in a ${durability} bucket`, async (t) => {
        const persistence = await create(t, { durability: { ECUs: durability }, clock: manualClock() });
        await persistence.set("ecus", "b", "2");
        await persistence.set("Ecus", "a", '1 ä \u0000 "quoted"');
        assert.equal(persistence.get("ecus", "a"), '1 ä \u0000 "quoted"');
        assert.deepEqual(persistence.listKeys("ECUS"), ["a", "b"]);
        await persistence.set("ecus", "b", "3");
        assert.equal(persistence.get("ecus", "b"), "3");
        await persistence.delete("ecus", "b");
        assert.equal(persistence.contains("ecus", "b"), false);
        assert.equal(persistence.contains("ecus", "a"), true);
        assert.equal(persistence.contains("none", "a"), false);
        await persistence.flush();
        assert.deepEqual(persistence.listKeys("ecus"), ["a"]);
        assert.throws(() => persistence.get("ecus", "b"), faultOf("keyNotFound"));
        await assert.rejects(persistence.delete("ecus", "b"), faultOf("keyNotFound"));
        await persistence.set("ecus", "b", "");
        assert.equal(persistence.get("ecus", "b"), "");
      });

    test("what is none", async (t) => {
      const persistence = await create(t);
      assert.throws(() => persistence.get("none", "a"), faultOf("bucketNotFound"));
      assert.throws(() => persistence.listKeys("none"), faultOf("bucketNotFound"));
      assert.deepEqual(keysOf(persistence, "none"), []);
      assert.throws(() => keysOf(persistence, "a/b"), faultOf("invalidParameter"));
      await assert.rejects(persistence.delete("none", "a"), faultOf("bucketNotFound"));
      await assert.rejects(persistence.set("", "a", "1"), faultOf("invalidParameter"));
      await assert.rejects(persistence.set("a/b", "a", "1"), faultOf("invalidParameter"));
      await assert.rejects(persistence.set("a", "", "1"), faultOf("invalidParameter"));
      await assert.rejects(persistence.set("a", "x".repeat(1025), "1"), faultOf("invalidParameter"));
    });
  });
}

test("durable values are there after reopening; a flush makes buffered ones so", async (t) => {
  const file = join(scratchFolder("store"), "state.mdb");
  const first = await openEnvironment({ file, tables: ENVIRONMENTS.state, maxBytes: 16 * MIB });
  const clock = manualClock();
  const persistence = createLmdbPersistence(first, { durability: { soft: "buffered" }, clock });
  await persistence.set("hard", "a", "1");
  await persistence.set("soft", "a", "1");
  const other = createLmdbPersistence(await stateEnvironment(t, file));
  assert.equal(other.get("hard", "a"), "1");
  assert.equal(other.contains("soft", "a"), false);
  await persistence.flush();
  assert.equal(other.get("soft", "a"), "1");
  await persistence.set("soft", "a", "2");
  clock.fire();
  await persistence.flush();
  assert.equal(other.get("soft", "a"), "2");
  await first.close();
});

test("a full state environment refuses and goes on serving", async (t) => {
  const env = await stateEnvironment(t, join(scratchFolder("store"), "state.mdb"), MIB);
  const persistence = createLmdbPersistence(env);
  await persistence.set("b", "small", "kept");
  await assert.rejects(persistence.set("b", "large", "x".repeat(2 * MIB)), faultOf("noSpaceLeft"));
  assert.equal(persistence.get("b", "small"), "kept");
  await persistence.set("b", "small", "changed");
  assert.equal(persistence.get("b", "small"), "changed");
});
