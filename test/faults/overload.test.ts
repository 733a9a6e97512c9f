/** More than an ECU can answer: a queue that was full is kept short until the ECU has nothing to do. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Harness, startHarness } from "../e2e/harness.ts";

const QUEUE = 4;
const ANSWER_MS = 500;

suite("requests that wait too long", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({ config: { limits: { ecu_queue_length: QUEUE, ecu_queue_wait_ms: 1_500 } } });
    await car.online("ENGINE");
  });
  after(() => car?.close());

  test("a full queue refuses at once; who waits too long gets 504, and the ECU is not blamed", async () => {
    car.vehicle.ecu("ENGINE").misbehaviour = { only: "22F190", pending: { count: 8, intervalMs: 500 } };
    const reads = Array.from({ length: QUEUE + 4 }, () => car.http.get("/components/engine/data/vin"));
    const answers = await Promise.all(reads);
    const statuses = answers.map(({ status }) => status).toSorted();
    assert.deepEqual(statuses, [200, 503, 503, 503, 504, 504, 504, 504], answers.map(({ text }) => text).join("\n"));
    const refused = answers.find(({ status }) => status === 503)!;
    assert.equal(refused.json.vendor_code, "overloaded");
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.equal(car.state("ENGINE"), "Online");
  });
});

suite("more requests than an ECU answers", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: { limits: { ecu_queue_length: QUEUE, ecu_queue_length_overloaded: 1 }, shards: { workers: 1 } },
    });
    await car.online("ENGINE", "BRAKES");
  });
  after(() => car?.close());

  const read = (ecu = "engine") => car.http.get(`/components/${ecu}/data/vin`);
  const engine = () => car.vehicle.ecu("ENGINE")!;

  test("after a refusal only one may wait; when all are answered the whole queue is there again", async () => {
    // long beside what a busy machine takes for the call that has to meet the queue
    engine().misbehaviour = { only: "22F190", pending: { count: 1, intervalMs: ANSWER_MS } };
    const statuses: number[] = [];
    const burst = Array.from({ length: QUEUE + 3 }, () =>
      read().then(({ status }) => {
        statuses.push(status);
      }),
    );
    await Promise.all(burst.slice(0, 1));
    // the first is answered, so there is room in a queue of four, but not in one of one
    assert.equal((await read()).status, 503);
    assert.equal((await read("brakes")).status, 200, "another ECU's queue is not meant");
    const { status } = await car.server.fleet.call("ENGINE", "transferAbort", { id: "of a lock that ended" });
    assert.equal(status, 204, "no transfer outlives its lock because others ask too much");
    await Promise.all(burst);
    assert.deepEqual(statuses.toSorted(), [...Array(QUEUE + 1).fill(200), 503, 503]);
    engine().misbehaviour = {};
    const again = await Promise.all(Array.from({ length: QUEUE + 1 }, () => read()));
    assert.deepEqual(
      again.map(({ status }) => status),
      Array(QUEUE + 1).fill(200),
    );
  });
});
