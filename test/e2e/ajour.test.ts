/** Devices that fetch their firmware by drogue-ajour, over each transport, through campaigns of a real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFlash } from "#sim/ajour-device.ts";
import { httpLink } from "#sim/ajour-links.ts";
import { image, MIB, PASSWORD, startDevice, startNode } from "./ajour-support.ts";

const TIMEOUT_MS = 2_000;
const LOGIN = { device: "bms-1", password: PASSWORD, timeoutMs: TIMEOUT_MS };

test("HTTP: 1 MiB in under a minute, then good", async (t) => {
  const node = await startNode(t);
  const { device, events } = startDevice(t, createFlash("1.0"), { link: httpLink(node.origin, LOGIN) });
  const firmware = image(MIB);
  const begun = performance.now();
  const status = await node.update(firmware, "1.1");
  assert.equal(status["x-state"], "completed", JSON.stringify(status));
  assert.ok(performance.now() - begun < 60_000);
  assert.equal(device.version, "1.1");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
  assert.equal(device.onTrial, false);
  assert.equal(events.filter(({ type }) => type === "block").length, MIB / 4_096);
});
