/** Worker threads that die: calls in flight are told what became of them, everything else goes on, and comes back. */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { type Answer, forced, type Harness, startHarness } from "../e2e/harness.ts";

const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];

suite("worker threads that die", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: {
        shards: { workers: 2, restart_delay_ms: 20, max_restarts_per_minute: 100 },
        com_params: { uds: { tester_present_time: forced(100), timeout_default: forced(1_000) } },
      },
    });
    await car.online(...ALL);
  });
  after(() => car?.close());
  afterEach(async () => {
    car.vehicle.reset();
    await car.online(...ALL);
    car.traffic.clear();
  });

  const ok = (answer: Answer, status = 200) => {
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  };
  const shardOf = (ecu: string) => car.server.fleet.shardOf(ecu)!;
  const read = (ecu: string, service = "serviceinterval") => car.http.get(`/components/${ecu}/data/${service}`);
  /** Two ECUs that different threads speak with. */
  const apart = () => {
    const other = ALL.find((ecu) => shardOf(ecu) !== shardOf("CENTRAL"))!;
    return ["CENTRAL", other] as const;
  };

  test("the caller of a request on the wire is told so, the one behind it in the queue is not: both may try again", async () => {
    const [ecu] = apart();
    car.vehicle.ecu(ecu).misbehaviour = { only: "22D001", pending: { count: 1_000, intervalMs: 50 } };
    const onTheWire = read(ecu);
    await car.traffic.next(({ uds }) => uds === "22D001");
    const waiting = read(ecu, "vin");
    await car.called(ecu, 2);
    await shardOf(ecu).kill();
    for (const [answer, sent] of [
      [await onTheWire, true],
      [await waiting, false],
    ] as const) {
      const { error_code, vendor_code, parameters, message } = ok(answer, 503);
      assert.deepEqual([error_code, vendor_code], ["vendor-specific", "worker-lost"]);
      assert.deepEqual(parameters, { sent });
      assert.match(message, sent ? /had been sent/ : /had not been sent/);
      assert.ok(Number(answer.headers.get("retry-after")) >= 1);
    }
  });

  test("the other thread notices nothing, the ECUs of the dead one come back by themselves", async () => {
    const [ecu, other] = apart();
    const states: string[] = [];
    const stop = car.server.fleet.onEcu((view) => states.push(`${view.name} ${view.state}`));
    const thread = shardOf(ecu).threadId;
    const offline = car.becomes(ecu, "Offline");
    await shardOf(ecu).kill();
    await offline;
    ok(await read(other));
    await car.online(...ALL);
    stop();
    assert.deepEqual(
      states.filter((line) => line.startsWith(`${other} `)),
      [],
    );
    assert.notEqual(shardOf(ecu).threadId, thread);
    ok(await read(ecu));
  });

  test("locks and overrides of communication parameters are in force in the new thread", async () => {
    const [ecu] = apart();
    const path = `/components/${ecu}/operations/comparam/executions`;
    const parameters = { CP_P6Max: "20000000", CP_RepeatReqCountApp: "0" };
    const { id } = ok(await car.http.post(path, { parameters }), 202);
    await car.locked(ecu, async () => {
      await shardOf(ecu).kill();
      const resumed = car.traffic.next((received) => received.ecu === ecu && received.uds === "3E80", 2);
      await car.online(...ALL);
      await resumed;
      car.vehicle.ecu(ecu).misbehaviour = { only: "22D001", delay: 1_500 };
      car.traffic.clear();
      ok(await read(ecu));
      // without the override it would be sent again after a second
      assert.equal(car.traffic.of(ecu).filter(({ uds }) => uds === "22D001").length, 1);
      car.vehicle.ecu(ecu).misbehaviour = undefined;
    });
    ok(await car.http.delete(`${path}/${id}`), 204);
    const silent = car.traffic.next(() => true);
    ok(await read(ecu));
    await silent;
  });

  test("a thread that dies again is started again", async () => {
    const [ecu, other] = apart();
    for (let death = 0; death < 3; death++) {
      const died = car.becomes(ecu, "Offline");
      await shardOf(ecu).kill();
      await died;
      ok(await read(other));
      await car.online(...ALL);
    }
    ok(await read(ecu));
  });

  test("deaths are counted", async () => {
    const metrics = await car.http.get("//metrics");
    assert.equal(metrics.status, 200);
    const counts = [...metrics.text.matchAll(/^sovd_shard_restarts_total\{[^}]*\} (\d+)$/gm)].map((match) =>
      Number(match[1]),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      6,
    );
  });
});
