/** What locks do on the wire: keep-alives at their period, resets at the end, and going on after the way was lost. */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { groupDatabase } from "./databases.ts";
import { type Answer, forced, type Harness, type Received, startHarness, writeDatabase } from "./harness.ts";

const PERIOD_MS = 200;
const CENTRAL = "/components/central";
const GROUPS = "/functions/functionalgroups";
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
/** Of an ECU that nobody tells another one. */
const DEFAULT_PERIOD_MS = 2_000;
/** Keep-alives of S3 (5 s) many times over. */
const MAX_KEEP_ALIVES = 150;

suite("locks", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      prepare: (folder) => writeDatabase(folder, groupDatabase()),
      config: {
        com_params: {
          uds: { tester_present_time: forced(PERIOD_MS) },
          doip: { connection_retry_delay: forced(50) },
        },
        shards: { workers: 2 },
      },
    });
    await car.online(...ALL);
    car.traffic.clear();
  });
  after(() => car?.close());
  afterEach(() => {
    car.vehicle.reset();
    car.traffic.clear();
  });

  const ok = (answer: Answer, status = 200) => {
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  };
  const lock = async (path: string, seconds = 60) =>
    ok(await car.http.post(`${path}/locks`, { lock_expiration: seconds }), 201).id as string;
  const release = async (path: string, id: string) => ok(await car.http.delete(`${path}/locks/${id}`), 204);
  const keepAlives = (ecu: string, count: number) =>
    car.traffic.next((received) => received.ecu === ecu && received.uds === "3E80", count);
  const kept = (ecu: string) => car.traffic.of(ecu).filter(({ uds }) => uds === "3E80");
  /** From before the first one: a busy machine lets single ones wait, also that one, but never makes them more. */
  const assertPeriod = (received: readonly Received[], startedMs: number) => {
    const meanMs = (received.at(-1)!.atMs - startedMs) / (received.length - 1);
    assert.ok(meanMs > PERIOD_MS * 0.9 && meanMs < DEFAULT_PERIOD_MS * 0.9, `${meanMs} ms`);
  };
  /** What was sent before has come: the answer comes behind it on the same connection. */
  const settled = async (...ecus: string[]) => {
    for (const ecu of ecus) ok(await car.http.get(`/components/${ecu}/data/vin`));
  };

  test("a component's lock: 3E 80 at once, then at its period, none after the end", async () => {
    const coming = keepAlives("CENTRAL", 4);
    const startedMs = performance.now();
    const id = await lock(CENTRAL);
    assertPeriod(await coming, startedMs);
    await release(CENTRAL, id);
    await settled("CENTRAL");
    const before = kept("CENTRAL").length;
    // Another ECU's keep-alives are the clock.
    const other = keepAlives("ENGINE", 3);
    const second = await lock("/components/engine");
    await other;
    await release("/components/engine", second);
    assert.equal(kept("CENTRAL").length, before);
    assert.deepEqual(car.traffic.to("CENTRAL"), ["22F190"], "in the default session nothing is reset");
  });

  test("the end of a lock, given back or run out, puts the session back", async () => {
    for (const end of ["given back", "run out"]) {
      const id = await lock(CENTRAL);
      const reset = car.traffic.next(({ ecu, uds }) => ecu === "CENTRAL" && uds === "1001");
      ok(await car.http.put(`${CENTRAL}/modes/session`, { value: "Extended" }));
      if (end === "given back") await release(CENTRAL, id);
      else ok(await car.http.put(`${CENTRAL}/locks/${id}`, { lock_expiration: 1 }), 204);
      await reset;
      // Its turn comes after the answer to the reset.
      ok(await car.http.get(`${CENTRAL}/data/vin`));
      const answer = await car.http.get(`${CENTRAL}/modes/session`);
      assert.equal(ok(answer).value, "Default", end);
    }
    assert.equal(car.vehicle.ecu("CENTRAL").state.sessionState, "DEFAULT");
  });

  test("only the owner uses, prolongs and ends a lock; all may see it", async () => {
    const id = await lock(CENTRAL);
    const other = { as: "someone else" };
    const session = { value: "Extended" };
    ok(await car.http.put(`${CENTRAL}/modes/session`, session, other), 403);
    ok(await car.http.post(`${CENTRAL}/locks`, { lock_expiration: 5 }, other), 403);
    ok(await car.http.delete(`${CENTRAL}/locks/${id}`, other), 403);
    ok(await car.http.put(`${CENTRAL}/locks/${id}`, { lock_expiration: 5 }, other), 403);
    assert.deepEqual(ok(await car.http.get(`${CENTRAL}/locks`, other)), { items: [{ id, owned: false }] });
    assert.equal(await lock(CENTRAL), id, "the owner's second POST prolongs");
    ok(await car.http.put(`${CENTRAL}/locks/${id}`, { lock_expiration: 5 }), 204);
    ok(await car.http.post(`${CENTRAL}/locks`, { lock_expiration: 0 }), 400);
    assert.deepEqual(car.traffic.to("CENTRAL"), []);
    await release(CENTRAL, id);
    ok(await car.http.delete(`${CENTRAL}/locks/${id}`), 404);
  });

  test("a lost connection: the keep-alive goes on when it is back, the session is not believed in", async () => {
    const id = await lock(CENTRAL);
    ok(await car.http.put(`${CENTRAL}/modes/session`, { value: "Extended" }));
    await keepAlives("CENTRAL", 1);
    const gone = car.becomes("CENTRAL", "Disconnected");
    car.vehicle.disconnect();
    await gone;
    const resumed = keepAlives("CENTRAL", 2);
    await car.online("CENTRAL");
    await resumed;
    assert.equal(ok(await car.http.get(`${CENTRAL}/modes/session`)).value, "Default");
    await release(CENTRAL, id);
    await car.online(...ALL);
  });

  test("a hard reset of some seconds under a lock: the keep-alive goes on", async () => {
    const id = await lock(CENTRAL);
    car.vehicle.ecu("CENTRAL").state.hardResetForSeconds = 3;
    const gone = car.becomes("CENTRAL", "Disconnected");
    ok(await car.http.post(`${CENTRAL}/operations/reset/executions`, { parameters: { value: "HardReset" } }), 204);
    await gone;
    assert.equal(car.state("ENGINE"), "Online", "another gateway is another connection");
    const offline = await car.http.get(`${CENTRAL}/data/vin`);
    assert.equal(offline.status, 504);
    assert.equal(offline.json.message, "Ecu CENTRAL offline");
    const resumed = keepAlives("CENTRAL", 2);
    await car.online("CENTRAL", "BODY", "CLIMATE");
    await resumed;
    await release(CENTRAL, id);
  });

  test("a group's lock: one functional keep-alive for each gateway, the members' own ones end", async () => {
    const everyone = `${GROUPS}/everyone`;
    const own = await lock(CENTRAL);
    await keepAlives("CENTRAL", 1);
    const coming = Promise.all(ALL.map((ecu) => keepAlives(ecu, 5)));
    const startedMs = performance.now();
    const id = await lock(everyone);
    // The first one may be the physical one that was under way.
    for (const received of await coming) assertPeriod(received.slice(1), startedMs);
    ok(await car.http.get(`${CENTRAL}/locks/${own}`), 404);
    ok(await car.http.post(`${CENTRAL}/locks`, { lock_expiration: 5 }), 409);
    await release(everyone, id);
    await settled(...ALL);
    const after = ALL.map((ecu) => kept(ecu).length);
    const clock = keepAlives("ENGINE", 3);
    const second = await lock("/components/engine");
    await clock;
    assert.deepEqual(
      ALL.filter((ecu, i) => ecu !== "ENGINE" && kept(ecu).length !== after[i]),
      [],
    );
    await release("/components/engine", second);
  });

  test("a group without members behind a gateway sends nothing there", async () => {
    const id = await lock(`${GROUPS}/nobody`);
    const clock = keepAlives("ENGINE", 3);
    // A component's lock is refused while any group is locked: the vehicle's ECUs hear nothing at all.
    ok(await car.http.post("/components/engine/locks", { lock_expiration: 5 }), 409);
    await release(`${GROUPS}/nobody`, id);
    const second = await lock("/components/engine");
    await clock;
    await release("/components/engine", second);
    for (const ecu of ALL) if (ecu !== "ENGINE") assert.equal(kept(ecu).length, 0, ecu);
  });

  test("the vehicle's lock: no keep-alive; its end resets every ECU and takes all other locks along", async () => {
    const ecuLock = await lock(CENTRAL);
    const id = await lock("");
    ok(await car.http.put("/components/engine/modes/session", { value: "Extended" }));
    ok(await car.http.put(`${CENTRAL}/modes/session`, { value: "Extended" }));
    ok(await car.http.post("/components/camera/locks", { lock_expiration: 5 }, { as: "someone else" }), 403);
    const resets = car.traffic.next(({ uds }) => uds === "1001", 2);
    await release("", id);
    assert.deepEqual((await resets).map(({ ecu }) => ecu).toSorted(), ["CENTRAL", "ENGINE"]);
    ok(await car.http.get(`${CENTRAL}/locks/${ecuLock}`), 404);
    assert.equal(kept("ENGINE").length, 0);
  });

  test("S3: the locked ECU stays in its session, one without keep-alive falls out of it", async () => {
    const vehicleLock = await lock("");
    const id = await lock(CENTRAL);
    for (const ecu of ["central", "engine"]) {
      ok(await car.http.put(`/components/${ecu}/modes/session`, { value: "Extended" }));
    }
    const engine = car.vehicle.ecu("ENGINE");
    for (let count = 0; count < MAX_KEEP_ALIVES && engine.state.sessionState !== "DEFAULT"; count++)
      await keepAlives("CENTRAL", 1);
    assert.equal(engine.state.sessionState, "DEFAULT");
    assert.equal(car.vehicle.ecu("CENTRAL").state.sessionState, "EXTENDED");
    await release(CENTRAL, id);
    await release("", vehicleLock);
  });
});
