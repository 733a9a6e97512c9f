import assert from "node:assert/strict";
import { test } from "node:test";
import { VehicleFleet } from "#fleet/fleet.ts";
import type { CatalogEntry, EcuStateWord, ToShard } from "#fleet/messages.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { PATIENT } from "./patient-clock.ts";
import type { Order } from "./played-shard.ts";

function entry(name: string, gatewayAddress: number): CatalogEntry {
  return {
    database: `${name}.mdd`,
    version: "1",
    converter: undefined,
    name,
    revision: "1",
    functional: false,
    gatewayAddress,
    ecuAddress: 0x2000,
    comParams: {} as CatalogEntry["comParams"],
    protocol: undefined,
    groups: [],
    fields: [],
  };
}

test("an ECU that moved to another shard: what its former one says of it is passed over", async (t) => {
  const fleet = new VehicleFleet({
    shards: 2,
    entry: new URL("./played-shard.ts", import.meta.url).href,
    shardConfig: {},
    clock: PATIENT,
    requestTimeoutMs: 60_000,
    functionalDescription: "",
    enabledGroups: undefined,
    restartDelayMs: 0,
    protocolName: "",
    onLog: () => {},
    onShardDied: () => {},
  });
  fleet.start();
  cleanup(t, () => fleet.stop());
  const [first, second] = fleet.shards;
  const tell = async (shard = first, state: EcuStateWord) => {
    const order: Order = { type: "tell", message: { type: "ecu", name: "BODY", state, isBaseVariant: false } };
    shard!.send(order as unknown as ToShard);
    await shard!.stats();
  };
  await fleet.load({ generation: 1, entries: [entry("BODY", 0x1000), entry("FRONT", 0x1100)], broken: [] });
  assert.equal(fleet.shardOf("BODY"), first);
  await tell(first, "Online");
  assert.equal(fleet.ecu("BODY")?.state, "Online");
  await fleet.load({ generation: 2, entries: [entry("BODY", 0x1100)], broken: [] });
  assert.equal(fleet.shardOf("BODY"), second);
  await tell(second, "Online");
  await tell(first, "Offline");
  assert.equal(fleet.ecu("BODY")?.state, "Online");
});
