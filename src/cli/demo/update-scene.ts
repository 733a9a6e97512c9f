/**
 * A vehicle of all kinds of computers in one process: a primary, two secondaries, a classic ECU behind DoIP, and an embedded device that
 * fetches its firmware. Each node is the whole server on a port of its own, with a store of its own.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "#config/load.ts";
import { merge, type Tree } from "#config/tree.ts";
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE, JSON_TYPE } from "#core/media-types.ts";
import { VERSION } from "#core/version.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import type { AjourDevice } from "#sim/ajour-device.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { FUNCTIONAL_ADDRESS } from "#sim/demo/vehicle.ts";
import { type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { deflateLzma } from "#store/lzma.ts";
import { type RunningServer, startServer } from "../../main.ts";
import { online } from "./online.ts";
import { DEVICE_COMPONENT, DEVICE_CONFIG, FIRMWARE_PATH, firmwareFiles, startDevice } from "./update-device.ts";

const HOST = "127.0.0.1";
/** Tester and gateway must not share address and port. */
const TESTER = "127.0.0.2";
const GATEWAY = "127.0.1.1";
const ECU = { name: "BODY_MCU", title: "Body control", logicalAddress: 0x1001, gatewayAddress: 0x1001 } as const;
/** ASCII, so that a version keeps its length. */
const SOFTWARE_VERSION_DID = 0xf195;
export const FIRST_VERSION = "1.0.0";
const ONLINE_TIMEOUT_MS = 15_000;
const LOOK_MS = 50;

/** Of an ECU as the simulator plays it; a real one has its own routines and levels. */
export const RECIPE = `
[version]
request = "22 F1 95"

[[step]]
name = "extended session"
request = "10 03"
[[step]]
name = "DTC setting off"
request = "85 02"
[[step]]
name = "programming session"
request = "10 02"
[[step]]
name = "security access"
security = 0x07
[[step]]
name = "erase"
request = "31 01 FF 00"
skip_on_resume = true
[[step]]
name = "transfer"
download = { address = 0, max_block_bytes = 4096 }
[[step]]
name = "check dependencies"
request = "31 01 FF 01"
[[step]]
name = "version"
request = "2E F1 95 {version}"
[[step]]
name = "reset"
request = "11 01"
[[step]]
name = "wait for the ECU"
detect = true
[[step]]
name = "DTC setting on"
request = "85 01"
always = true
`;

/** Key = seed + 0x0D per byte, as the simulator wants it. */
const KEY_MODULE = "export default (seed) => seed.map((byte) => (byte + 0x0d) & 0xff);\n";

/** Fails when the image that runs says so of this component. */
const HEALTH_SCRIPT = `
const image = require("node:fs").readFileSync(process.argv[1], "latin1");
process.exit(image.includes("UNHEALTHY on " + process.argv[2]) ? 1 : 0);
`;

export interface SceneNode {
  readonly server: RunningServer;
  /** `http://127.0.0.1:port/api/v1`. */
  readonly url: string;
  readonly token: string;
  readonly folder: string;
}

export interface UpdateScene {
  readonly primary: SceneNode;
  readonly secondaries: readonly SceneNode[];
  readonly vehicle: RunningVehicle;
  readonly device: AjourDevice;
  /** The image that runs on a node with slots. */
  imageOf(component: string): string;
  close(): Promise<void>;
}

/** Component ids, in the order of the scene. */
export const COMPONENTS = [
  "compute_primary",
  "compute_secondary",
  "sensor_fusion",
  "body_mcu",
  DEVICE_COMPONENT,
] as const;

/** Starts all of it. `update`: laid over the primary's section. */
export async function startUpdateScene(timing: Tree, update: Tree = {}): Promise<UpdateScene> {
  const folder = await mkdtemp(join(tmpdir(), "sovd-edge-update-"));
  const vehicle = await startVehicle({
    entities: [
      {
        name: ECU.name,
        logicalAddress: ECU.logicalAddress,
        address: GATEWAY,
        port: 0,
        functionalAddress: FUNCTIONAL_ADDRESS,
        data: new Map([[SOFTWARE_VERSION_DID, { value: Buffer.from(FIRST_VERSION, "latin1"), writable: true }]]),
      },
    ],
    controlPort: 0,
    announce: false,
  });
  const opened: { close(): Promise<void> }[] = [vehicle];
  const close = async (): Promise<void> => {
    for (const part of opened.reverse()) await part.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const secondaries: SceneNode[] = [];
    for (const component of ["compute_secondary", "sensor_fusion"]) {
      const place = join(folder, component);
      const own = { role: "secondary", component, serial: "ECU-S-00042", hardware_id: `${component}-r1` };
      const tree = { update: { ...timing, ...own, targets: { [component]: slotTarget(place, component) } } };
      const server = await startServer(await configOf(place, tree));
      opened.push(server);
      await server.ready;
      secondaries.push(await nodeOf(server, place));
    }
    const place = join(folder, "compute_primary");
    const [compute, sensors] = secondaries as [SceneNode, SceneNode];
    const tree: Tree = merge(
      { update: DEVICE_CONFIG },
      {
        doip: { tester_address: TESTER, tester_subnet: "255.0.0.0", gateway_port: vehicle.port, enabled: true },
        discovery: { targets: [GATEWAY], wait_ms: 300 },
        update: {
          ...timing,
          role: "primary",
          component: "compute_primary",
          targets: {
            compute_primary: slotTarget(place, "compute_primary"),
            compute_secondary: { provider: "sovd-secondary", url: compute.url, token: compute.token },
            sensor_fusion: { provider: "sovd-secondary", url: sensors.url, token: sensors.token },
            body_mcu: {
              provider: "uds-flash",
              recipe: await file(place, "recipe.toml", RECIPE),
              key_module: await file(place, "key.mjs", KEY_MODULE),
            },
          },
          ...update,
        },
      },
    );
    await writeDatabase(join(place, "databases"));
    const server = await startServer(await configOf(place, tree));
    opened.push(server);
    await server.ready;
    await online(server, [ECU.name], ONLINE_TIMEOUT_MS);
    const primary = await nodeOf(server, place);
    const device = startDevice(new URL(primary.url).origin, FIRST_VERSION);
    opened.push({ close: () => device.stop() });
    await keepFirmware(primary);
    const imageOf = (component: string) => join(folder, component, "slots", "current", "image");
    return { primary, secondaries, vehicle, device, imageOf, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function slotTarget(place: string, component: string): Tree {
  const folder = join(place, "slots");
  return {
    provider: "slot",
    folder,
    hardware_id: `${component}-r1`,
    health: [process.execPath, "-e", HEALTH_SCRIPT, join(folder, "current", "image"), component],
  };
}

async function configOf(place: string, tree: Tree): Promise<Config> {
  const base: Tree = {
    server: { address: HOST, port: 0 },
    doip: { enabled: false },
    database: { path: join(place, "databases") },
    store: { path: join(place, "store") },
    runtime_update_config: { storage_dir: join(place, "storage") },
    logging: { level: process.env.SOVD_DEMO_LOG ?? "off" },
    flash_files_path: place,
    shards: { workers: 1 },
    process: { shutdown_timeout_ms: 1_000 },
  };
  await mkdir(place, { recursive: true });
  const { config, problems } = readConfig({ flags: { tree: merge(base, tree), names: new Map() }, cwd: place });
  if (problems.length > 0) {
    throw new Fault("invalidConfig", problems.map(({ key, message }) => `${key}: ${message}`).join("\n"));
  }
  return config;
}

async function nodeOf(server: RunningServer, folder: string): Promise<SceneNode> {
  const response = await fetch(`http://${HOST}:${server.port}/vehicle/v15/authorize`, {
    method: "POST",
    headers: { "content-type": JSON_TYPE },
    body: JSON.stringify({ client_id: "update-demo", client_secret: "secret" }),
  });
  const { access_token: token } = (await response.json()) as { access_token: string };
  return { server, url: `http://${HOST}:${server.port}/api/v1`, token, folder };
}

/** Puts what the device has into the store, and waits until the primary can bring it back to that. */
async function keepFirmware({ url, token, server }: SceneNode): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, "content-type": BYTES_TYPE };
  for (const [name, body] of Object.entries(firmwareFiles(FIRST_VERSION))) {
    const answer = await fetch(`${url}${FIRMWARE_PATH}/${name}`, {
      method: "PUT",
      headers,
      body: new Uint8Array(body),
    });
    if (!answer.ok) throw new Fault("badRequest", `${name}: ${answer.status} ${await answer.text()}`);
  }
  const updates = server.context.softwareUpdates!;
  const until = Date.now() + ONLINE_TIMEOUT_MS;
  while ((await updates.describe(DEVICE_COMPONENT)).supports_rollback !== true) {
    if (Date.now() > until) throw new Fault("notResponding", "The primary does not see the device's firmware");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function writeDatabase(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const metadata = { converter: `sovd-edge ${VERSION}` };
  const mdd = await writeMdd({ description: demoDatabase(ECU), deflate: deflateLzma, metadata });
  await writeFile(join(folder, `${ECU.name}.mdd`), mdd);
}

async function file(folder: string, name: string, text: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}
