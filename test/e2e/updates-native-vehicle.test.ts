/** A campaign in the words of OpenSOVD's native server over three kinds of computers: the node's own slots, a secondary, a classic ECU. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { FIRST_VERSION, startUpdateScene, type UpdateScene } from "#cli/demo/update-scene.ts";
import { type Loose, QUICK, sceneClient } from "./updates-support.ts";

const TARGETS = ["compute_primary", "compute_secondary", "body_mcu"];
const LENGTH = 200_000;
const image = (text: string) => Buffer.from(text.padEnd(LENGTH, "."));

let scene: UpdateScene;
before(async () => {
  scene = await startUpdateScene(QUICK);
});
after(() => scene?.close());

function manifestOf(id: string, version: string, content: Uint8Array) {
  const sha256 = createHash("sha256").update(content).digest("hex");
  const target = { sha256, length: content.length, version };
  const targets = TARGETS.map((component) => [component, { ...target, rxswin: `R79 ${component} ${version}` }]);
  return { "x-manifest": { id, targets: Object.fromEntries(targets) } };
}

test("all kinds go new and back in one campaign; packages, RXSWIN and provenance agree on every node", async () => {
  const client = sceneClient(scene.primary);
  await client.upload("body_mcu", "current-image", image("body 1.0.0"));
  const campaign = async (id: string, version: string, text: string) => {
    const content = image(text);
    const artifact_uri = await client.upload("compute_primary", "firmware-artifacts", content);
    const about = { name: id, targetComponents: TARGETS, artifact_uri, ...manifestOf(id, version, content) };
    const created = await client.send("POST", "/ucm/campaigns", about);
    assert.equal(created.status, 201, created.bytes.toString());
    assert.equal((await client.send("POST", `/ucm/campaigns/${id}/execute`)).status, 202);
  };
  const report = async () => (await client.send("GET", "/rxswin/report")).json;
  const statusOf = async (component: string, id: string) =>
    (await client.send("GET", `/components/${component}/software-packages/${id}/status`)).json;

  await campaign("spring", "2.0.0", "all 2.0.0");
  await client.until("spring", "completed");
  const { status, progress, transferStates } = (await client.send("GET", "/ucm/campaigns/spring")).json;
  assert.deepEqual([status, progress], ["activated", 100]);
  assert.deepEqual(
    transferStates.map(({ componentId, state }: Loose) => [componentId, state]),
    TARGETS.map((component) => [component, "activated"]),
  );
  for (const component of TARGETS) assert.equal((await statusOf(component, "spring")).status, "activated");
  assert.equal((await statusOf("body_mcu", "spring")).previousVersion, FIRST_VERSION);
  const good = await report();
  assert.deepEqual(
    good.entries.map(({ rxswin }: Loose) => rxswin).sort(),
    TARGETS.map((component) => `R79 ${component} 2.0.0`).sort(),
  );
  assert.match(good.vin, /^[A-HJ-NPR-Z0-9]{17}$/, "as the vehicle announces it");

  await campaign("summer", "3.0.0", "all 3.0.0 UNHEALTHY on compute_secondary");
  await client.until("summer", "rolledBack");
  const back = (await client.send("GET", "/ucm/campaigns/summer")).json;
  assert.deepEqual([back.status, back.progress], ["rolledBack", undefined]);
  assert.match(back.error, /compute_secondary/);
  for (const component of TARGETS) {
    assert.deepEqual(
      [(await statusOf(component, "summer")).status, (await statusOf(component, "spring")).status],
      ["failed", "activated"],
      component,
    );
  }
  assert.match(await readFile(scene.imageOf("compute_secondary"), "latin1"), /^all 2\.0\.0/);
  assert.deepEqual((await report()).entries, good.entries);
  const own = sceneClient(scene.secondaries[0]!);
  assert.equal((await own.send("GET", "/rxswin/compute_secondary")).json.rxswin, "R79 compute_secondary 2.0.0");
  const ends = (await own.send("GET", "/update-provenance")).json.items;
  assert.deepEqual(
    ends.map(({ newVersion, updateMethod, success, rxswinAfter }: Loose) => {
      return [newVersion, updateMethod, success, rxswinAfter];
    }),
    [
      ["2.0.0", "workshop", true, "R79 compute_secondary 2.0.0"],
      ["3.0.0", "workshop", false, "R79 compute_secondary 2.0.0"],
    ],
  );
});

test("a package of the ECU alone: flashed when it is activated, by its own image when it goes back", async () => {
  const client = sceneClient(scene.primary);
  const state = async () => (await client.send("GET", "/components/body_mcu/software-packages/body-4/status")).json;
  const content = image("body 4.0.0");
  const downloadUrl = await client.upload("body_mcu", "firmware-artifacts", content);
  const checksum = createHash("sha256").update(content).digest("hex");
  const manifest = { name: "Body", version: "4.0.0", downloadUrl, checksum, size: content.length };
  const path = "/components/body_mcu/software-packages/body-4";
  assert.equal((await client.send("POST", path, manifest)).status, 202);
  await client.until("body-4", "prepared");
  assert.deepEqual([(await state()).status, (await state()).previousVersion], ["installed", "2.0.0"]);
  const version = async () => (await client.send("GET", "/components/body_mcu/x-medkit-update")).json.current_version;
  assert.equal(await version(), "2.0.0", "installing has not touched the ECU");
  assert.equal((await client.send("POST", `${path}/activate`)).status, 202);
  await client.until("body-4", "completed");
  assert.deepEqual([(await state()).status, await version()], ["activated", "4.0.0"]);
});
