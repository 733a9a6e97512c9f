import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, METRICS } from "#telemetry/metrics.ts";
import { requestObserver } from "../../../src/observe.ts";

async function lines(metrics: ReturnType<typeof createMetrics>, name: string): Promise<string[]> {
  return (await metrics.text()).split("\n").filter((line) => line.startsWith(name));
}

test("counters, gauges and histograms appear with their labels", async () => {
  const metrics = createMetrics(10);
  metrics.series("sovd_shard_restarts_total", { shard: "a" }).inc();
  metrics.series("sovd_shard_restarts_total", { shard: "a" }).inc(2);
  metrics.series("sovd_gateway_connected", { gateway: "0x1000" }).set(1);
  metrics.series("sovd_http_in_flight", {}).inc(3);
  metrics.series("sovd_http_in_flight", {}).inc(-1);
  metrics.series("sovd_http_request_seconds", { method: "get", route: "a" }).observe(0.002);
  assert.deepEqual(await lines(metrics, "sovd_shard_restarts_total"), ['sovd_shard_restarts_total{shard="a"} 3']);
  assert.deepEqual(await lines(metrics, "sovd_gateway_connected"), ['sovd_gateway_connected{gateway="0x1000"} 1']);
  assert.deepEqual(await lines(metrics, "sovd_http_in_flight"), ["sovd_http_in_flight 2"]);
  const histogram = await lines(metrics, "sovd_http_request_seconds");
  assert(
    histogram.includes('sovd_http_request_seconds_bucket{le="0.001",method="get",route="a"} 0'),
    histogram.join("\n"),
  );
  assert(
    histogram.includes('sovd_http_request_seconds_bucket{le="0.0025",method="get",route="a"} 1'),
    histogram.join("\n"),
  );
});

test("a counter follows what its source has counted, also when the source begins anew", async () => {
  const metrics = createMetrics(10);
  const series = metrics.series("sovd_shard_refused_total", { shard: "0" });
  for (const total of [0, 2, 5, 1, 1]) series.set(total);
  assert.deepEqual(await lines(metrics, "sovd_shard_refused_total"), ['sovd_shard_refused_total{shard="0"} 6']);
});

test("what is only a number of the moment is looked up at each scrape", async () => {
  const metrics = createMetrics(10);
  let connections = 0;
  metrics.onScrape(async () => metrics.series("sovd_http_connections", {}).set(++connections));
  await metrics.text();
  assert.deepEqual(await lines(metrics, "sovd_http_connections "), ["sovd_http_connections 2"]);
});

test("labels are bounded: further ones share one series", async () => {
  const metrics = createMetrics(2);
  for (const ecu of ["a", "b", "c", "d"]) metrics.series("sovd_ecu_online", { ecu }).inc();
  assert.deepEqual(await lines(metrics, "sovd_ecu_online"), [
    'sovd_ecu_online{ecu="a"} 1',
    'sovd_ecu_online{ecu="b"} 1',
    'sovd_ecu_online{ecu="other"} 2',
  ]);
});

test("a series is made once and may be held", () => {
  const metrics = createMetrics(2);
  assert.equal(metrics.series("sovd_locks", { kind: "ecu" }), metrics.series("sovd_locks", { kind: "ecu" }));
});

test("two registries do not share values", async () => {
  const [one, other] = [createMetrics(2), createMetrics(2)];
  one.series("sovd_locks", { kind: "ecu" }).set(5);
  assert.deepEqual(await lines(other, "sovd_locks"), []);
});

test("the table: names tell what they hold, help is a sentence", async () => {
  const text = await createMetrics(1).text();
  for (const [name, spec] of Object.entries(METRICS)) {
    assert.match(name, /^sovd_[a-z_]+$/);
    assert.equal(name.endsWith("_total"), spec.type === "counter", name);
    assert.equal(name.endsWith("_seconds"), spec.type === "histogram", name);
    assert.match(spec.help, /\.$/);
    assert(text.includes(`# TYPE ${name} ${spec.type}`), name);
  }
  assert.match(text, /process_resident_memory_bytes/);
});

test("a method that a client invents is no label of its own", async () => {
  const metrics = createMetrics(10);
  const observe = requestObserver(metrics);
  const answered = { path: "/x", durationMs: 1, subject: "" };
  observe({ ...answered, method: "get", route: "/components", status: 200 });
  for (const method of ["foo", "bar", "head"]) observe({ ...answered, method, route: undefined, status: 404 });
  assert.deepEqual(await lines(metrics, "sovd_http_requests_total"), [
    'sovd_http_requests_total{method="get",route="/components",status="200"} 1',
    'sovd_http_requests_total{method="unknown",route="unknown",status="404"} 3',
  ]);
});
