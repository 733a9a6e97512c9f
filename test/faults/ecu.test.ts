/** ECUs and gateways that fail: silent, late, wrong, gone in the middle, back again (recommended cases of the transport facts). */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { type Answer, forced, type Harness, startHarness } from "../e2e/harness.ts";

/** For an ECU that is to be silent: there is nothing to wait for. */
const SILENCE_MS = 500;
/** For all others: longer than a machine stalls. */
const PATIENCE_MS = 10_000;
/** Longer than a machine takes for what has to come meanwhile. */
const HOLD_MS = 1_500;
const REPEATS = 2;
const ENGINE = "/components/engine";
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
/** Communication parameters as their overrides write them: microseconds. */
const SHORT = { CP_P6Max: String(SILENCE_MS * 1_000) };

suite("failing ECUs and gateways", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      config: {
        com_params: {
          uds: {
            timeout_default: forced(PATIENCE_MS),
            rc_78_timeout: forced(PATIENCE_MS),
            rc_21_repeat_request_time: forced(20),
            rc_94_repeat_request_time: forced(20),
            repeat_req_count_app: { precedence: "Config", value: REPEATS },
          },
          doip: {
            connection_retry_delay: forced(50),
            diagnostic_ack_timeout: forced(PATIENCE_MS),
            retry_period: forced(20),
          },
        },
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
  /** Runs `work` with other communication parameters of the ECU. */
  async function under<T>(parameters: Readonly<Record<string, string>>, work: () => Promise<T>, ecu = ENGINE) {
    const path = `${ecu}/operations/comparam/executions`;
    const { id } = ok(await car.http.post(path, { parameters }), 202);
    try {
      return await work();
    } finally {
      ok(await car.http.delete(`${path}/${id}`), 204);
    }
  }
  const sends = (uds = "22D001", ecu = "ENGINE") => car.traffic.of(ecu).filter((received) => received.uds === uds);

  test("a silent ECU is asked 1 + N times, one window apart, and is gone afterwards", async () => {
    engine().intercept("silence", "22D001", "");
    const startedMs = performance.now();
    const answer = await under(SHORT, () => read());
    const tookMs = performance.now() - startedMs;
    assert.deepEqual(ok(answer, 504), { message: "Timeout", error_code: "not-responding" });
    assert.equal(sends().length, 1 + REPEATS);
    // when the ECU got each of them says nothing: it is in this thread
    assert.ok(tookMs >= (1 + REPEATS) * SILENCE_MS - 5, `${tookMs} ms`);
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
    await under(SHORT, async () => {
      ok(await read(), 504);
      car.traffic.clear();
      assert.equal(ok(await read(), 504).message, "Ecu ENGINE offline");
    });
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
      ok(await under({ ...SHORT, CP_RepeatReqCountApp: "0" }, () => read()), status);
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
    engine().intercept("silence", "22D001", "");
    ok(await under(SHORT, () => read()), 504);
    engine().misbehaviour = { stray: { uds: "62D0010096" } };
    ok(await car.http.post(ENGINE), 201);
    assert.equal(ok(await car.http.get(`${ENGINE}/data/vin`)).data.VIN.length, 17);
  });

  test("0x78 holds the request open, beyond its completion time the refusal is the answer", async () => {
    engine().misbehaviour = { only: "22D001", pending: { count: 3, intervalMs: 200 } };
    ok(await read());
    assert.equal(sends().length, 1);
    engine().misbehaviour = { only: "22D001", pending: { count: 12, intervalMs: 250 } };
    const refused = await under({ CP_RC78CompletionTimeout: "500000" }, () => read());
    assert.deepEqual(ok(refused, 502).parameters, { NRC: 0x78, SID: 0x22 });
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
    ok(await under({ ...SHORT, CP_DoIPDiagnosticAckTimeout: "200000" }, () => read()), 504);
    // the last one may have met a connection that was closed before the gateway read it
    assert.ok(sends().length <= 2, "two silences and nothing else: the connection is taken for half-open");
  });

  test("requests to one ECU wait for each other, those to two do not", async () => {
    engine().misbehaviour = { pending: { count: 1, intervalMs: HOLD_MS, times: 1 } };
    let isFirstOver = false;
    const first = read().finally(() => {
      isFirstOver = true;
    });
    await car.traffic.next(({ uds }) => uds === "22D001");
    const second = read();
    await car.called("ENGINE", 2);
    ok(await read("/components/brakes"));
    assert.equal(isFirstOver, false, "two ECUs behind one gateway share its socket, not their turns");
    assert.equal(sends().length, 1, "one request at a time");
    ok(await first);
    ok(await second);
    assert.equal(sends().length, 2);
  });

  test("a client that goes away takes its waiting request along", async () => {
    engine().misbehaviour = { only: "22D001", pending: { count: 1, intervalMs: HOLD_MS } };
    const first = read();
    await car.traffic.next(({ uds }) => uds === "22D001");
    const gone = new AbortController();
    const second = car.http.get(`${ENGINE}/data/vin`, { signal: gone.signal });
    const third = car.http.get(`${ENGINE}/data/identification`);
    await car.called("ENGINE", 3);
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
    const camera = "/components/camera";
    const reads = () => Promise.all([1, 2, 3].map(() => read(camera)));
    const answers = await under({ ...SHORT, CP_DoIPDiagnosticAckTimeout: "200000" }, reads, camera);
    for (const { status } of answers) assert.equal(status, 504);
    await gone;
    endpoint.misbehaviour = {};
    await car.online("CAMERA");
    ok(await read(camera));
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
    endpoint.misbehaviour = { aliveCheckTimeoutMs: PATIENCE_MS };
    const alive = await Promise.all([...endpoint.connections].map((connection) => connection.isAlive()));
    endpoint.misbehaviour = {};
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
