/** The server's process is killed in the middle of a flash; the ECU, in another process, keeps what it has. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "smol-toml";
import { merge, type Tree } from "#config/tree.ts";
import { toHex } from "#core/bytes.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { bounded, withoutRealFiles } from "../e2e/harness.ts";
import { type SceneClient, sceneClient, writeText } from "../e2e/updates-support.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { freePort } from "../fixtures/free-port.ts";
import { HOST, NodeProcess, POLL_MS } from "./campaign-nodes.ts";

const REAL = fileURLToPath(new URL("../../../shared/mdd", import.meta.url));
const GATEWAYS = ["127.0.1.11", "127.0.1.12", "127.0.1.13", "127.0.1.14", "127.0.1.15"];
const TESTER = "127.0.0.12";
const ECU = "FLXC1000";
const OTHER = "HOVR4000";
const VERSION_DID = 0xf195;
const START = 0x1000;
const BLOCK_BYTES = 4_098;
const DATA_BYTES = BLOCK_BYTES - 2;
/** Some notes of how far it came lie before it, and more to send than is on its way when the signal comes. */
const KILLED_AT_BLOCK = 150;
const OLD = Buffer.alloc(2_000, "old");
const NEW = Buffer.alloc(1 << 20, "what is new");

/** Longer than a busy machine takes. */
const LIMIT_MS = 60_000;
/** Longer than an attempt that does not wait takes to fail. */
const LATE_POLLS = 20;
const isFlashing = (request: string) => ["10", "27", "31", "34"].includes(request.slice(0, 2));

const sha1 = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex");

const recipeOf = (resumable: boolean): Tree => ({
  version: { request: "22 F1 95" },
  step: [
    { request: "10 03", ecu: OTHER },
    { name: "others: DTCs off", request: "85 02", ecu: OTHER },
    { name: "others: silent", request: "28 01 01", ecu: OTHER },
    { request: "10 02" },
    { detect: true },
    { security: 5 },
    { name: "erase", request: "31 01 FF 00", skip_on_resume: true, timeout_ms: 5_000 },
    { download: { address: START, max_block_bytes: BLOCK_BYTES, resumable }, timeout_ms: 2_000 },
    { name: "check dependencies", request: "31 01 FF 01" },
    { request: "2E F1 95 {version}" },
    { request: "11 01" },
    { detect: true },
    { request: "28 00 01", ecu: OTHER, always: true },
    { request: "85 01", ecu: OTHER, always: true },
  ],
});

async function startScene(t: TestContext, resumable: boolean) {
  const folder = scratchFolder("flash-kill");
  const entities = defaultEntities(GATEWAYS, 0).map((entity, at) => ({
    ...entity,
    address: GATEWAYS[at % GATEWAYS.length]!,
    data: new Map([[VERSION_DID, { value: Buffer.from("1.0.0"), writable: true }]]),
  }));
  const vehicle = await startVehicle({ entities, announce: false });
  cleanup(t, () => vehicle.close());
  const recipe = await writeText(join(folder, "recipe.toml"), stringify(recipeOf(resumable)));
  const key_module = await writeText(join(folder, "key.mjs"), "export default (seed) => seed.map((b) => b + 0x0d);\n");
  const node = new NodeProcess("", await freePort(), folder);
  cleanup(t, () => node.kill());
  const given = parse(await readFile(join(REAL, "opensovd-cda.toml"), "utf8")) as Tree;
  const targets = { [ECU]: { provider: "uds-flash", recipe, key_module } };
  await node.configure(
    { role: "primary", targets, execute_timeout_ms: LIMIT_MS, health_timeout_ms: LIMIT_MS },
    merge(given, {
      server: { address: HOST, port: node.port },
      doip: { enabled: true, tester_address: TESTER, tester_subnet: "255.0.0.0", gateway_port: vehicle.port },
      database: { path: REAL },
      discovery: { targets: GATEWAYS, wait_ms: 2_500, interval_ms: 250, max_tries: 1_000 },
      shards: { workers: 1 },
      logging: { level: "off" },
      flash_files_path: folder,
    }),
  );
  return { vehicle, node };
}

/** The node's client once it serves. */
async function ready(node: NodeProcess): Promise<SceneClient> {
  await node.start();
  const serves = () => fetch(`http://${HOST}:${node.port}/health/ready`).then(({ ok }) => ok);
  while (!(await serves())) await pause(POLL_MS);
  return sceneClient({ url: `http://${HOST}:${node.port}/api/v1`, token: node.token });
}

/** A flash whose server was killed in the middle of the transfer; `seen`: what the ECU hears from then on, without blocks. */
async function killedScene(t: TestContext, resumable: boolean) {
  const { vehicle, node } = await startScene(t, resumable);
  const seen: string[] = [];
  let blocks = 0;
  const killed = new Promise<void>((resolve) => {
    vehicle.events.subscribe((event) => {
      if (event.kind !== "request" || event.ecu !== ECU) return;
      const request = toHex(event.uds);
      if (!request.startsWith("36")) seen.push(request);
      else if (++blocks === KILLED_AT_BLOCK) resolve(node.kill());
    });
  });
  const client = await ready(node);
  await client.upload(ECU, "current-image", OLD);
  const artifact_uri = await client.upload(ECU, "firmware-artifacts", NEW);
  await client.run({
    id: "fw",
    origins: ["proximity"],
    rollback_policy: "coordinated",
    target_version: "2.0.0",
    artifact_uri,
    affected_components: [ECU.toLowerCase()],
  });
  await bounded("the kill", (resolve) => void killed.then(resolve));
  const other = vehicle.ecu(OTHER).state;
  assert.deepEqual([other.dtcSettingType, other.communicationControlType], ["OFF", "ENABLE_RX_AND_DISABLE_TX"]);
  const { state } = vehicle.ecu(ECU);
  const first = state.transfers.at(-1)!;
  assert.ok(first.dataTransferCount < NEW.length / DATA_BYTES, "killed before its end");
  // what an ECU does when its session ends; the simulator's would refuse any further download
  first.isActive = false;
  seen.length = 0;
  const assertNew = (from: number) => {
    const last = state.transfers.at(-1)!;
    assert.equal(Buffer.from(last.checksum!).toString("hex"), sha1(NEW.subarray(from)));
    assert.equal(Buffer.from(state.data.get(VERSION_DID)!.value).toString(), "2.0.0");
    assert.deepEqual([other.dtcSettingType, other.communicationControlType], ["ON", "ENABLE_RX_AND_TX"]);
    assert.equal(state.sessionState, "DEFAULT");
  };
  return { vehicle, node, seen, first, assertNew };
}

for (const resumable of [true, false]) {
  const what = resumable ? "it goes on where it was" : "it begins anew";
  test(`killed in the middle of a transfer: ${what}`, { skip: withoutRealFiles }, async (t) => {
    const { node, seen, first, assertNew } = await killedScene(t, resumable);
    await (await ready(node)).until("fw", "completed");
    const downloads = seen.filter((request) => request.startsWith("34"));
    const from = Number.parseInt(downloads[0]!.slice(6, 14), 16) - START;
    assert.equal(downloads.length, 1);
    assert.equal(seen.filter((request) => request === "3101FF00").length, resumable ? 0 : 1);
    assert.equal(from > 0, resumable);
    assert.ok(from <= first.dataTransferCount * DATA_BYTES, "no byte is left out");
    assertNew(from);
  });
}

test("an ECU that the recipe names is found late after the restart: it is waited for", {
  skip: withoutRealFiles,
}, async (t) => {
  const { vehicle, node, seen, assertNew } = await killedScene(t, false);
  const gateway = vehicle.endpoint(OTHER);
  gateway.misbehaviour = { udpSilent: true };
  const found = vehicle.events.next("request", ({ ecu }) => ecu === ECU);
  await node.start();
  const client = sceneClient({ url: `http://${HOST}:${node.port}/api/v1`, token: node.token });
  const { status } = await client.send("PUT", "/updates/fw/execute");
  assert.equal(status, 409, "what a restart interrupted is known from the first moment");
  const early = await client.send("GET", `/components/${OTHER}/bulk-data/current-image`);
  assert.ok(early.status === 200 || (early.status === 503 && early.headers.has("retry-after")), `${early.status}`);
  await bounded("the detection of the target", (resolve) => void found.then(resolve));
  for (let polls = 0; polls < LATE_POLLS; polls++) {
    const { json } = await client.send("GET", "/updates/fw/status");
    assert.equal(json["x-state"], "executing");
    await pause(POLL_MS);
  }
  assert.deepEqual(seen.filter(isFlashing), [], "nothing is begun without the other one");
  gateway.misbehaviour = {};
  await client.until("fw", "completed");
  assertNew(0);
});
