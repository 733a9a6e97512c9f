/** The scene of the seed: one POST, one PUT; five computers of four kinds; one that is unwell takes all back. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { COMPONENTS, startUpdateScene, type UpdateScene } from "#cli/demo/update-scene.ts";
import { type Loose, QUICK, sceneClient } from "./updates-support.ts";

let scene: UpdateScene;
before(async () => {
  // the health check of the ECU must outlast what a test does meanwhile
  scene = await startUpdateScene({ ...QUICK, soak_ms: 3_000 });
});
after(() => scene?.close());

test("what an update needs of a component is linked there, at an ECU as at the node itself", async () => {
  const client = sceneClient(scene.primary);
  const names = ["bulk-data", "software-packages", "x-medkit-update", "cyclic-subscriptions", "triggers"];
  for (const component of ["body_mcu", "compute_primary"]) {
    const { json } = await client.send("GET", `/components/${component}`);
    for (const name of names) assert.equal((await client.send("GET", json[name])).status, 200, `${component}: ${name}`);
  }
});

const LENGTH = 300_000;
const image = (text: string) => Buffer.from(text.padEnd(LENGTH, "."));

async function versionOfEcu(): Promise<string> {
  const { json } = await sceneClient(scene.primary).send("GET", "/components/body_mcu/x-medkit-update");
  return json.current_version;
}

test("one call, all new; then an unhealthy one takes all back, the ECU by its old image", async () => {
  const client = sceneClient(scene.primary);
  await client.upload("body_mcu", "current-image", image("body 1.0.0"));
  const update = async (id: string, version: string, content: string) => {
    const uri = await client.upload("compute_primary", "firmware-artifacts", image(content));
    await client.run({
      id,
      update_name: id,
      origins: ["proximity"],
      rollback_policy: "coordinated",
      target_version: version,
      artifact_uri: uri,
      affected_components: [...COMPONENTS],
    });
  };
  await update("vehicle-fw-v2.0", "2.0.0", "all 2.0.0");
  const done = await client.until("vehicle-fw-v2.0", "completed");
  assert.deepEqual(
    done.subprogress.map(({ entity, status, progress }: Loose) => [entity, status, progress]),
    COMPONENTS.map((name) => [name, "completed", 100]),
  );
  for (const component of COMPONENTS.slice(0, 3)) {
    assert.match(await readFile(scene.imageOf(component), "latin1"), /^all 2\.0\.0/);
  }
  assert.deepEqual([await versionOfEcu(), scene.device.version], ["2.0.0", "2.0.0"]);

  await update("vehicle-fw-v3.0", "3.0.0", "all 3.0.0 UNHEALTHY on sensor_fusion");
  const back = await client.until("vehicle-fw-v3.0", "rolledBack");
  assert.equal(back.status, "failed");
  for (const component of COMPONENTS.slice(0, 3)) {
    assert.match(await readFile(scene.imageOf(component), "latin1"), /^all 2\.0\.0/);
  }
  assert.deepEqual([await versionOfEcu(), scene.device.version], ["2.0.0", "2.0.0"]);
});

test("a new fault on the ECU takes all back, the ECU by flashing its old image", async () => {
  const client = sceneClient(scene.primary);
  const uri = await client.upload("compute_primary", "firmware-artifacts", image("all 4.0.0"));
  const id = "vehicle-fw-v4.0";
  const before = await versionOfEcu();
  await client.send("POST", "/updates", {
    id,
    origins: ["proximity"],
    rollback_policy: "coordinated",
    target_version: "4.0.0",
    artifact_uri: uri,
    affected_components: [...COMPONENTS],
  });
  assert.equal((await client.send("PUT", `/updates/${id}/prepare`)).status, 202);
  await client.until(id, "prepared");
  await client.send("PUT", `/updates/${id}/execute`);
  // a fault that was there before, or that is set while DTC setting is off, says nothing of the new software
  const onTrial = (each: Loose) => each.entity === "body_mcu" && each["x-state"] === "trial";
  while (!(await client.send("GET", `/updates/${id}/status`)).json.subprogress.some(onTrial));
  await fetch(`http://127.0.0.1:${scene.vehicle.controlPort}/BODY_MCU/dtc/Standard`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "0A1B01", statusMask: "2F" }),
  });
  const back = await client.until(id, "rolledBack");
  const ecu = back.subprogress.find(({ entity }: Loose) => entity === "body_mcu");
  assert.equal(ecu["x-state"], "rolledBack");
  assert.match(back.error, /new faults 0A1B01/i);
  assert.equal(await versionOfEcu(), before);
  assert.equal(scene.device.version, before, "the device goes back with all");
  const { json } = await client.send("GET", `/updates/${id}/x-audit`);
  const order = json.items
    .filter(({ event }: Loose) => event === "memberRolledBack")
    .map(({ component }: Loose) => component);
  assert.equal(order[0], "body_mcu", "the last that was started goes back first");
});

test("an ECU that somebody locked between prepare and execute is not flashed, and nobody keeps new software", async () => {
  const client = sceneClient(scene.primary);
  const uri = await client.upload("compute_primary", "firmware-artifacts", image("all 5.0.0"));
  const id = "vehicle-fw-v5.0";
  const before = await versionOfEcu();
  await client.send("POST", "/updates", {
    id,
    origins: ["proximity"],
    rollback_policy: "coordinated",
    target_version: "5.0.0",
    artifact_uri: uri,
    affected_components: [...COMPONENTS],
  });
  await client.send("PUT", `/updates/${id}/prepare`);
  await client.until(id, "prepared");
  const locked = await client.send("POST", "/components/body_mcu/locks", { lock_expiration: 600 });
  assert.equal(locked.status, 201);
  await client.send("PUT", `/updates/${id}/execute`);
  assert.match((await client.until(id, "rolledBack")).error, /body_mcu: .*lock/i);
  for (const component of COMPONENTS.slice(0, 3)) {
    assert.match(await readFile(scene.imageOf(component), "latin1"), /^all 2\.0\.0/);
  }
  await client.send("DELETE", `/components/body_mcu/locks/${locked.json.id}`);
  assert.equal(await versionOfEcu(), before);
});
