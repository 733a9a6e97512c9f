/** Processes and threads that really stop: a gateway that is frozen by the system, a worker that runs out of memory. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bounded, forced, type Harness, startHarness } from "../e2e/harness.ts";
import { cleanup } from "../fixtures/cleanup.ts";

/** For what a frozen process does not answer. */
const SILENCE_MS = 150;
/** For what a slow one answers. */
const PATIENCE_MS = 20_000;
const SHORT = {
  CP_P6Max: String(SILENCE_MS * 1_000),
  CP_RepeatReqCountApp: "2",
  CP_DoIPDiagnosticAckTimeout: String(SILENCE_MS * 1_000),
};

async function cameraProcess(t: TestContext) {
  const entry = fileURLToPath(new URL("./entities/vehicle-process.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", entry, "127.0.1.6"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  cleanup(t, async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const lines = createInterface({ input: child.stdout });
  const [port] = (await once(lines, "line")) as [string];
  return { child, port: Number(port) };
}

const statusOf = async (car: Harness, path: string) => (await car.http.get(path)).status;

test("a gateway's process is stopped with its sockets open: found out by silence, left, and used again", async (t) => {
  const { child, port } = await cameraProcess(t);
  const car = await startHarness({
    entities: (entities) => entities.filter(({ name }) => name === "CENTRAL"),
    config: {
      doip: { gateway_port: port },
      discovery: { targets: ["127.0.1.6"] },
      com_params: {
        uds: { timeout_default: forced(PATIENCE_MS) },
        doip: {
          diagnostic_ack_timeout: forced(PATIENCE_MS),
          routing_activation_timeout: forced(1_000),
          connection_retry_delay: forced(50),
        },
      },
    },
  });
  cleanup(t, () => car.close());
  await car.online("CAMERA");
  const vin = "/components/camera/data/vin";
  assert.equal(await statusOf(car, vin), 200);

  const gone = car.becomes("CAMERA", "Disconnected");
  child.kill("SIGSTOP");
  const overrides = "/components/camera/operations/comparam/executions";
  const { json } = await car.http.post(overrides, { parameters: SHORT });
  const startedMs = performance.now();
  assert.equal(await statusOf(car, vin), 504);
  await gone;
  assert.ok(performance.now() - startedMs < PATIENCE_MS, "no longer than a silent ECU");
  // the system still accepts connections for the frozen process: that is no sign of life
  const [gateway] = car.server.fleet.gateways.filter(({ name }) => name === "CAMERA");
  await bounded<void>("the connection counts as lost", (resolve) => {
    const check = () =>
      !car.server.fleet.gateways.some((each) => each.name === gateway?.name && each.connected) && resolve();
    car.server.fleet.onChange(check);
    check();
  });
  assert.equal(await statusOf(car, vin), 504);

  assert.equal((await car.http.delete(`${overrides}/${json.id}`)).status, 204);
  child.kill("SIGCONT");
  await car.online("CAMERA");
  assert.equal(await statusOf(car, vin), 200);
});

test("a worker that runs out of memory: its calls are told, the other one notices nothing, it comes back", async (t) => {
  const all = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
  const car = await startHarness({
    config: {
      shards: { workers: 2, max_heap_mib: 32, restart_delay_ms: 20 },
      // the one answer is long
      com_params: { uds: { timeout_default: forced(PATIENCE_MS) } },
    },
  });
  cleanup(t, () => car.close());
  await car.online(...all);
  const shardOf = (ecu: string) => car.server.fleet.shardOf(ecu)!;
  const other = all.find((ecu) => shardOf(ecu) !== shardOf("ENGINE"))!;
  const thread = shardOf("ENGINE").threadId;
  const otherThread = shardOf(other).threadId;

  // 900 000 faults in one answer, within the limit of a message: more than the worker's heap can hold as objects
  const faults = `5902FF${"01020309".repeat(900_000)}`;
  car.vehicle.ecu("ENGINE").intercept("flood", "1902[]", faults);
  const offline = car.becomes("ENGINE", "Offline");
  const answer = await car.http.get("/components/engine/faults");
  assert.equal(answer.status, 503, answer.text.slice(0, 200));
  assert.deepEqual([answer.json.vendor_code, answer.json.parameters], ["worker-lost", { sent: true }]);
  await offline;
  assert.equal(await statusOf(car, `/components/${other}/data/vin`), 200);
  assert.equal(shardOf(other).threadId, otherThread);

  car.vehicle.ecu("ENGINE").removeInterceptor("flood");
  await car.online(...all);
  assert.notEqual(shardOf("ENGINE").threadId, thread);
  assert.equal(await statusOf(car, "/components/engine/faults"), 200);
});
