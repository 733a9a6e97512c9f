import assert from "node:assert/strict";
import test from "node:test";
import { place, placementKey } from "#fleet/placement.ts";

const ecu = (name: string, gatewayAddress: number | undefined) => ({ name, gatewayAddress });

test("gateways spread in order of their address, ECUs of one gateway stay together", () => {
  const placed = new Map<string, number>();
  const ecus = [ecu("D", 0x4000), ecu("A", 0x1000), ecu("A2", 0x1000), ecu("B", 0x2000), ecu("C", 0x3000)];
  place(ecus, 2, placed);
  assert.deepEqual(
    ecus.map((e) => placed.get(placementKey(e))),
    [0, 0, 0, 1, 1],
  );
  const load = [0, 1].map((shard) => ecus.filter((e) => placed.get(placementKey(e)) === shard).length);
  assert.ok(Math.max(...load) - Math.min(...load) <= 1);
});

test("what is placed stays, what is new goes to the least loaded shard", () => {
  const placed = new Map([["gateway:4096", 1]]);
  place([ecu("A", 0x1000), ecu("B", 0x2000), ecu("loose", undefined)], 2, placed);
  assert.equal(placed.get("gateway:4096"), 1);
  assert.equal(placed.get("gateway:8192"), 0);
  assert.ok(placed.has("ecu:loose"));
});
