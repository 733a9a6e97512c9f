/** What the security plugin learns of a call's services is what the call then runs; asking sends nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "#core/errors.ts";
import type { EcuCalls, GroupCalls, ServiceFacts } from "#fleet/messages.ts";
import { richDatabase } from "../../e2e/appendix-a-databases.ts";
import { groupDatabase } from "../../e2e/databases.ts";
import { description, FakeVehicle } from "./vehicle.ts";

const GATEWAY = 0x1000;

async function online() {
  const vehicle = new FakeVehicle();
  vehicle.assign(
    vehicle.catalog({
      "central.mdd": description("CENTRAL"),
      "body.mdd": richDatabase("BODY"),
      "functional_groups.mdd": groupDatabase(),
    }),
  );
  const gateway = await vehicle.connect(GATEWAY);
  return { vehicle, sent: () => gateway.links.reduce((sum, link) => sum + link.sent.length, 0) };
}

const shown = (facts: readonly ServiceFacts[] | undefined) =>
  facts?.map(({ name, prefix, request }) => `${name} ${prefix}${request === undefined ? "" : ` ${request}`}`);

const BODY = { type: "none" } as const;
const transfer = { id: "1", path: "/x", fileId: "f", blockSequenceCounter: 1, blockSize: 4, offset: 0, length: 1 };
const CALLS: [wanted: EcuCalls["resolveServices"], services: string[]][] = [
  [{ call: "dataRead", args: { service: "vin" } }, ["VIN_Read 22F190"]],
  [{ call: "dataWrite", args: { service: "serviceinterval", body: BODY } }, ["ServiceInterval_Write 2ED001"]],
  [{ call: "operationStart", args: { service: "calibrate", body: BODY } }, ["Calibrate_Start 31011002"]],
  [{ call: "operationStop", args: { service: "calibrate" } }, ["Calibrate_Stop 31021002"]],
  [{ call: "operationResults", args: { service: "calibrate" } }, ["Calibrate_RequestResults 31031002"]],
  [{ call: "genericService", args: { request: Uint8Array.of(0x22, 0xf1, 0x90) } }, ["VIN_Read 22F190 22F190"]],
  [{ call: "genericService", args: { request: Uint8Array.of(0x3d, 1) } }, ["0x3D 3D01 3D01"]],
  [{ call: "reset", args: { value: "hardreset" } }, ["HardReset 1101"]],
  [{ call: "modeWrite", args: { mode: "session", value: "extended" } }, ["Extended_Start 1003"]],
  [{ call: "modeWrite", args: { mode: "security", value: "Level_5_RequestSeed" } }, ["Level_5_RequestSeed 2705"]],
  [{ call: "modeWrite", args: { mode: "security", value: "Level_5", key: "00" } }, ["Level_5_SendKey 2706"]],
  [{ call: "modeWrite", args: { mode: "dtcsetting", value: "off" } }, ["DTC_Setting_Mode_Off 8502"]],
  [{ call: "faultList", args: { scope: "FaultMem" } }, ["FaultMem_ReportDTCByStatusMask 1902"]],
  [{ call: "faultClear", args: { code: "0A1B01" } }, ["FaultMem_ClearDTCs 14 140A1B01"]],
  [{ call: "faultClear", args: {} }, ["FaultMem_ClearDTCs 14 14FFFFFF"]],
  [{ call: "requestDownload", args: { parameters: {} } }, ["RequestDownload 34"]],
  [{ call: "transferStart", args: transfer }, ["TransferData 36"]],
  [{ call: "transferExit", args: {} }, ["RequestTransferExit 37"]],
];
for (const [wanted, services] of CALLS) {
  test(`${wanted.call} ${JSON.stringify(wanted.args)} runs ${services}`, async () => {
    const { vehicle, sent } = await online();
    const before = sent();
    const { meta } = await vehicle.call("BODY", "resolveServices", wanted);
    assert.deepEqual(shown(meta?.services), services);
    assert.equal(sent(), before);
  });
}

test("a fault is read by its report, and by what is asked of what is stored beside it", async () => {
  const { vehicle } = await online();
  const names = async (extendedData: boolean, snapshotData: boolean) => {
    const wanted = { call: "faultRead", args: { code: "0A1B01", extendedData, snapshotData } } as const;
    return (await vehicle.call("BODY", "resolveServices", wanted)).meta?.services?.map(({ prefix }) =>
      prefix.slice(0, 4),
    );
  };
  assert.deepEqual(await names(false, false), ["1902"]);
  assert.deepEqual(await names(true, true), ["1902", "1906", "1904"]);
});

test("a transfer to an ECU whose database has no TransferData is known by its identifier", async () => {
  const { vehicle } = await online();
  const { meta } = await vehicle.call("CENTRAL", "resolveServices", { call: "transferStart", args: transfer });
  assert.deepEqual(shown(meta?.services), ["0x36 36"]);
});

test("a service that is not there is the same fault as the call's own", async () => {
  const { vehicle } = await online();
  const failed = (call: Promise<unknown>) =>
    call.then(
      () => assert.fail("it succeeded"),
      (error: Fault) => [error.kind, error.message],
    );
  const args = { value: "nothing" };
  const asked = await failed(vehicle.call("BODY", "resolveServices", { call: "reset", args }));
  assert.deepEqual(asked, await failed(vehicle.call("BODY", "reset", args)));
});

const GROUP: [wanted: GroupCalls["groupResolveServices"], service: string][] = [
  [{ call: "groupData", args: { service: "vin", action: "read", body: BODY } }, "VIN_Read_Func 22F190"],
  [
    { call: "groupOperation", args: { service: "calibrate", action: "results", body: BODY } },
    "Calibrate_RequestResults_Func 31031002",
  ],
  [{ call: "groupModeWrite", args: { mode: "session", value: "extended" } }, "Extended_Start 1003"],
];
for (const [wanted, service] of GROUP) {
  test(`${wanted.call} of a group runs ${service}`, async () => {
    const { vehicle, sent } = await online();
    const before = sent();
    const { meta } = await vehicle.call("everyone", "groupResolveServices", wanted);
    assert.deepEqual(shown(meta?.services), [service]);
    assert.equal(sent(), before);
  });
}

for (const list of ["groupDataList", "groupOperationList"]) {
  test(`${list} names the service of each item`, async () => {
    const { vehicle } = await online();
    const reply = await vehicle.call("everyone", list, {});
    const { items } = JSON.parse(new TextDecoder().decode(reply.body)) as { items: unknown[] };
    assert.equal(reply.meta?.services?.length, items.length);
    assert.ok(items.length > 0);
  });
}
