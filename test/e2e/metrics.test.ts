/** Every metric that is declared is fed by a running server, and stays within its bounds. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { LOG_SINKS } from "#telemetry/logger.ts";
import { METRICS } from "#telemetry/metrics.ts";
import { STAGES } from "#telemetry/stages.ts";
import { type Harness, startHarness } from "./harness.ts";

suite("/metrics of a running server", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: {
        // no test asks as often, and the last one far more often, on a slow machine too
        limits: { ecu_queue_length: 1, client_requests_per_second: 50 },
        shards: { workers: 1 },
        process: { stage_timing: true },
      },
    });
    await car.online("ENGINE");
  });
  after(() => car?.close());

  const scrape = async () => (await car.http.get("//metrics")).text;
  /** Value of a series; undefined when it is not there. */
  const value = (text: string, series: string): number | undefined => {
    const line = text.split("\n").find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length));
  };
  const vin = () => car.http.get("/components/engine/data/vin");

  test("each declared metric has a series", async () => {
    assert.equal((await vin()).status, 200);
    const text = await scrape();
    const missing = Object.keys(METRICS).filter((name) => !new RegExp(`^${name}(_count)?[ {]`, "m").test(text));
    assert.deepEqual(missing, []);
  });

  test("refusals, locks, plans and tokens are counted where they happen", async () => {
    // the first one lasts until all have come
    car.vehicle.ecu("ENGINE")!.misbehaviour = { only: "22F190", pending: { count: 1, intervalMs: 1_500, times: 1 } };
    const answers = await Promise.all([vin(), vin(), vin(), vin()]);
    car.vehicle.ecu("ENGINE")!.misbehaviour = {};
    const refused = answers.filter(({ status }) => status === 503).length;
    await car.locked("engine", async () => {
      const text = await scrape();
      assert(refused > 0);
      assert.equal(value(text, 'sovd_ecu_refused_total{ecu="engine"}'), refused);
      assert.equal(value(text, 'sovd_locks{kind="ecu"}'), 1);
      assert.equal(value(text, "sovd_tokens"), 1);
      assert(value(text, 'sovd_plans{shard="0"}')! > 0);
      assert(value(text, 'sovd_plan_bytes{shard="0"}')! > 0);
      assert.equal(value(text, 'sovd_limit{key="limits.ecu_queue_length"}'), 1);
      for (const sink of LOG_SINKS) assert.equal(value(text, `sovd_log_dropped_total{sink="${sink}"}`), 0);
    });
    assert.equal(value(await scrape(), 'sovd_locks{kind="ecu"}'), 0);
  });

  test("in steady state no service is compiled again", async () => {
    await vin();
    const compiled = value(await scrape(), 'sovd_plans_compiled_total{shard="0"}');
    for (let i = 0; i < 20; i++) assert.equal((await vin()).status, 200);
    assert.equal(value(await scrape(), 'sovd_plans_compiled_total{shard="0"}'), compiled);
  });

  test("stages of a read are timed, each within the whole", async () => {
    assert.equal((await vin()).status, 200);
    const text = await scrape();
    const whole = value(text, 'sovd_stage_microseconds{stage="request",figure="p99"}')!;
    for (const stage of STAGES) {
      assert(value(text, `sovd_stage_total{stage="${stage}"}`)! > 0, stage);
      const us = value(text, `sovd_stage_microseconds{stage="${stage}",figure="p50"}`)!;
      assert(us > 0 && us <= whole, `${stage}: ${us} of ${whole} µs`);
    }
  });

  test("a client above its rate gets 429 with Retry-After, and is counted", async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, () => car.http.get("/components")));
    const refused = answers.filter(({ status }) => status === 429);
    assert(refused.length > 0);
    assert.equal(refused[0]!.json.vendor_code, "too-many-requests");
    assert.equal(refused[0]!.headers.get("retry-after"), "1");
  });
});
