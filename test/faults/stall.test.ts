/** The tester's thread stands still longer than every timeout: what came in time counts, although its timer was due first. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { toHex } from "#core/bytes.ts";
import { networkClock } from "#core/time.ts";
import { UdsClient } from "#uds/client.ts";
import { type ComParams, DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import { functionalRequest } from "#uds/functional.ts";
import { doipTransport } from "#uds/over-doip.ts";
import type { LinkHandler, LinkTarget } from "#uds/transport.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import type { PunctualData } from "./entities/punctual.ts";

/** Of what comes late. All else has more time than a machine stalls. */
const TIMEOUT_MS = 500;
const PATIENCE_MS = 20_000;
const ANSWER_MS = 40;
const STALL_MS = 700;
const REQUEST = Uint8Array.of(0x22, 0xf1, 0x90);

const paramsOf = (late: PunctualData["late"]): ComParams => ({
  ...DEFAULT_COM_PARAMS,
  uds: {
    ...DEFAULT_COM_PARAMS.uds,
    p6MaxMs: late === "answer" ? TIMEOUT_MS : PATIENCE_MS,
    p6StarMs: late === "afterPending" ? TIMEOUT_MS : PATIENCE_MS,
    repeatReqCountApp: 0,
  },
  doip: {
    ...DEFAULT_COM_PARAMS.doip,
    logicalTesterAddress: 0x0e00,
    logicalGatewayAddress: 0x1000,
    logicalEcuAddress: 0x1000,
    logicalFunctionalAddress: 0xffff,
    diagnosticAckTimeoutMs: late === "ack" ? TIMEOUT_MS : PATIENCE_MS,
    routingActivationTimeoutMs: late === "activation" ? TIMEOUT_MS : PATIENCE_MS,
    connectionRetryDelayMs: 60_000,
  },
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function vehicle(t: TestContext, late: PunctualData["late"]) {
  const left = new Int32Array(new SharedArrayBuffer(4));
  const workerData: PunctualData = { left, late, delayMs: ANSWER_MS };
  // a thread of its own does not understand TypeScript by itself
  const entry = new URL("./entities/punctual.ts", import.meta.url).href;
  const load = `import("tsx/esm/api").then(({ register }) => { register(); return import("${entry}"); })`;
  const worker = new Worker(load, { eval: true, workerData });
  cleanup(t, () => worker.terminate());
  const [port] = (await once(worker, "message")) as [number];
  const params = paramsOf(late);
  const heard = { acks: 0, responses: 0 };
  let up = (_: boolean) => {};
  const connected = new Promise<boolean>((resolve) => {
    up = resolve;
  });
  const transport = doipTransport({
    params,
    gatewayAddress: 0x1000,
    ip: "127.0.0.1",
    version: 2,
    port,
    tlsPort: port,
    testerIp: "127.0.0.1",
    clock: networkClock,
    aliveTimeoutMs: TIMEOUT_MS,
    events: { onConnectivity: (state) => up(state), onLog: (level) => level === "warn" && up(false) },
  });
  cleanup(t, () => transport.close());
  const counted = {
    ...transport,
    open: (target: LinkTarget, handler: LinkHandler) =>
      transport.open(target, {
        onSent: () => handler.onSent(),
        onAcknowledged: () => {
          heard.acks++;
          handler.onAcknowledged();
        },
        onResponse: (response) => {
          heard.responses++;
          handler.onResponse(response);
        },
        onFailed: (fault) => handler.onFailed(fault),
        onConnectivity: (state) => handler.onConnectivity(state),
      }),
  };
  const client = (addressing: "physical" | "functional") =>
    new UdsClient({
      transport: counted,
      target: { name: addressing, addressing, params },
      clock: networkClock,
    });
  /** Lets what is queued leave, then stands still until the late answer lies in the socket and every timer is due. */
  const stall = async () => {
    await turn();
    await turn();
    const untilMs = performance.now() + STALL_MS;
    Atomics.wait(left, 0, 0, 10_000);
    while (performance.now() < untilMs) Atomics.wait(left, 0, 1, untilMs - performance.now());
    assert.equal(Atomics.load(left, 0), 1, "the answer left during the standstill");
  };
  return { params, transport, connected, client, heard, stall };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

test("standstill: the routing activation response", async (t) => {
  const { transport, connected, stall } = await vehicle(t, "activation");
  transport.connection.open();
  await until(() => ["activating", "ready"].includes(transport.connection.state));
  await stall();
  assert.equal(await connected, true);
  assert.equal(transport.connection.stats.connects, 1);
});

const WAITS = [
  ["the diagnostic acknowledgement", "ack", () => true],
  ["the answer in CP_P6Max (P2)", "answer", ({ acks }) => acks === 1],
  ["the answer in CP_P6Star (P2*)", "afterPending", ({ responses }) => responses === 1],
] as const satisfies readonly (readonly [string, PunctualData["late"], (heard: Heard) => boolean])[];
interface Heard {
  readonly acks: number;
  readonly responses: number;
}

for (const [name, late, begun] of WAITS) {
  test(`standstill: ${name}`, async (t) => {
    const { transport, connected, client, heard, stall } = await vehicle(t, late);
    transport.connection.open();
    await connected;
    const ecu = client("physical");
    const done = late === "ack" ? ecu.transmit(REQUEST) : ecu.request(REQUEST).then(toHex);
    await until(() => begun(heard));
    await stall();
    assert.equal(await done, late === "ack" ? undefined : "62F19055");
    assert.equal(transport.connection.stats.requests, 1, "nothing was sent again");
  });
}

test("standstill: the answer to a functional request", async (t) => {
  const { params, transport, connected, client, heard, stall } = await vehicle(t, "answer");
  transport.connection.open();
  await connected;
  const [group, member] = [client("functional"), client("physical")];
  const done = functionalRequest({ group, members: [member], request: REQUEST, params: params.uds });
  await until(() => heard.acks === 1);
  await stall();
  assert.deepEqual(await done, [Uint8Array.of(0x62, 0xf1, 0x90, 0x55)]);
});

test("standstill: the answer to an alive check", async (t) => {
  const { transport, connected, stall } = await vehicle(t, "alive");
  transport.connection.open();
  await connected;
  // the gateway is said to have moved, so silence would end the connection
  transport.announce("127.0.0.9", 2);
  await stall();
  await turn();
  await turn();
  assert.equal(transport.connection.state, "ready");
  assert.equal(transport.connection.stats.losses, 0);
});
