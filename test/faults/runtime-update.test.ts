/** Faults under a database update: the jobs thread dies, a worker dies, the store is full, a set that does not load at a restart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BACKUP, CURRENT, NEXT, readSet } from "#store/databases.ts";
import { openStore } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { beginExecution, beginPending, readExecution, switchSet } from "#store/update-set.ts";
import { createLogger } from "#telemetry/logger.ts";
import { withStorage } from "#update/open-storage.ts";
import { takeSnapshot } from "#update/snapshot.ts";
import { startServer } from "../../src/main.ts";
import { startHarness } from "../e2e/harness.ts";
import {
  completed,
  mdd,
  NEXT as PENDING,
  RUN,
  snapshot,
  updaterOf,
  upload,
  vehicleLocked,
} from "../e2e/runtime-update-support.ts";
import { cleanup } from "../fixtures/cleanup.ts";

const MIB = 1 << 20;

test("a store that is full refuses an upload and changes nothing", async (t) => {
  const h = await startHarness({
    config: {
      store: { max_bytes: { databases: 16 * MIB, bulk: 64 * MIB, state: 16 * MIB }, max_mapped_bytes: 8 * MIB },
    },
  });
  cleanup(t, () => h.close());
  const content = new Uint8Array(20 * MIB).map((_, i) => (i * 2_654_435_761) >>> 13);
  const large = await mdd("BODY", "2", { chunks: [{ type: 3, name: "large.bin", content }] });
  await vehicleLocked(h, async () => {
    const before = await snapshot(h);
    const answer = await upload(h, { "engine.mdd": await mdd("ENGINE", "2"), "body.mdd": large });
    assert.equal(answer.status, 500, answer.text);
    assert.match(answer.json.message, /is full/);
    assert.deepEqual(await snapshot(h), before);
    assert.equal((await h.http.post(RUN, { mode: "apply" })).status, 404);
    assert.equal((await upload(h, { "engine.mdd": await mdd("ENGINE", "2") })).status, 201);
    await completed(h, "apply");
  });
});

test("a worker that dies during an apply comes back with the new set", async (t) => {
  const h = await startHarness();
  cleanup(t, () => h.close());
  await h.online("ENGINE");
  await vehicleLocked(h, async () => {
    assert.equal((await upload(h, { "engine.mdd": await mdd("ENGINE", "2") })).status, 201);
    const begun = await h.http.post(RUN, { mode: "apply" });
    await h.server.fleet.shards[0]!.kill();
    await updaterOf(h).idle();
    const { json } = await h.http.get(`${RUN}/${begun.json.id}`);
    const active = (await h.http.get("/components/engine/data/vin")).status;
    assert.ok(["completed", "failed"].includes(json.status), JSON.stringify(json));
    const { current, backup } = await snapshot(h);
    // either the new set with its backup, or everything as it was
    assert.equal(Object.keys(backup!).length, json.status === "completed" ? 6 : 0, JSON.stringify(json));
    assert.equal(Object.keys(current!).length, 6);
    assert.ok(active > 0);
    await h.online("ENGINE");
    assert.equal((await h.http.get("/components/engine/data/vin")).status, 200);
  });
});

/** Stops a server in the middle of an apply, as a power cut between the store's change and its end would. */
async function interrupted(t: Parameters<NonNullable<Parameters<typeof test>[0]>>[0], damage: boolean) {
  const h = await startHarness();
  cleanup(t, () => h.close());
  await vehicleLocked(h, async () => {
    assert.equal((await upload(h, { "body.mdd": await mdd("BODY", "2.0.0") })).status, 201);
  });
  await h.server.close();
  const store = await openStore({ folder: h.config.store.path, maxBytes: h.config.store.max_bytes });
  const storage = createLmdbStorage(store.databases, { maxMappedBytes: h.config.store.max_mapped_bytes });
  const sets = () => [CURRENT, NEXT, BACKUP].map((set) => (storage.has(set) ? storage.list(set) : undefined));
  if (damage) {
    await storage.transaction(async (tx) => {
      beginPending(tx);
      await tx.attach(NEXT, "body.mdd", "flatbuffer", Buffer.from("no flatbuffer at all"), "mapped");
    });
  }
  const before = sets();
  const step = { id: "e-1", time: 1 };
  await beginExecution(storage, "apply", step, takeSnapshot);
  await switchSet(storage, "apply", step);
  await store.close();
  const server = await startServer(h.config, createLogger(h.config.logging));
  cleanup(t, () => server.close());
  await server.ready;
  const base = `http://127.0.0.1:${server.port}/vehicle/v15`;
  const execution = (await (await fetch(`${base}${RUN}/e-1`)).json()) as {
    status: string;
    parameters: { reason?: string };
  };
  const revision = server.fleet.ecu("body")?.revision;
  await server.close();
  const after = await openStore({ folder: h.config.store.path, maxBytes: h.config.store.max_bytes });
  const found = createLmdbStorage(after.databases, { maxMappedBytes: h.config.store.max_mapped_bytes });
  const result = {
    before,
    after: [CURRENT, NEXT, BACKUP].map((set) => (found.has(set) ? found.list(set) : undefined)),
    collections: found.collections(),
    origin: readSet(found)?.origin,
    status: readExecution(found)?.status,
    execution,
    revision,
  };
  await after.close();
  return result;
}

test("power lost after the change: the new set is loaded and the execution completed", async (t) => {
  const { execution, revision, collections, status } = await interrupted(t, false);
  assert.equal(execution.status, "completed");
  assert.equal(status, "completed");
  assert.equal(revision, "2.0.0");
  assert.deepEqual(
    collections.filter((name) => name.startsWith("before_")),
    [],
  );
});

test("power lost after the change to a set that does not load: it is taken back whole, and the execution says so", async (t) => {
  const { execution, revision, before, after, collections } = await interrupted(t, true);
  assert.equal(execution.status, "failed");
  assert.match(execution.parameters.reason ?? "", /body\.mdd does not load: .*before the update are active again$/);
  assert.equal(revision, "1.0.0");
  assert.deepEqual(after, before);
  assert.deepEqual(
    collections.filter((name) => name.startsWith("before_")),
    [],
  );
});

test("what is damaged in the store is found before the switch: the execution fails, nothing changes", async (t) => {
  const h = await startHarness();
  cleanup(t, () => h.close());
  await vehicleLocked(h, async () => {
    assert.equal((await upload(h, { "body.mdd": await mdd("BODY", "2.0.0") })).status, 201);
    const before = await snapshot(h);
    await withStorage(h.config, (storage) =>
      storage.transaction((tx) =>
        tx.attach(NEXT, "body.mdd", "flatbuffer", Buffer.from("something that is no database"), "mapped"),
      ),
    );
    const begun = await h.http.post(RUN, { mode: "apply" });
    await updaterOf(h).idle();
    const { json } = await h.http.get(`${RUN}/${begun.json.id}`);
    assert.equal(json.status, "failed");
    assert.match(json.parameters.reason, /body\.mdd does not load: .*nothing was changed/);
    assert.deepEqual(await snapshot(h), before);
    assert.equal((await h.http.delete(PENDING)).status, 200);
  });
});

for (const [what, files] of [
  ["changed", async () => ({ "engine.mdd": await mdd("ENGINE", "2.0.0") })],
  ["removed", undefined],
] as const) {
  test(`requests that outlast the drain end on the database they began with: the ECU is ${what}`, async (t) => {
    const h = await startHarness({ config: { update: { drain_timeout_ms: 20 } } });
    cleanup(t, () => h.close());
    await h.online("ENGINE");
    const engine = h.vehicle.ecu("ENGINE");
    await vehicleLocked(h, async () => {
      if (files === undefined) assert.equal((await h.http.delete(`${PENDING}/engine.mdd`)).status, 204);
      else assert.equal((await upload(h, await files())).status, 201);
      engine.misbehaviour = { only: "22F190", pending: { count: 6, intervalMs: 250 } };
      const running = h.http.get("/components/engine/data/vin");
      await h.traffic.next(({ ecu }) => ecu === "ENGINE");
      const waiting = h.http.get("/components/engine/data/vin");
      await h.called("ENGINE", 2);
      await completed(h, "apply");
      const [first, second] = await Promise.all([running, waiting]);
      assert.deepEqual([first.status, second.status], [200, 200], `${first.text} ${second.text}`);
      assert.deepEqual(first.json, second.json);
      engine.misbehaviour = undefined;
      assert.equal((await h.http.get("/components/engine")).status, files === undefined ? 404 : 200);
    });
  });
}
