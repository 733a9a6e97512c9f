/** The CDA's route table: every route is there, wants a token and a lock as the CDA does, and answers its status. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { OperationFacts } from "#fleet/messages.ts";
import { FakeFleet, reply, V, type Vehicle, vehicle } from "./harness.ts";

type Lock = "-" | "e" | "g" | "v";
interface Row {
  readonly method: string;
  readonly path: string;
  readonly token: boolean;
  readonly lock: Lock;
  readonly status: number;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
}

const E = `${V}/components/flxc1000`;
const G = `${V}/functions/functionalgroups/all`;
const UUID = "00000000-0000-4000-8000-000000000000";
const rows: Row[] = [];
const row = (method: string, path: string, token: boolean, lock: Lock, status: number, json?: unknown): void => {
  rows.push(json === undefined ? { method, path, token, lock, status } : { method, path, token, lock, status, json });
};

const LOCK = { lock_expiration: 60 };
for (const path of [
  "/health",
  "/openapi.json",
  "/swagger-ui",
  `${V}/data/version`,
  `${V}/apps/sovd2uds/data/version`,
]) {
  row("GET", path, false, "-", 200);
}
row("GET", "/health/ready", false, "-", 204);
row("POST", `${V}/authorize`, false, "-", 200, { client_id: "a", client_secret: "b" });
for (const base of [V, E, G]) {
  row("POST", `${base}/locks`, true, "-", 201, LOCK);
  row("GET", `${base}/locks`, true, "-", 200);
  row("GET", `${base}/locks/{lock}`, true, "-", 200);
  row("PUT", `${base}/locks/{lock}`, true, "-", 204, LOCK);
  row("DELETE", `${base}/locks/{lock}`, true, "-", 204);
}
for (const path of [
  `${V}/apps`,
  `${V}/apps/sovd2uds`,
  `${V}/apps/sovd2uds/bulk-data`,
  `${V}/apps/sovd2uds/bulk-data/flashfiles`,
  `${V}/apps/sovd2uds/data/networkstructure`,
  `${V}/components`,
  E,
  `${E}/modes`,
  `${E}/x-single-ecu-jobs`,
  `${E}/x-single-ecu-jobs/job`,
  `${E}/x-sovd2uds-bulk-data`,
  `${E}/x-sovd2uds-bulk-data/mdd-embedded-files`,
  `${E}/x-sovd2uds-bulk-data/mdd-embedded-files/f1`,
  `${E}/x-sovd2uds-download`,
  `${E}/x-sovd2uds-download/flashtransfer`,
  `${E}/x-sovd2uds-download/flashtransfer/{transfer}`,
  `${E}/operations/comparam/executions`,
  `${E}/operations/comparam/executions/{comparam}`,
  `${V}/functions`,
  `${V}/functions/functionalgroups`,
  G,
  `${G}/modes`,
]) {
  row("GET", path, false, "-", 200);
}
row("PUT", E, false, "-", 201);
row("POST", E, false, "-", 201);
row("POST", `${E}/operations/comparam/executions`, false, "-", 202, {});
row("PUT", `${E}/operations/comparam/executions/{comparam}`, false, "-", 202, {});
row("DELETE", `${E}/operations/comparam/executions/{comparam}`, false, "-", 204);
for (const resource of ["data", "configurations"]) {
  row("GET", `${E}/${resource}`, true, "-", 200);
  row("GET", `${E}/${resource}/vin`, true, "-", 200);
  row("PUT", `${E}/${resource}/vin`, true, "-", 200, { data: { a: 1 } });
  row("GET", `${E}/${resource}/vin/docs`, true, "-", 200);
}
rows.push({
  method: "PUT",
  path: `${E}/genericservice`,
  token: true,
  lock: "-",
  status: 200,
  bytes: Buffer.from("22f190", "hex"),
});
row("GET", `${E}/operations`, true, "-", 200);
row("GET", `${E}/operations/op`, true, "-", 200);
row("GET", `${E}/operations/op/docs`, true, "-", 200);
row("GET", `${E}/operations/op/executions`, true, "-", 200);
row("POST", `${E}/operations/op/executions`, true, "e", 200, {});
row("POST", `${E}/operations/reset/executions`, true, "e", 200, { parameters: { value: "hardreset" } });
row("GET", `${E}/operations/reset/executions`, true, "-", 200);
row("GET", `${E}/operations/async/executions/{execution}`, true, "-", 200);
row("DELETE", `${E}/operations/async/executions/{execution}`, true, "e", 204);
for (const mode of ["session", "commctrl", "dtcsetting"]) {
  row("GET", `${E}/modes/${mode}`, true, "-", 200);
  row("PUT", `${E}/modes/${mode}`, true, "e", 200, { value: "x" });
  row("GET", `${G}/modes/${mode}`, true, "-", 200);
  row("PUT", `${G}/modes/${mode}`, true, "g", 200, { value: "x" });
}
row("GET", `${E}/modes/security`, true, "e", 200);
row("PUT", `${E}/modes/security`, true, "e", 200, { value: "Level_3_RequestSeed" });
row("GET", `${E}/faults`, true, "-", 200);
row("DELETE", `${E}/faults`, true, "e", 204);
row("GET", `${E}/faults/01E240`, true, "-", 200);
row("DELETE", `${E}/faults/01E240`, true, "e", 204);
// download: a lock by default, where the CDA wants none
row("PUT", `${E}/x-sovd2uds-download/requestdownload`, true, "e", 200, { requestdownload: {} });
row("POST", `${E}/x-sovd2uds-download/flashtransfer`, true, "e", 200, {
  blocksequencecounter: 1,
  blocksize: 64,
  offset: 0,
  length: 10,
  id: "image_bin",
});
row("DELETE", `${E}/x-sovd2uds-download/flashtransfer/{transfer}`, true, "-", 204);
row("PUT", `${E}/x-sovd2uds-download/transferexit`, true, "e", 204);
for (const path of [`${G}/data`, `${G}/operations`, `${G}/operations/op/docs`, `${G}/data/vin`])
  row("GET", path, true, "-", 200);
row("PUT", `${G}/data/vin`, true, "-", 200, { data: {} });
row("GET", `${G}/operations/op/executions`, true, "-", 200);
row("POST", `${G}/operations/op/executions`, true, "g", 200, { parameters: {} });
row("GET", `${G}/operations/async/executions/{gexecution}`, true, "g", 200);
row("DELETE", `${G}/operations/async/executions/{gexecution}`, true, "g", 204);

const ASYNC: OperationFacts = { asynchronous: true, hasStop: true, hasResults: true };

function scripted(): FakeFleet {
  const fleet = new FakeFleet();
  fleet.script = ({ call, args }) => {
    if (call === "operationStart")
      return args.service === "async" ? reply({}, { meta: { operation: ASYNC } }) : reply({});
    if (call === "faultClear") return { status: 204 };
    return undefined;
  };
  fleet.groupScript = ({ args }) => ({
    outcome: { results: { flxc1000: "{}" }, errors: [] },
    ...(args.service === "async" ? { reply: { meta: { operation: ASYNC } } } : {}),
  });
  return fleet;
}

const newVehicle = (): Vehicle => vehicle({}, { fleet: scripted(), files: { image_bin: 100 } });

/** Sets up what the row's path names and returns the path with it. */
async function prepare(one: Vehicle, { path, method }: Row): Promise<string> {
  if (path.includes("{lock}")) {
    const base = path.slice(0, path.indexOf("/{lock}"));
    const { json } = await one.request("POST", base, { json: LOCK });
    return path.replace("{lock}", json.id);
  }
  if (path.includes("{execution}") || path.includes("{gexecution}")) {
    const base = path.includes("{gexecution}") ? G : E;
    const lock = await one.request("POST", `${base}/locks`, { json: LOCK });
    const started = await one.request("POST", path.slice(0, path.lastIndexOf("/")), { json: { parameters: {} } });
    assert.equal(started.status, 202);
    await one.request("DELETE", `${base}/locks/${lock.json.id}`);
    return path.replace(/\{g?execution\}/, started.json.id);
  }
  if (path.includes("{comparam}")) {
    const { json } = await one.request("POST", `${E}/operations/comparam/executions`, { json: {} });
    return path.replace("{comparam}", json.id);
  }
  if (path.includes("flashtransfer") && method !== "POST") {
    const start = { path: "", fileId: "image_bin", blockSequenceCounter: 1, blockSize: 64, offset: 0, length: 10 };
    const { id } = one.context.transfers.create("flxc1000", "FLXC1000", "me", start);
    const ended = { ...one.context.transfers.of("flxc1000")!, status: "finished" as const };
    one.fleet.transfers.set("FLXC1000", ended);
    return path.replace("{transfer}", id);
  }
  return path;
}

function init(one: Row, as?: string | null) {
  const bytes = one.bytes === undefined ? {} : { bytes: one.bytes };
  const headers = { "content-type": "application/octet-stream", accept: "application/octet-stream" };
  return {
    ...(as === undefined ? {} : { as }),
    ...(one.json === undefined ? {} : { json: one.json }),
    ...bytes,
    ...(one.bytes === undefined ? {} : { headers }),
  };
}

async function takeLock(one: Vehicle, lock: Lock, as = "me"): Promise<void> {
  if (lock === "-") return;
  const taken = await one.request("POST", `${lock === "e" ? E : G}/locks`, { as, json: LOCK });
  assert.equal(taken.status, 201);
}

for (const one of rows) {
  test(`${one.method} ${one.path}`, async () => {
    const car = newVehicle();
    const path = await prepare(car, one);
    const nameless = await car.request(one.method, path, init(one, null));
    if (one.token) assert.equal(nameless.status, 401, "without token");
    else {
      assert.equal(nameless.status, one.status, nameless.text);
      return;
    }
    if (one.lock !== "-") {
      const unlocked = await car.request(one.method, path, init(one));
      assert.equal(unlocked.status, 403, "without lock");
      assert.equal(unlocked.json.error_code, "insufficient-access-rights");
      await takeLock(car, one.lock);
    }
    const answer = await car.request(one.method, path, init(one));
    assert.equal(answer.status, one.status, answer.text);
    if (answer.status === 204) assert.equal(answer.text, "");
    assert.deepEqual(car.problems, []);
  });
}

test("the same tree stands below every base path, in any case", async () => {
  const car = newVehicle();
  for (const base of ["/vehicle/v15", "/sovd/v1", "/api/v1", "/VEHICLE/V15"]) {
    const answer = await car.request("GET", `${base}/Components/FLXC1000/`);
    assert.equal(answer.status, 200, base);
    assert.equal(answer.json.id, "flxc1000");
  }
});

test("unknown paths, components, groups and methods are JSON errors", async () => {
  const car = newVehicle();
  for (const path of [
    `${V}/nope`,
    "/nope",
    `${V}/components/nope/data`,
    `${E}/nope`,
    `${G}/nope/x`,
    `${V}/functions/x`,
  ]) {
    const answer = await car.request("GET", path);
    assert.equal(answer.status, 404, path);
    assert.equal(answer.json.message, `Resource not found: ${path}`);
    assert.equal(answer.json.vendor_code, "not-found");
  }
  const wrong = await car.request("PATCH", `${E}/data/vin`);
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.Allow, "GET, HEAD, PUT");
  assert.equal(wrong.json.message, "Method not allowed");
  const missing = await car.request("GET", `${E}/operations/op/executions/${UUID}`);
  assert.equal(missing.json.message, `Execution with id ${UUID} not found`);
});
