/** What a device is told, row by row; who a device is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Status } from "#update/ajour/codec.ts";
import { firmwareStatus } from "#update/ajour/firmware-status.ts";
import { readDelivery } from "#update/ajour/mqtt.ts";
import { type Desired, type Gate, nextStep, offsetOf, type Step, versionText } from "#update/ajour/next.ts";
import { Registry } from "#update/ajour/registry.ts";
import fc from "../../fixtures/properties.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const LIMITS = { defaultBlockBytes: 512, minBlockBytes: 16, maxBlockBytes: 4_096, pollS: 300, gatePollS: 5 };
const IMAGE = { version: bytes("2.0"), sizeBytes: 1_000, sha256: "00" };
const wanted = (gate: Gate): Desired => ({ image: IMAGE, gate });
const report = (version: string, offset?: number, of = "2.0", mtu?: number): Status => ({
  version: bytes(version),
  mtu,
  update: offset === undefined ? undefined : { version: bytes(of), offset },
});
const WAIT: Step = { type: "wait", pollS: 300 };
const GATE: Step = { type: "wait", pollS: 5 };
const SYNC: Step = { type: "sync", pollS: 300 };
const write = (offset: number, length: number): Step => ({ type: "write", offset, length });

test("steps", () => {
  for (const [name, status, desired, step] of [
    ["nobody wants anything of it", report("1.0"), undefined, WAIT],
    ["it has what it shall have", report("2.0"), wanted("open"), SYNC],
    ["and an update waits for it", report("2.0"), { ...wanted("open"), busy: true }, { type: "sync", pollS: 5 }],
    ["it begins", report("1.0"), wanted("open"), write(0, 512)],
    ["it goes on", report("1.0", 512), wanted("open"), write(512, 488)],
    ["it received another version before", report("1.0", 512, "1.9"), wanted("open"), write(0, 512)],
    ["it has all", report("1.0", 1_000), wanted("open"), { type: "swap" }],
    ["it has more than there is", report("1.0", 1_001), wanted("open"), write(0, 512)],
    ["an older version is an update as well", report("3.0"), wanted("open"), write(0, 512)],
    ["it names a block size", report("1.0", 0, "2.0", 64), wanted("open"), write(0, 64)],
    ["larger than allowed", report("1.0", 0, "2.0", 100_000), wanted("open"), write(0, 1_000)],
    ["none", report("1.0", 0, "2.0", 0), wanted("open"), WAIT],
    ["too small", report("1.0", 0, "2.0", 15), wanted("open"), WAIT],
    ["it may fill its memory", report("1.0", 0), wanted("download"), write(0, 512)],
    ["and not swap", report("1.0", 1_000), wanted("download"), WAIT],
    ["an update waits for its verdict", report("1.0", 1_000), { ...wanted("download"), busy: true }, GATE],
    ["it may swap", report("1.0", 1_000), wanted("trial"), { type: "swap" }],
    ["and not keep it", report("2.0"), { ...wanted("trial"), busy: true }, GATE],
    ["it is held", report("1.0"), { ...wanted("held"), busy: true }, GATE],
    ["held with what it tries", report("2.0"), { ...wanted("held"), busy: true }, GATE],
  ] as const) {
    assert.deepEqual(nextStep(status, desired, LIMITS), step, name);
  }
});

test("blocks stay within the image and its limits, whatever a device says", () => {
  const u32 = fc.nat({ max: 0xffff_ffff });
  const status = fc.record({ mtu: fc.option(u32, { nil: undefined }), offset: u32 });
  fc.assert(
    fc.property(status, fc.integer({ min: 1, max: 1 << 20 }), ({ mtu, offset }, sizeBytes) => {
      const image = { ...IMAGE, sizeBytes };
      const said = { version: bytes("1.0"), mtu, update: { version: IMAGE.version, offset } };
      const step = nextStep(said, { image, gate: "open" }, LIMITS);
      assert.equal(step.type === "swap", offsetOf(said, image) === sizeBytes);
      if (step.type !== "write") return;
      assert.ok(step.length > 0 && step.length <= LIMITS.maxBlockBytes && step.offset + step.length <= sizeBytes);
    }),
  );
});

test("what is written back of a device", () => {
  const inSync = (status: string) => ({ type: "InSync", status });
  const progress = (status: string, message: string) => ({ type: "UpdateProgress", status, message });
  for (const [status, image, expected] of [
    [report("1.0"), undefined, { current: "1.0", target: null, conditions: [] }],
    [report("1.0"), IMAGE, [inSync("False"), progress("True", "0.00")]],
    [report("1.0", 333), IMAGE, [inSync("False"), progress("True", "33.30")]],
    [report("1.0", 333, "1.9"), IMAGE, [inSync("False"), progress("True", "0.00")]],
    [report("2.0"), IMAGE, [inSync("True"), progress("False", "100.00")]],
  ] as const) {
    const { conditions, ...rest } = firmwareStatus({ status, image });
    if (image === undefined) assert.deepEqual({ ...rest, conditions }, expected);
    else assert.deepEqual([rest.target, conditions], ["2.0", expected]);
  }
});

test("versions for people", () => {
  assert.equal(versionText(bytes("1.0-rc1")), "1.0-rc1");
  assert.equal(versionText(Uint8Array.of(1, 255, 0)), "0x01ff00");
});

const oci = { kind: "oci", image: "fw:1", pull: "Always" } as const;
const file = { kind: "file", component: "c", category: "firmware", name: "n" } as const;
const OPTIONS = {
  authentication: "password",
  defaultApplication: "default",
  applications: { default: { password: "shared", firmware: oci }, other: {} },
  devices: {
    own: { application: "default", password: "mine", gateways: ["gate", "twin"], firmware: file },
    plain: { application: "default", gateways: [] },
    far: { application: "other", password: "far", gateways: [] },
    twin: { application: "other", password: "twin", gateways: [] },
  },
} as const;
const registry = new Registry(OPTIONS);
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

test("devices prove who they are", () => {
  for (const [authorization, as, expected] of [
    [basic("own:mine"), undefined, "own@default"],
    [basic("own@default:mine"), undefined, "own@default"],
    [basic("plain:shared"), undefined, "plain@default"],
    [basic("unlisted:shared"), undefined, "unlisted@default"],
    [basic("far@other:far"), undefined, "far@other"],
    [basic("gate:shared"), "own", "own@default"],
    [basic("own:mine"), "own", "own@default"],
    [basic("own:shared"), undefined, "unauthorized"],
    [basic("far:far"), undefined, "unauthorized"],
    [basic("own@other:mine"), undefined, "unauthorized"],
    [basic("constructor:shared"), undefined, "constructor@default"],
    [basic("x@__proto__:shared"), undefined, "unauthorized"],
    [basic("own"), undefined, "unauthorized"],
    [basic(":shared"), undefined, "badRequest"],
    ["Bearer abc", undefined, "unauthorized"],
    ["", undefined, "unauthorized"],
    [basic("plain:shared"), "own", "forbidden"],
    [basic("gate:shared"), "plain", "forbidden"],
    [basic("gate@other:far"), "own@default", "unauthorized"],
    [basic("far@other:far"), "own@default", "forbidden"],
    [basic("twin@other:twin"), "own@default", "forbidden"],
  ] as const) {
    assert.equal(
      nameOf(() => registry.identify({ authorization, as })),
      expected,
      `${authorization} as ${as}`,
    );
  }
  const known = { authorization: basic("own:mine") };
  for (const [device, application, expected] of [
    ["own", undefined, "own@default"],
    ["own@default", "default", "own@default"],
    ["plain", undefined, "badRequest"],
    ["own", "other", "unauthorized"],
  ] as const) {
    assert.equal(
      nameOf(() => registry.identify({ ...known, device, application })),
      expected,
    );
  }
  const open = new Registry({ ...OPTIONS, authentication: "none" });
  assert.equal(
    nameOf(() => open.identify({ authorization: "", device: "any", application: "x" })),
    "any@x",
  );
});

test("a device's own firmware goes before its application's", () => {
  assert.equal(registry.firmwareOf({ device: "own", application: "default" }), file);
  assert.equal(registry.firmwareOf({ device: "plain", application: "default" }), oci);
  assert.equal(registry.firmwareOf({ device: "own", application: "other" }), undefined);
  assert.equal(registry.firmwareOf({ device: "far", application: "other" }), undefined);
});

test("what comes over MQTT", () => {
  const named = registry.named.bind(registry);
  const event = (value: object) => Buffer.from(JSON.stringify(value));
  const message = bytes("report");
  const base64 = Buffer.from(message).toString("base64");
  const good = { subject: "dfu", device: "own", application: "other", data_base64: base64 };
  assert.deepEqual(readDelivery("dfu/own", message, named), {
    identity: { device: "own", application: "default" },
    message,
    answerTo: "command/inbox/own/dfu",
  });
  assert.equal(readDelivery("dfu", message, named), undefined, "nobody knows whose it is");
  assert.deepEqual(readDelivery("dfu", message, named, "own@other"), {
    identity: { device: "own", application: "other" },
    message,
    answerTo: "command/inbox//dfu",
  });
  assert.equal(readDelivery("$shared/edge/app/other", event(good), named)?.answerTo, "command/other/own/dfu");
  const delivery = readDelivery("app/other", event(good), named);
  assert.deepEqual(delivery?.identity, { device: "own", application: "other" });
  assert.equal(delivery?.answerTo, "command/other/own/dfu");
  assert.deepEqual(new Uint8Array(delivery!.message), message);
  assert.equal(readDelivery("app/other", event({ ...good, subject: "temperature" }), named), undefined);
  assert.equal(readDelivery("elsewhere", message, named), undefined);
  for (const bad of [
    event({ ...good, device: 7 }),
    event({ ...good, device: "a/b" }),
    Buffer.from("{"),
    Buffer.from("7"),
  ]) {
    assert.throws(() => readDelivery("app/other", bad, named), Fault);
  }
  assert.throws(() => readDelivery("dfu/own", Buffer.alloc(100_000), named), Fault);
});

function nameOf(identify: () => { device: string; application: string }): string {
  try {
    const { device, application } = identify();
    return `${device}@${application}`;
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error.kind;
  }
}
