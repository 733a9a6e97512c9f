import assert from "node:assert/strict";
import test from "node:test";
import { logsRequest, logsUrl, openOtlp } from "#telemetry/otlp.ts";

for (const [endpoint, url] of [
  ["http://localhost:4317", "http://localhost:4318/v1/logs"],
  ["http://collector:4318/", "http://collector:4318/v1/logs"],
  ["https://otel.example/base", "https://otel.example/base/v1/logs"],
] as const) {
  test(`${endpoint}: logs go to ${url}`, () => assert.equal(logsUrl(endpoint), url));
}

const LINE = '{"level":40,"time":1700000000123,"scope":"doip","gateway":"0x1000","attempt":2,"msg":"lost"}';

test("a line as a log record of OTLP", () => {
  const request = logsRequest([LINE]) as { resourceLogs: { scopeLogs: { logRecords: unknown[] }[] }[] };
  assert.deepEqual(request.resourceLogs[0]!.scopeLogs[0]!.logRecords, [
    {
      timeUnixNano: "1700000000123000000",
      severityNumber: 13,
      severityText: "WARN",
      body: { stringValue: "lost" },
      attributes: [
        { key: "scope", value: { stringValue: "doip" } },
        { key: "gateway", value: { stringValue: "0x1000" } },
        { key: "attempt", value: { stringValue: "2" } },
      ],
    },
  ]);
});

function collector(status: number) {
  const bodies: string[] = [];
  const post = (async (_url: string, init: { body: string }) => {
    bodies.push(init.body);
    return new Response(null, { status });
  }) as unknown as typeof fetch;
  return { bodies, post };
}

test("lines that come together go out together", async () => {
  const { bodies, post } = collector(200);
  const otlp = openOtlp({ endpoint: "http://localhost:4317", fetch: post });
  otlp.write(LINE);
  otlp.write(LINE);
  await otlp.close();
  assert.equal(bodies.length, 1);
  assert.equal(bodies[0]!.split("lost").length - 1, 2);
  assert.equal(otlp.dropped, 0);
});

test("a collector that refuses or is away costs the lines, not the program", async () => {
  const refusing = openOtlp({ endpoint: "http://localhost:4317", fetch: collector(503).post });
  refusing.write(LINE);
  await refusing.close();
  assert.equal(refusing.dropped, 1);
  const away = openOtlp({
    endpoint: "http://localhost:4317",
    fetch: () => Promise.reject(new Error("refused")),
  });
  for (let i = 0; i < 1_030; i++) away.write(LINE);
  await away.close();
  assert.equal(away.dropped, 1_030);
});
