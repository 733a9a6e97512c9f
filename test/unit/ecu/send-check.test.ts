/** The safety check of plugins stands before every way by which bytes leave for an ECU. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hexByte, toHex } from "#core/bytes.ts";
import type { Fault } from "#core/errors.ts";
import { createSendCheck, loadSafetyPlugins, type SafetyPlugin } from "#ecu/send-check.ts";
import type { CheckBeforeSend, EcuCallName, GroupCallName, SendFacts } from "#fleet/messages.ts";
import { richDatabase } from "../../e2e/appendix-a-databases.ts";
import { groupDatabase } from "../../e2e/databases.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { description, FakeVehicle, healthy } from "./vehicle.ts";

const GATEWAY = 0x1000;

function plugin(checkBeforeSend: CheckBeforeSend, more: Partial<SafetyPlugin> = {}): SafetyPlugin {
  return { name: "guard", checkBeforeSend, checkTesterPresent: false, ...more };
}

async function fault(call: Promise<unknown>): Promise<Fault> {
  return call.then(
    () => assert.fail("it succeeded"),
    (error) => error as Fault,
  );
}

/** A vehicle online whose plugin refuses whatever comes from now on, and what it was asked. */
async function guarded(more: Partial<SafetyPlugin> = {}) {
  const asked: SendFacts[] = [];
  const guard = { refusal: undefined as string | undefined };
  const problems: string[] = [];
  const check = plugin((facts) => {
    asked.push(facts);
    return guard.refusal;
  }, more);
  const vehicle = new FakeVehicle({ sendCheck: createSendCheck([check], (problem) => problems.push(problem))! });
  vehicle.assign(
    vehicle.catalog({
      "central.mdd": description("CENTRAL"),
      "body.mdd": richDatabase("BODY"),
      "functional_groups.mdd": groupDatabase(),
    }),
  );
  const gateway = await vehicle.connect(GATEWAY);
  const sent = () => gateway.links.flatMap((link) => link.sent.map(({ request }) => request));
  return { vehicle, gateway, guard, asked, problems, sent };
}

const BODY = { type: "none" } as const;
const CALLS: [call: EcuCallName, args: object, service: string | undefined, request: RegExp][] = [
  ["dataRead", { service: "vin" }, "VIN_Read", /^22F190$/],
  [
    "dataWrite",
    { service: "serviceinterval", body: { type: "json", parameters: { Interval: 100 } } },
    "ServiceInterval_Write",
    /^2ED0010001$/,
  ],
  ["genericService", { request: Uint8Array.of(0x22, 0xf1, 0x90) }, "VIN_Read", /^22F190$/],
  ["flashService", { request: Uint8Array.of(0x31, 1, 0xff, 0) }, undefined, /^3101FF00$/],
  ["operationStart", { service: "selftest", body: BODY }, "SelfTest_Start", /^31011001$/],
  ["operationStop", { service: "calibrate" }, "Calibrate_Stop", /^31021002$/],
  ["operationResults", { service: "calibrate" }, "Calibrate_RequestResults", /^31031002$/],
  ["reset", { value: "HardReset" }, "HardReset", /^1101$/],
  ["modeWrite", { mode: "session", value: "extended" }, "Extended_Start", /^1003$/],
  ["modeWrite", { mode: "security", value: "Level_5_RequestSeed" }, "Level_5_RequestSeed", /^2705$/],
  ["modeWrite", { mode: "security", value: "Level_5", key: "0102030405060708" }, "Level_5_SendKey", /^2706/],
  ["modeWrite", { mode: "commctrl", value: "EnableRxAndEnableTx" }, "EnableRxAndEnableTx_Control", /^28/],
  ["modeWrite", { mode: "dtcsetting", value: "off" }, "DTC_Setting_Mode_Off", /^8502$/],
  ["faultList", { scope: "FaultMem" }, "FaultMem_ReportDTCByStatusMask", /^1902FF$/],
  ["faultRead", { code: "0A1B01" }, "FaultMem_ReportDTCByStatusMask", /^1902FF$/],
  ["faultClear", {}, "FaultMem_ClearDTCs", /^14FFFFFF$/],
  [
    "requestDownload",
    { parameters: { DataFormatIdentifier: 0, MemoryAddress: 0, MemorySize: 4 } },
    "RequestDownload",
    /^3400/,
  ],
  ["transferExit", {}, "RequestTransferExit", /^37$/],
];
for (const [call, args, service, request] of CALLS) {
  test(`${call} ${JSON.stringify(args)} is asked for, and a refusal lets nothing leave`, async () => {
    const { vehicle, guard, asked, sent } = await guarded();
    const before = sent().length;
    asked.length = 0;
    guard.refusal = "the vehicle moves";
    const refused = await fault(vehicle.call("BODY", call, args));
    assert.deepEqual([refused.kind, refused.message], ["sendRefused", "the vehicle moves"]);
    assert.equal(refused.details?.plugin, "guard");
    assert.equal(sent().length, before);
    assert.equal(asked.length, 1);
    const [facts] = asked;
    assert.deepEqual([facts!.ecu, facts!.addressing, facts!.service], ["BODY", "physical", service]);
    assert.match(toHex(facts!.request), request);
    assert.equal(facts!.sid, facts!.request[0]);
  });
}

test("each block of a flash transfer is asked for, and a refusal aborts it in the plugin's words", async () => {
  const { vehicle, guard, asked } = await guarded();
  const path = file("image.bin", "0123456789");
  const blocks: string[] = [];
  vehicle.script = (request) => {
    if (!request.startsWith("36")) return healthy(request, "BODY");
    blocks.push(request);
    if (blocks.length === 2) guard.refusal = "ignition is off";
    return `76${request.slice(2, 4)}`;
  };
  asked.length = 0;
  const start = { id: "1", path, fileId: "f", blockSequenceCounter: 1, blockSize: 4, offset: 0, length: 10 };
  await vehicle.call("BODY", "transferStart", start);
  const last = await ended(vehicle);
  assert.deepEqual([last.status, last.error, blocks.length], ["aborted", "ignition is off", 2]);
  assert.deepEqual(
    asked.map(({ service, sid }) => `${service} ${hexByte(sid)}`),
    ["TransferData 36", "TransferData 36", "TransferData 36"],
  );
});

async function ended(vehicle: FakeVehicle) {
  for (;;) {
    const last = vehicle.posted.findLast((message) => message.type === "transfer");
    if (last?.type === "transfer" && last.status === "aborted") return last;
    await vehicle.quiet();
  }
}

const GROUP: [call: GroupCallName, args: object, request: string][] = [
  ["groupData", { service: "vin", action: "read", body: BODY }, "22F190"],
  ["groupOperation", { service: "selftest", action: "start", body: BODY }, "31011001"],
  ["groupModeWrite", { mode: "session", value: "extended" }, "1003"],
];
for (const [call, args, request] of GROUP) {
  test(`${call}: a functional request is asked for with each ECU that listens`, async () => {
    const { vehicle, gateway, guard, asked } = await guarded();
    const functional = gateway.links.find(({ target }) => target.addressing === "functional")!;
    asked.length = 0;
    guard.refusal = undefined;
    functional.onSend = () => {
      functional.handler.onAcknowledged();
      for (const name of ["CENTRAL", "BODY"])
        gateway.link(name).answer(healthy(request, name) ?? `7F${request.slice(0, 2)}31`);
    };
    await vehicle.call("everyone", call, args);
    assert.deepEqual(
      asked.map(({ ecu, addressing }) => `${ecu} ${addressing}`),
      ["CENTRAL functional", "BODY functional"],
    );
    guard.refusal = "no";
    const { meta } = await vehicle.call("everyone", call, args);
    assert.deepEqual(
      meta?.group?.errors.map(({ path, fault: { kind } }) => `${path} ${kind}`),
      ["/central sendRefused", "/body sendRefused"],
    );
    assert.deepEqual(
      functional.sent.map((sent) => sent.request),
      [request],
    );
  });
}

test("a repeat is a send of its own", async () => {
  const { vehicle, guard } = await guarded();
  vehicle.script = () => {
    guard.refusal = "too late";
    return "7F2221";
  };
  const refused = fault(vehicle.read("BODY", "vin"));
  await vehicle.quiet();
  vehicle.clock.advance(1_000);
  assert.equal((await refused).kind, "sendRefused");
});

for (const checkTesterPresent of [false, true]) {
  test(`tester present is ${checkTesterPresent ? "asked for when the plugin wants it" : "not asked for"}`, async () => {
    const { vehicle, asked, sent } = await guarded({ checkTesterPresent });
    asked.length = 0;
    await vehicle.call("BODY", "lockAcquired", {});
    await vehicle.quiet();
    assert.ok(sent().some((request) => request.startsWith("3E")));
    assert.equal(asked.length > 0, checkTesterPresent);
  });
}

test("a variant detection that is refused is named, and says nothing of the ECU", async () => {
  const check = createSendCheck([plugin(() => "not now")], () => {})!;
  const vehicle = new FakeVehicle({ sendCheck: check });
  vehicle.assign(vehicle.catalog({ "body.mdd": description("BODY") }));
  await vehicle.connect(GATEWAY);
  assert.equal(vehicle.state("BODY"), "NotTested");
  const log = vehicle.posted.find((message) => message.type === "log");
  assert.deepEqual(log?.type === "log" && [log.message, log.fields?.message], [
    "variant detection of BODY failed",
    "not now",
  ]);
  await vehicle.shard.stop();
});

const BROKEN: [name: string, check: unknown, reason: RegExp][] = [
  [
    "throws",
    () => {
      throw new Error("inside");
    },
    /^Plugin guard: checkBeforeSend failed: inside$/,
  ],
  ["answers later", async () => "too late", /at once/],
  ["answers later and fails", async () => Promise.reject(new Error("late")), /at once/],
  ["answers with another thing", () => false, /text or undefined/],
];
for (const [name, check, reason] of BROKEN) {
  test(`a check that ${name} is an internal error that names it, and nothing is sent`, () => {
    const problems: string[] = [];
    const ask = createSendCheck([plugin(check as CheckBeforeSend)], (problem) => problems.push(problem))!;
    const refused = ask({ ecus: [{ name: "BODY" }], addressing: "physical" }, Uint8Array.of(0x22, 1, 2), undefined);
    assert.equal(refused?.kind, "internal");
    assert.match(refused?.message ?? "", reason);
    assert.equal(problems.length, 1);
  });
}

test("what a plugin does to its copy of the bytes does not reach the ECU", () => {
  const bytes = Uint8Array.of(0x22, 0xf1, 0x90);
  const ask = createSendCheck([plugin(({ request }) => void request.fill(0))], () => {})!;
  assert.equal(ask({ ecus: [{ name: "BODY" }], addressing: "physical" }, bytes, undefined), undefined);
  assert.equal(toHex(bytes), "22F190");
});

test("without plugins there is no check", () =>
  assert.equal(
    createSendCheck([], () => {}),
    undefined,
  ));

test("a shard loads checks from modules, and names one that has none", async () => {
  const good = file("good.mjs", "export default ({ thread }) => ({ checkBeforeSend: () => 'no from ' + thread });");
  const [loaded] = await loadSafetyPlugins([good]);
  assert.equal(loaded!.checkBeforeSend({} as SendFacts), "no from shard");
  assert.equal(loaded!.checkTesterPresent, false);
  const bare = file("bare.mjs", "export default () => ({});");
  assert.match((await fault(loadSafetyPlugins([bare]))).message, /plugins\.modules: .*bare\.mjs/);
});

function file(name: string, text: string): string {
  const folder = scratchFolder("send-check");
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
