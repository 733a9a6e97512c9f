/** The calls that clients make, each of which knows what the answer has to be. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { toHex } from "#core/bytes.ts";
import { DEMO_DATA } from "#sim/demo/vehicle.ts";
import type { Answer, Harness, SendOptions } from "../e2e/harness.ts";
import type { Random } from "../fuzz/random.ts";
import type { History } from "./history.ts";

export const GROUP_PATH = "/functions/functionalgroups/everyone";
export const FLASH_FILE = Buffer.alloc(20_000, 0x5a);
const INTERVAL = DEMO_DATA.serviceInterval.id;
const TEMPERATURE = DEMO_DATA.ambientTemperature.id;
const KEY = "0D 0E 0F 10 11 12 13 14";
const LOCK = { lock_expiration: 30 };
const DTC = 0x0a1b01;
/** busyRepeatRequest. */
const BUSY = 0x21;

export interface Client {
  readonly name: string;
  readonly harness: Harness;
  readonly history: History;
  readonly random: Random;
  readonly ecus: readonly string[];
  /** Sends, and throws unless the answer has one of these statuses. */
  call(
    method: "get" | "put" | "post" | "delete",
    path: string,
    statuses: readonly number[],
    body?: unknown,
    options?: SendOptions,
  ): Promise<Answer>;
}

export type Call = (client: Client, ecu: string) => Promise<void>;

const pathOf = (ecu: string) => `/components/${ecu.toLowerCase()}`;

function simulated({ harness }: Client, ecu: string) {
  return harness.vehicle.ecu(ecu).state;
}

function held({ history }: Client, ecu: string, did: number, sinceMs: number, hex: string): void {
  const possible = history.since(ecu, did, sinceMs);
  assert.ok(possible.has(hex), `${ecu} ${did.toString(16)}: ${hex} was never there, but ${[...possible].join(", ")}`);
}

const readVin: Call = async (client, ecu) => {
  const { json } = await client.call("get", `${pathOf(ecu)}/data/vin`, [200]);
  assert.deepEqual(json, { id: "vin", data: { VIN: simulated(client, ecu).vin } });
};

const hex16 = (value: number) => value.toString(16).toUpperCase().padStart(4, "0");

const readInterval: Call = async (client, ecu) => {
  const sinceMs = performance.now();
  const { json } = await client.call("get", `${pathOf(ecu)}/configurations/serviceinterval`, [200]);
  held(client, ecu, INTERVAL, sinceMs, hex16(json.data.Interval / 100));
};

const readIntervalRaw: Call = async (client, ecu) => {
  const sinceMs = performance.now();
  const headers = { accept: "application/octet-stream" };
  const { bytes } = await client.call("get", `${pathOf(ecu)}/data/serviceinterval`, [200], undefined, { headers });
  held(client, ecu, INTERVAL, sinceMs, toHex(bytes));
};

const readTemperature: Call = async (client, ecu) => {
  const sinceMs = performance.now();
  const { json } = await client.call("get", `${pathOf(ecu)}/data/ambienttemperature`, [200]);
  held(client, ecu, TEMPERATURE, sinceMs, (json.data.Temperature + 40).toString(16).toUpperCase().padStart(2, "0"));
};

const writeInterval: Call = async (client, ecu) => {
  const sinceMs = performance.now();
  const kilometres = client.random.below(0x10000) * 100;
  await client.call("put", `${pathOf(ecu)}/data/serviceinterval`, [204], { data: { Interval: kilometres } });
  held(client, ecu, INTERVAL, sinceMs, hex16(kilometres / 100));
};

const genericService: Call = async (client, ecu) => {
  const sinceMs = performance.now();
  const headers = { accept: "application/octet-stream" };
  const request = Uint8Array.of(0x22, INTERVAL >> 8, INTERVAL & 0xff);
  const { bytes } = await client.call("put", `${pathOf(ecu)}/genericservice`, [200], request, { headers });
  held(client, ecu, INTERVAL, sinceMs, toHex(bytes.subarray(3)));
};

const readGroup: Call = async (client) => {
  const sinceMs = performance.now();
  const { json } = await client.call("get", `${GROUP_PATH}/data/serviceinterval`, [200]);
  for (const [ecu, { Raw }] of Object.entries<{ Raw: string }>(json.data)) {
    held(client, ecu.toUpperCase(), INTERVAL, sinceMs, Raw.replaceAll(/0x| /g, ""));
  }
  // A functional request is not repeated: who is busy says so.
  const busy = json.errors ?? [];
  for (const { error } of busy) assert.equal(error.parameters?.NRC, BUSY, JSON.stringify(error));
  assert.equal(Object.keys(json.data).length + busy.length, client.ecus.length);
};

const readLists: Call = async (client, ecu) => {
  const base = pathOf(ecu);
  const components = await client.call("get", "/components", [200], undefined, { as: null });
  assert.equal(components.json.items.length, client.ecus.length);
  const path = client.random.pick([
    "/data",
    "/operations",
    "/configurations",
    "/data/vin/docs",
    "/operations/selftest/docs",
  ]);
  await client.call("get", `${base}${path}?include-schema=${path.endsWith("docs") ? "false" : "true"}`, [200]);
  const component = await client.call("get", base, [200], undefined, { as: null });
  assert.equal(component.json.id, ecu.toLowerCase());
  await client.call("get", "/apps/sovd2uds/data/networkstructure", [200], undefined, { as: null });
};

const mistakes: Call = async (client, ecu) => {
  const base = pathOf(ecu);
  await client.call("get", `${base}/data/nope`, [404]);
  await client.call("get", `${base}/data`, [401], undefined, { as: null });
  await client.call("put", `${base}/data/serviceinterval`, [400], { data: { Interval: "many" } });
  await client.call("get", `${base}/faults/zzz`, [400]);
};

const detect: Call = async (client, ecu) => {
  await client.call("put", pathOf(ecu), [201], undefined, { as: null });
};

/** Gives up on its own call; whatever comes of it, nothing may be left behind. */
const giveUp: Call = async (client, ecu) => {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), client.random.below(15));
  const options = { as: client.name, signal: abort.signal };
  await client.harness.http.get(`${pathOf(ecu)}/data/vin`, options).catch(() => {});
  clearTimeout(timer);
};

/** Runs `work` under the ECU's lock, or not at all when somebody else has it. */
function underLock(work: Call): Call {
  return async (client, ecu) => {
    const path = `${pathOf(ecu)}/locks`;
    const { status, json } = await client.call("post", path, [201, 403, 409], LOCK);
    if (status !== 201) return;
    try {
      await work(client, ecu);
    } finally {
      // Its end may come first when a disturbance was long.
      await client.call("delete", `${path}/${json.id}`, [204, 403, 404]);
    }
  };
}

const session = underLock(async (client, ecu) => {
  const base = pathOf(ecu);
  await client.call("put", `${base}/modes/session`, [200], { value: "Extended" });
  await client.call("put", `${base}/modes/security`, [200], { value: "Level_3_RequestSeed" });
  await client.call("put", `${base}/modes/security`, [200], { value: "Level_3", Key: { Send_Key: KEY } });
  const { json } = await client.call("get", `${base}/data/activesession`, [200]);
  assert.equal(json.data.Session, "Extended");
  const tracked = await client.call("get", `${base}/modes/session`, [200]);
  assert.equal(tracked.json.value, "Extended");
  assert.equal(simulated(client, ecu).securityAccess, "LEVEL_03");
  await client.call("put", `${base}/modes/session`, [200], { value: "Default" });
});

const faults = underLock(async (client, ecu) => {
  const { Standard } = simulated(client, ecu).dtcs;
  Standard.set(DTC, { id: DTC, status: 0x29, emissionsRelated: false, snapshots: [], extendedData: [] });
  const path = `${pathOf(ecu)}/faults`;
  const { json } = await client.call("get", `${path}?status[confirmedDtc]=true`, [200]);
  assert.deepEqual(
    json.items.map(({ code, status }: { code: string; status: { mask: string } }) => [code, status.mask]),
    [["0A1B01", "29"]],
  );
  await client.call("delete", path, [204]);
  assert.equal(Standard.size, 0);
});

const operations = underLock(async (client, ecu) => {
  const base = `${pathOf(ecu)}/operations`;
  await client.call("post", `${base}/selftest/executions`, [200], { parameters: {} });
  const path = `${base}/calibrate/executions`;
  const { status, json } = await client.call("post", path, [202, 409], { parameters: {} });
  // Somebody whose call failed in a disturbance may have left one: it is taken over.
  const listed = status === 202 ? undefined : await client.call("get", path, [200]);
  const id = json.id ?? listed?.json.items[0]?.id;
  if (id === undefined) return;
  const read = await client.call("get", `${path}/${id}`, [200, 404, 409]);
  if (status === 202) assert.equal(read.json.capability, "execute");
  await client.call("delete", `${path}/${id}?x-sovd2uds-force=true`, [204, 404, 409]);
});

const comParams: Call = async (client, ecu) => {
  const path = `${pathOf(ecu)}/operations/comparam/executions`;
  const { status, json } = await client.call("post", path, [202, 409], {
    parameters: { CP_RepeatReqCountApp: { value: "2" } },
  });
  if (status !== 202) return;
  await client.call("get", `${path}/${json.id}`, [200]);
  await client.call("delete", `${path}/${json.id}`, [204]);
};

const flash = underLock(async (client, ecu) => {
  const base = pathOf(ecu);
  const download = `${base}/x-sovd2uds-download`;
  const left = await client.call("get", `${download}/flashtransfer`, [200, 404]);
  if (left.status === 200) return;
  await client.call("put", `${base}/modes/session`, [200], { value: "Programming" });
  await client.call("put", `${base}/modes/security`, [200], { value: "Level_5_RequestSeed" });
  await client.call("put", `${base}/modes/security`, [200], { value: "Level_5", Key: { Send_Key: KEY } });
  await client.call("post", `${base}/operations/erasememory/executions`, [200], {});
  const requestdownload = { DataFormatIdentifier: 0, MemoryAddress: 0, MemorySize: FLASH_FILE.length };
  await client.call("put", `${download}/requestdownload`, [200], { requestdownload });
  const part = { blocksequencecounter: 1, blocksize: 514, offset: 0, length: FLASH_FILE.length, id: "image_bin" };
  const started = await client.call("post", `${download}/flashtransfer`, [200], part);
  const path = `${download}/flashtransfer/${started.json.id}`;
  try {
    let status = "running";
    while (status === "running" || status === "queued") {
      const { json } = await client.call("get", path, [200], undefined, { as: null });
      status = json.status;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(status, "finished");
    await client.call("put", `${download}/transferexit`, [204]);
    const { checksum } = simulated(client, ecu).transfers.at(-1)!;
    assert.deepEqual(Buffer.from(checksum!), createHash("sha1").update(FLASH_FILE).digest());
  } finally {
    await client.call("delete", path, [204, 400]);
    await client.call("put", `${base}/modes/session`, [200], { value: "Default" });
    // The simulated boot loader leaves only with a reset.
    await client.call("post", `${base}/operations/reset/executions`, [204], { parameters: { value: "SoftReset" } });
  }
});

/** How often, in relation to each other. */
export const CALLS: readonly (readonly [name: string, weight: number, call: Call])[] = [
  ["readVin", 10, readVin],
  ["readInterval", 10, readInterval],
  ["readIntervalRaw", 6, readIntervalRaw],
  ["readTemperature", 10, readTemperature],
  ["writeInterval", 8, writeInterval],
  ["genericService", 4, genericService],
  ["readGroup", 3, readGroup],
  ["readLists", 3, readLists],
  ["mistakes", 2, mistakes],
  ["detect", 1, detect],
  ["giveUp", 3, giveUp],
  ["session", 3, session],
  ["faults", 2, faults],
  ["operations", 2, operations],
  ["comParams", 1, comParams],
  ["flash", 1, flash],
];
