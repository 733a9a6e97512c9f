/** `npm run demo:update`: one call updates five computers of a vehicle; then one that is unwell takes all of them back. */
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { request } from "undici";
import { reasonOf } from "#core/errors.ts";
import { BYTES_TYPE, JSON_TYPE } from "#core/media-types.ts";
import { COMPONENTS, type SceneNode, startUpdateScene, type UpdateScene } from "./demo/update-scene.ts";
import { endOnSignals } from "./signals.ts";
import { progressLines, type StatusView } from "./update-progress.ts";

const TIMING = { soak_ms: 1_000, health_interval_ms: 100, health_min_polls: 3, status_interval_ms: 50, retry_ms: 100 };
const POLL_MS = 100;
const IMAGE_BYTES = 512 * 1024;
const NEW_FAULT = "0A1B01";

type Say = (line: string) => void;

async function call(
  node: SceneNode,
  method: string,
  path: string,
  body?: object | Buffer,
): Promise<Record<string, unknown>> {
  const raw = body instanceof Buffer;
  const answer = await request(node.url + path, {
    method: method as "GET",
    headers: {
      authorization: `Bearer ${node.token}`,
      ...(body === undefined ? {} : { "content-type": raw ? BYTES_TYPE : JSON_TYPE }),
    },
    ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

const image = (text: string): Buffer => Buffer.alloc(IMAGE_BYTES, `${text}\n`);

/** Registers, prepares and executes. `during`: done once the ECU is on trial. */
async function update(
  scene: UpdateScene,
  say: Say,
  version: string,
  during: () => Promise<void> = async () => undefined,
): Promise<StatusView> {
  const { primary } = scene;
  const content = `vehicle software ${version}`;
  const path = "/components/compute_primary/bulk-data/firmware-artifacts";
  const { id: file } = await call(primary, "POST", path, image(content));
  const id = `vehicle-fw-v${version}`;
  say(`\nPOST ${primary.url}/updates, then PUT …/updates/${id}/prepare and /execute`);
  await call(primary, "POST", "/updates", {
    id,
    update_name: `Vehicle Firmware v${version}`,
    origins: ["proximity"],
    automated: false,
    rollback_policy: "coordinated",
    target_version: version,
    artifact_uri: `${path}/${String(file)}`,
    affected_components: [...COMPONENTS],
  });
  await call(primary, "PUT", `/updates/${id}/prepare`);
  const prepared = await follow(primary, say, id);
  if (prepared.status === "failed") return prepared;
  await call(primary, "PUT", `/updates/${id}/execute`);
  let done = false;
  return follow(primary, say, id, async ({ subprogress = [] }) => {
    const ecu = subprogress.find(({ entity }) => entity === "body_mcu");
    if (done || ecu?.["x-state"] !== "trial") return;
    done = true;
    await during();
  });
}

/** Tells what changes until nothing more does. */
async function follow(
  node: SceneNode,
  say: Say,
  id: string,
  seen: (status: StatusView) => Promise<void> = async () => undefined,
): Promise<StatusView> {
  let shown: string[] = [];
  for (;;) {
    const status = (await call(node, "GET", `/updates/${id}/status`)) as unknown as StatusView;
    await seen(status);
    const lines = progressLines(status);
    for (const line of lines.filter((each) => !shown.includes(each))) say(`  ${line}`);
    shown = lines;
    if (status.status !== "inProgress" && status.status !== "pending") return status;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The ECU has a fault that it did not have when the update began. */
async function breakEcu({ vehicle }: UpdateScene): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${vehicle.controlPort}/BODY_MCU/dtc/Standard`, {
    method: "PUT",
    headers: { "content-type": JSON_TYPE },
    body: JSON.stringify({ id: NEW_FAULT, statusMask: "2F" }),
  });
  if (!answer.ok) throw new Error(`the simulated ECU answers ${answer.status}`);
}

async function tellSoftware(scene: UpdateScene, say: Say): Promise<string[]> {
  const found: string[] = [];
  for (const component of COMPONENTS.slice(0, 3)) {
    const text = await readFile(scene.imageOf(component), "latin1").catch(() => "nothing");
    found.push(`${component}: ${text.split("\n", 1)[0]}`);
  }
  const facts = await call(scene.primary, "GET", "/components/body_mcu/x-medkit-update");
  found.push(`body_mcu: version ${String(facts.current_version)}`, `battery: version ${scene.device.version}`);
  for (const line of found) say(`  runs now: ${line}`);
  return found;
}

/** Plays both acts. @throws Error naming what was not as promised */
export async function playUpdateDemo(scene: UpdateScene, say: Say): Promise<void> {
  say(
    `Primary ${scene.primary.url}; secondaries ${scene.secondaries.map(({ url }) => url).join(", ")}; one ECU behind DoIP, one device by drogue-ajour`,
  );
  say("The image that is on the ECU now is kept, so that it can go back");
  await call(scene.primary, "POST", "/components/body_mcu/bulk-data/current-image", image("vehicle software 1.0.0"));
  const first = await update(scene, say, "2.0.0");
  if (first.status !== "completed") throw new Error(`the first update ended ${first.status}`);
  const before = await tellSoftware(scene, say);
  say("\nThe next one makes the ECU unwell: its health check fails, and all go back together");
  const second = await update(scene, say, "3.0.0", () => breakEcu(scene));
  if (second["x-state"] !== "rolledBack") throw new Error(`the second update ended ${second["x-state"]}`);
  const after = await tellSoftware(scene, say);
  if (before.join() !== after.join()) throw new Error("the vehicle runs a mixture");
  const { items } = (await call(scene.primary, "GET", "/updates/vehicle-fw-v3.0.0/x-audit")) as {
    items: Record<string, unknown>[];
  };
  say(`\nOn record (${items.length} entries of vehicle-fw-v3.0.0):`);
  for (const { seq, event, component = "", from = "", to, result } of items) {
    const states = to === undefined ? "" : `${String(from).padStart(11)} → ${String(to)}`;
    say(
      `  ${String(seq).padStart(4)}  ${String(event).padEnd(17)} ${String(component).padEnd(18)} ${states.padEnd(25)}  ${String(result)}`,
    );
  }
}

async function main(once: boolean): Promise<void> {
  const say: Say = (line) => void process.stdout.write(`${line}\n`);
  const scene = await startUpdateScene(TIMING);
  let interrupted = false;
  const ended = endOnSignals(async () => {
    interrupted = true;
    await scene.close();
  });
  try {
    await playUpdateDemo(scene, say);
  } catch (error) {
    // calls to what was closed fail
    if (interrupted) return ended;
    await scene.close();
    throw error;
  }
  if (once) {
    await scene.close();
    return;
  }
  say(`\nThe vehicle stays up; Ctrl-C ends it.`);
  await ended;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(process.argv.includes("--once")).catch((error: unknown) => {
    process.stderr.write(`The demo failed: ${reasonOf(error)}\n`);
    process.exitCode = 1;
  });
}
