/** ECUs and gateways that fail: silent, late, wrong, gone in the middle, back again (recommended cases of the transport facts). */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { type Answer, type Harness, startHarness } from "../e2e/harness.ts";

const P6_MAX_MS = 300;
const P6_STAR_MS = 400;
const REPEATS = 2;
const ENGINE = "/components/engine";
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
const forced = (ms: number) => ({
  precedence: "Config",
  value: { secs: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1e6 },
});

suite("failing ECUs and gateways", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: {
        com_params: {
          uds: {
            timeout_default: forced(P6_MAX_MS),
            rc_78_timeout: forced(P6_STAR_MS),
            rc_78_completion_timeout: forced(1_000),
            rc_21_repeat_request_time: forced(20),
            rc_94_repeat_request_time: forced(20),
            repeat_req_count_app: { precedence: "Config", value: REPEATS },
          },
          doip: { connection_retry_delay: forced(50), diagnostic_ack_timeout: forced(200), retry_period: forced(20) },
        },
        limits: { ecu_queue_length: 4, ecu_queue_wait_ms: 600 },
        http: { request_timeout_ms: 5_000 },
        shards: { workers: 2 },
      },
    });
    await car.online(...ALL);
    car.traffic.clear();
  });
  after(() => car?.close());
  afterEach(async () => {
    car.vehicle.reset();
    await Promise.all(ALL.map((ecu) => car.http.post(`/components/${ecu}`)));
    await car.online(...ALL);
    car.traffic.clear();
  });

  const ok = (answer: Answer, status = 200) => {
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  };
  const read = (ecu = ENGINE) => car.http.get(`${ecu}/data/serviceinterval`);
  const engine = () => car.vehicle.ecu("ENGINE");
  const sends = (uds = "22D001", ecu = "ENGINE") => car.traffic.of(ecu).filter((received) => received.uds === uds);

  test("a silent ECU is asked 1 + N times, one window apart, and is gone afterwards", async () => {
    engine().intercept("silence", "22D001", "");
    const answer = await read();
    assert.deepEqual(ok(answer, 504), { message: "Timeout", error_code: "not-responding" });
    const times = sends().map(({ atMs }) => atMs);
    assert.equal(times.length, 1 + REPEATS);
    for (const [i, atMs] of times.slice(1).entries()) {
      const gapMs = atMs - times[i]!;
      assert.ok(gapMs >= P6_MAX_MS - 5 && gapMs < P6_MAX_MS * 5, `${gapMs} ms`);
    }
    assert.equal(car.state("ENGINE"), "Disconnected");
    assert.equal(car.state("BRAKES"), "Online", "the gateway lives");

    // The next request looks first whether the ECU is back.
    engine().removeInterceptor("silence");
    car.traffic.clear();
    ok(await read());
    assert.deepEqual(car.traffic.to("ENGINE"), ["22F100", "22D001"]);
    assert.equal(car.state("ENGINE"), "Online");
  });

  test("an ECU that stays silent costs one detection, not a second timeout", async () => {
    engine().intercept("silence", "[]", "");
    ok(await read(), 504);
    car.traffic.clear();
    assert.equal(ok(await read(), 504).message, "Ecu ENGINE offline");
    assert.deepEqual(car.traffic.to("ENGINE"), ["22F100", "22F100", "22F100"]);
  });

  const frames = [
    ["wrongDid", 504],
    ["wrongSid", 504],
    ["lost", 504],
  ] as const;
  for (const [kind, status] of frames) {
    test(`an answer that is ${kind}: ${status}; with the right one behind it: 200`, async () => {
      engine().misbehaviour = { only: "22D001", frame: { kind } };
      ok(await read(), status);
      if (kind === "lost") return;
      engine().misbehaviour = { only: "22D001", frame: { kind, correctAfterMs: 30 } };
      assert.equal(ok(await read()).data.Interval, 15_000);
    });
  }

  test("an answer that is cut off: 400, the ECU stays online", async () => {
    engine().misbehaviour = { only: "22D001", frame: { kind: "truncated" } };
    assert.match(ok(await read(), 400).message, /Payload too short, expected at least \d+ bytes, got \d+ bytes/);
    assert.equal(car.state("ENGINE"), "Online");
  });

  test("a doubled and a late answer do not become the next request's", async () => {
    engine().misbehaviour = { only: "22D001", frame: { kind: "doubled" } };
    ok(await read());
    assert.equal(ok(await car.http.get(`${ENGINE}/data/vin`)).data.VIN.length, 17);
    engine().misbehaviour = { only: "22D001", delay: P6_MAX_MS * (REPEATS + 1) + 60 };
    ok(await read(), 504);
    engine().misbehaviour = undefined;
    ok(await car.http.post(ENGINE), 201);
    assert.equal(ok(await car.http.get(`${ENGINE}/data/vin`)).data.VIN.length, 17);
  });

  test("0x78 holds the request open, beyond its completion time the refusal is the answer", async () => {
    engine().misbehaviour = { only: "22D001", pending: { count: 3, intervalMs: 200 } };
    ok(await read());
    assert.equal(sends().length, 1);
    engine().misbehaviour = { only: "22D001", pending: { count: 9, intervalMs: 200 } };
    assert.deepEqual(ok(await read(), 502).parameters, { NRC: 0x78, SID: 0x22 });
    assert.equal(sends().length, 2);
    engine().misbehaviour = { only: "22D001", pending: { count: 2, intervalMs: 10, sid: 0x31 } };
    ok(await read());
  });

  for (const [name, code] of [
    ["busy", 0x21],
    ["not available for now", 0x94],
  ] as const) {
    test(`an ECU that is ${name} is asked again without spending its repeats`, async () => {
      engine().misbehaviour = { only: "22D001", nrc: { code, times: 5 } };
      ok(await read());
      assert.equal(car.state("ENGINE"), "Online");
    });
  }

  test("a NACK of the gateway is told, and goes away with the cause", async () => {
    engine().misbehaviour = { only: "22D001", nack: { code: 0x06 } };
    assert.equal(ok(await read(), 400).message, "Received Nack, code=0x06");
    assert.equal(car.state("ENGINE"), "Online");
    engine().misbehaviour = undefined;
    ok(await read());
  });

  for (const ack of ["echo", "twice", "afterResponse"] as const) {
    test(`an acknowledgement ${ack} changes nothing`, async () => {
      engine().misbehaviour = { ack };
      ok(await read());
      ok(await car.http.get(`${ENGINE}/data/vin`));
      assert.equal(car.state("ENGINE"), "Online");
    });
  }

  for (const [name, misbehaviour] of [
    ["that never comes", { ack: "none" }],
    ["with a wrong echo", { ack: "wrongEcho" }],
    ["that comes late", { ackDelayMs: 120, delay: 150 }],
  ] as const) {
    test(`an acknowledgement ${name}: the answer stands for it, nothing is sent again`, async () => {
      engine().misbehaviour = { only: "22D001", ...misbehaviour };
      ok(await read());
      assert.equal(sends().length, 1);
    });
  }

  test("no acknowledgement and no answer: repeated, then 504", async () => {
    engine().misbehaviour = { only: "22D001", ack: "none" };
    engine().intercept("silence", "22D001", "");
    ok(await read(), 504);
    assert.equal(sends().length, 2, "two silences and nothing else: the connection is taken for half-open");
  });

  test("requests to one ECU wait for each other, those to two do not", async () => {
    engine().misbehaviour = { delay: 100 };
    const startedMs = performance.now();
    const order: string[] = [];
    const done = (name: string) => (answer: Answer) => {
      ok(answer);
      order.push(name);
    };
    await Promise.all([
      read().then(done("engine 1")),
      read().then(done("engine 2")),
      read("/components/brakes").then(done("brakes")),
    ]);
    assert.equal(order[0], "brakes", "two ECUs behind one gateway share its socket, not their turns");
    assert.ok(performance.now() - startedMs >= 200);
    const [first, second] = sends();
    assert.ok(second!.atMs - first!.atMs >= 95, "one request at a time");
  });

  test("a full queue refuses at once; who waits too long gets 504, and the ECU is not blamed", async () => {
    engine().misbehaviour = { only: "22D001", pending: { count: 5, intervalMs: 190 } };
    const reads = Array.from({ length: 8 }, () => read());
    const answers = await Promise.all(reads);
    const statuses = answers.map(({ status }) => status).toSorted();
    assert.deepEqual(statuses, [200, 503, 503, 503, 504, 504, 504, 504], answers.map(({ text }) => text).join("\n"));
    const refused = answers.find(({ status }) => status === 503)!;
    assert.equal(refused.json.vendor_code, "overloaded");
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.equal(car.state("ENGINE"), "Online");
  });

  test("a client that goes away takes its waiting request along", async () => {
    engine().misbehaviour = { only: "22D001", delay: 120 };
    const first = read();
    await car.traffic.next(({ uds }) => uds === "22D001");
    const gone = new AbortController();
    const second = car.http.get(`${ENGINE}/data/vin`, { signal: gone.signal });
    const third = car.http.get(`${ENGINE}/data/identification`);
    // Known to wait as soon as the next client's request is answered.
    ok(await car.http.get(`${ENGINE}/data`));
    gone.abort();
    await assert.rejects(second, { name: "AbortError" });
    ok(await first);
    ok(await third);
    assert.equal(sends("22F190").length, 0);
  });

  test("the connection breaks under a request: 504 at once, then the ECUs come back", async () => {
    engine().misbehaviour = { only: "22D001", pending: { count: 50, intervalMs: 50 } };
    const running = read();
    await car.traffic.next(({ uds }) => uds === "22D001");
    const gone = car.becomes("ENGINE", "Disconnected");
    for (const connection of car.vehicle.endpoint("ENGINE").connections) connection.destroy();
    assert.equal(ok(await running, 504).message, "Ecu ENGINE offline");
    await gone;
    engine().misbehaviour = undefined;
    assert.equal(car.state("CAMERA"), "Online");
    await car.online("ENGINE", "BRAKES");
    ok(await read());
  });

  test("a gateway that is away for a while is found again without anybody asking", async () => {
    engine().state.hardResetForSeconds = 1;
    const gone = car.becomes("BRAKES", "Disconnected");
    const reset = await car.http.put(`${ENGINE}/genericservice`, Uint8Array.of(0x11, 0x01), {
      headers: { accept: "application/octet-stream" },
    });
    assert.equal(reset.status, 200);
    await gone;
    await car.online("ENGINE", "BRAKES");
  });

  test("bytes one by one, several messages at a time: all the same", async () => {
    for (const write of ["bytes", "coalesce"] as const) {
      car.vehicle.endpoint("ENGINE").misbehaviour = { write, coalesceMs: 20 };
      const answers = await Promise.all([read(), read("/components/brakes"), car.http.get(`${ENGINE}/data/vin`)]);
      for (const answer of answers) ok(answer);
    }
  });

  test("a frozen gateway is found out and left; when it thaws it is used again", async () => {
    const endpoint = car.vehicle.endpoint("CAMERA");
    endpoint.misbehaviour = { halfOpen: true };
    const gone = car.becomes("CAMERA", "Disconnected");
    const answers = await Promise.all([1, 2, 3].map(() => read("/components/camera")));
    for (const { status } of answers) assert.equal(status, 504);
    await gone;
    endpoint.misbehaviour = {};
    await car.online("CAMERA");
    ok(await read("/components/camera"));
  });

  test("a gateway that closes an idle connection is connected again by itself", async () => {
    const endpoint = car.vehicle.endpoint("CAMERA");
    const gone = car.becomes("CAMERA", "Disconnected");
    endpoint.misbehaviour = { generalInactivityMs: 150 };
    await gone;
    endpoint.misbehaviour = {};
    await car.online("CAMERA");
    ok(await read("/components/camera"));
  });

  test("an alive check of the gateway is answered in time", async () => {
    const endpoint = car.vehicle.endpoint("CAMERA");
    const alive = await Promise.all([...endpoint.connections].map((connection) => connection.isAlive()));
    assert.deepEqual(alive, [true]);
  });

  test("a gateway that refuses activation for a while is asked again", async () => {
    const endpoint = car.vehicle.endpoint("CAMERA");
    endpoint.misbehaviour = { activation: { code: 0x00, times: 2 } };
    const gone = car.becomes("CAMERA", "Disconnected");
    for (const connection of endpoint.connections) connection.destroy();
    await gone;
    await car.online("CAMERA");
    assert.equal(car.state("ENGINE"), "Online");
  });
});
