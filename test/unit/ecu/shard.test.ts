import assert from "node:assert/strict";
import test from "node:test";
import { toHex } from "#core/bytes.ts";
import type { Fault } from "#core/errors.ts";
import type { CatalogEntry } from "#fleet/messages.ts";
import { groupDatabase } from "../../e2e/databases.ts";
import { description, FakeVehicle, healthy, text, VIN } from "./vehicle.ts";

const GATEWAY = 0x1000;
const READ_INTERVAL = '{"id":"serviceinterval","data":{"Interval":15000}}';

function pair(vehicle: FakeVehicle) {
  return vehicle.catalog({ "central.mdd": description("CENTRAL"), "body.mdd": description("BODY") });
}

async function online(options?: ConstructorParameters<typeof FakeVehicle>[0]) {
  const vehicle = new FakeVehicle(options);
  vehicle.assign(pair(vehicle));
  const gateway = await vehicle.connect(GATEWAY);
  return { vehicle, gateway };
}

const requests = (vehicle: FakeVehicle, name: string) =>
  vehicle.gateways
    .get(GATEWAY)!
    .links.filter(({ target }) => target.name === name)
    .flatMap(({ sent }) => sent.map(({ request }) => request));

async function fault(call: Promise<unknown>): Promise<Fault> {
  return call.then(
    () => assert.fail("it succeeded"),
    (error) => error as Fault,
  );
}

test("nothing connects before a gateway speaks; then its ECUs are detected", async () => {
  const vehicle = new FakeVehicle();
  vehicle.assign(pair(vehicle));
  assert.equal(vehicle.gateways.size, 0);
  assert.deepEqual(vehicle.states("BODY"), ["Offline"]);
  assert.equal((await fault(vehicle.read("BODY"))).kind, "ecuOffline");
  await vehicle.connect(GATEWAY);
  assert.deepEqual(vehicle.states("BODY"), ["Offline", "NotTested", "Online"]);
  assert.deepEqual(requests(vehicle, "BODY"), ["22F100"]);
  assert.equal(text(await vehicle.read("BODY")), READ_INTERVAL);
});

test("a gateway that is lost takes its ECUs along and finds them again", async () => {
  const { vehicle, gateway } = await online();
  gateway.turn(false);
  assert.equal(vehicle.state("BODY"), "Disconnected");
  assert.equal((await fault(vehicle.read("BODY"))).message, "Ecu BODY offline");
  gateway.turn(true);
  await vehicle.quiet();
  assert.deepEqual(vehicle.states("BODY").slice(-3), ["Disconnected", "NotTested", "Online"]);
});

test("what was tracked is forgotten when an ECU comes back, and after a reset", async () => {
  const { vehicle, gateway } = await online();
  const session = async () => JSON.parse(text(await vehicle.call("BODY", "modeRead", { mode: "session" }))).value;
  const extended = () => vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended" });
  assert.equal(await session(), "Default");
  await extended();
  assert.equal(await session(), "Extended");
  await vehicle.call("BODY", "reset", { value: "HardReset" });
  assert.equal(await session(), "Default");
  await extended();
  gateway.turn(false);
  gateway.turn(true);
  await vehicle.quiet();
  assert.equal(await session(), "Default");
  // nothing waits for the end of the extended session
  await vehicle.clock.advanceAsync(60_000);
  assert.equal(vehicle.clock.timers, 0);
});

test("a mode's end: the default is asked for, once, unless another change came", async () => {
  const { vehicle } = await online();
  const extended = (expirationS?: number) =>
    vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended", expirationS });
  await extended(5);
  await extended(8);
  vehicle.clock.advance(7_900);
  await vehicle.quiet();
  assert.ok(!requests(vehicle, "BODY").includes("1001"));
  vehicle.clock.advance(200);
  await vehicle.quiet();
  assert.equal(requests(vehicle, "BODY").filter((request) => request === "1001").length, 1);
  await extended(5);
  await extended();
  vehicle.clock.advance(60_000);
  await vehicle.quiet();
  assert.equal(requests(vehicle, "BODY").filter((request) => request === "1001").length, 1);
});

test("a frame marks its call, a queued call is not marked, a call that is taken back leaves the queue", async () => {
  const { vehicle } = await online();
  vehicle.script = () => undefined;
  const running = vehicle.read("BODY");
  const waiting = vehicle.read("BODY", "vin");
  await vehicle.quiet();
  assert.deepEqual(vehicle.sent, [running.id]);
  vehicle.shard.receive({ type: "cancel", id: waiting.id });
  assert.equal((await fault(waiting)).message, "Request cancelled");
  vehicle.shard.receive({ type: "cancel", id: 9_999 });
  vehicle.gateways.get(GATEWAY)!.link("BODY").answer("62D0010096");
  assert.equal(text(await running), READ_INTERVAL);
  assert.ok(!requests(vehicle, "BODY").includes("22F190"));
});

test("silence makes an ECU Disconnected", async () => {
  const { vehicle } = await online();
  vehicle.script = (request, ecu) => (request === "22D001" ? undefined : healthy(request, ecu));
  const silent = fault(vehicle.read("BODY"));
  for (let i = 0; i < 3; i++) {
    await vehicle.quiet();
    vehicle.clock.advance(1_000);
  }
  assert.equal((await silent).kind, "notResponding");
  assert.equal(vehicle.state("BODY"), "Disconnected");
});

for (const [awayMs, session] of [
  [3_000, "Extended"],
  [6_000, "Default"],
] as const) {
  test(`an ECU that was silent for ${awayMs} ms behind a living gateway is in the session ${session}`, async () => {
    const { vehicle } = await online();
    await vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended" });
    vehicle.script = (request, ecu) => (request === "22D001" ? undefined : healthy(request, ecu));
    const silent = fault(vehicle.read("BODY"));
    for (let i = 0; i < 3; i++) {
      await vehicle.quiet();
      vehicle.clock.advance(1_000);
    }
    await silent;
    assert.equal(vehicle.state("BODY"), "Disconnected");
    vehicle.clock.advance(awayMs);
    vehicle.script = healthy;
    await vehicle.read("BODY");
    assert.equal(vehicle.state("BODY"), "Online");
    assert.equal(JSON.parse(text(await vehicle.call("BODY", "modeRead", { mode: "session" }))).value, session);
  });
}

test("who waits too long for a busy ECU gets no answer, and the ECU is not blamed", async () => {
  const { vehicle, gateway } = await online();
  vehicle.script = () => undefined;
  const running = vehicle.read("BODY");
  const starved = fault(vehicle.read("BODY", "vin"));
  for (let i = 0; i < 13; i++) {
    await vehicle.quiet();
    gateway.link("BODY").answer("7F2278");
    vehicle.clock.advance(800);
  }
  assert.equal((await starved).kind, "notResponding");
  assert.equal(vehicle.state("BODY"), "Online");
  gateway.link("BODY").answer("62D0010096");
  assert.equal(text(await running), READ_INTERVAL);
});

test("an answer that misses the caller's deadline says nothing of the ECU", async () => {
  const { vehicle } = await online();
  vehicle.script = () => undefined;
  const late = fault(vehicle.call("BODY", "dataRead", { service: "vin" }, vehicle.clock.now() + 300));
  await vehicle.quiet();
  vehicle.clock.advance(400);
  assert.equal((await late).kind, "requestTimeout");
  assert.equal(vehicle.state("BODY"), "Online");
});

test("detection in the background: three more tries, a second apart, then peace until somebody asks", async () => {
  const vehicle = new FakeVehicle();
  vehicle.assign(pair(vehicle));
  vehicle.script = (request, ecu) => (ecu === "BODY" ? undefined : healthy(request, ecu));
  await vehicle.connect(GATEWAY);
  for (let s = 0; s < 40; s++) {
    vehicle.clock.advance(500);
    await vehicle.quiet();
  }
  // Four runs of one request with two repeats.
  assert.equal(requests(vehicle, "BODY").length, 4 * 3);
  assert.equal(vehicle.state("BODY"), "Offline");
  assert.equal(vehicle.state("CENTRAL"), "Online");
  vehicle.script = healthy;
  assert.equal(text(await vehicle.read("BODY")), READ_INTERVAL);
});

test("triggers of detection come together: a run, and one more", async () => {
  const { vehicle } = await online();
  const before = requests(vehicle, "BODY").length;
  await Promise.all(Array.from({ length: 10 }, () => vehicle.call("BODY", "detect", {})));
  assert.equal(requests(vehicle, "BODY").length - before, 2);
  const gateway = vehicle.gateways.get(GATEWAY)!;
  for (let i = 0; i < 5; i++) vehicle.announce(GATEWAY);
  await vehicle.quiet();
  assert.equal(gateway.announced.length, 6);
  assert.equal(requests(vehicle, "BODY").length - before, 2, "what is known is not asked again");
});

test("no variant fits: NoVariantDetected without the fallback, the base variant with it", async () => {
  for (const [fallbackToBase, word] of [
    [false, "NoVariantDetected"],
    [true, "Online"],
  ] as const) {
    const vehicle = new FakeVehicle({ fallbackToBase });
    vehicle.assign(pair(vehicle));
    vehicle.script = (request, ecu) => (request === "22F100" ? "62F100FFFFFF" : healthy(request, ecu));
    await vehicle.connect(GATEWAY);
    assert.equal(vehicle.state("BODY"), word);
    const refusing = (request: string, ecu: string) => (request === "22F100" ? "7F2231" : healthy(request, ecu));
    vehicle.script = refusing;
    await vehicle.call("BODY", "detect", {});
    assert.equal(vehicle.state("BODY"), word, "a refusal is an answer");
  }
});

test("unknown parameters are refused where the configuration is strict", async () => {
  for (const isStrict of [true, false]) {
    const { vehicle } = await online({ isStrict });
    vehicle.script = () => "6ED001";
    const parameters = { Interval: 100, Sideways: 1 };
    const written = vehicle.call("BODY", "dataWrite", {
      service: "serviceinterval",
      id: "serviceinterval",
      resource: "data",
      accept: "json",
      body: { type: "json", parameters },
    });
    if (isStrict) assert.equal((await fault(written)).kind, "badRequest");
    else assert.equal((await written).status, 204);
  }
});

test("raw answers are bytes of their own: the frame they came in stays whole", async () => {
  const { vehicle, gateway } = await online();
  vehicle.script = () => undefined;
  const frame = Buffer.from("00000062D001009600000062F190", "hex");
  const reply = vehicle.call("BODY", "genericService", { request: Uint8Array.of(0x22, 0xd0, 0x01) });
  await vehicle.quiet();
  gateway.link("BODY").handler.onResponse(frame.subarray(3, 8));
  const { body } = await reply;
  assert.equal(Buffer.from(body!).toString("hex"), "62d0010096");
  assert.notEqual(body!.buffer, frame.buffer);
  assert.equal(body!.byteLength, body!.buffer.byteLength);
});

test("a flash service may stay pending for minutes, a service of a client not", async () => {
  for (const [call, ends] of [
    ["flashService", "62D0010096"],
    ["genericService", "7F2278"],
  ] as const) {
    const { vehicle, gateway } = await online();
    vehicle.script = () => undefined;
    const request = Uint8Array.of(0x22, 0xd0, 0x01);
    const reply = vehicle.call("BODY", call, { request }, vehicle.clock.now() + 300_000);
    await vehicle.quiet();
    const link = gateway.link("BODY");
    for (let half = 0; half < 400 && link.open !== undefined; half++) {
      link.answer("7F2278");
      await vehicle.clock.advanceAsync(500);
    }
    if (link.open !== undefined) link.answer("62D0010096");
    assert.equal(toHex((await reply).body!), ends, call);
  }
});

test("a new set: who did not change keeps link and session, the old mapping goes with its last use", async () => {
  const { vehicle, gateway } = await online();
  await vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended" });
  await vehicle.call("CENTRAL", "modeWrite", { mode: "session", value: "extended" });
  const [central, body] = pair(vehicle) as [ReturnType<typeof pair>[number], ReturnType<typeof pair>[number]];
  const next = vehicle.catalog({ "central.mdd": description("CENTRAL") }, "2");
  vehicle.script = (request, ecu) => (request === "22D001" ? undefined : healthy(request, ecu));
  const running = vehicle.call("CENTRAL", "genericService", { request: Uint8Array.of(0x22, 0xd0, 0x01) });
  const link = gateway.link("BODY");
  const first = vehicle.opened.find(({ database }) => database === "central.mdd")!;
  vehicle.assign([...next, body]);
  await vehicle.quiet();
  assert.equal(link.closed, false);
  assert.equal(JSON.parse(text(await vehicle.call("BODY", "modeRead", { mode: "session" }))).value, "Extended");
  assert.equal(JSON.parse(text(await vehicle.call("CENTRAL", "modeRead", { mode: "session" }))).value, "Default");
  assert.equal(first.released, false);
  gateway.link("CENTRAL").answer("62D0010096");
  assert.equal((await running).status, 200, "it ends on the database it began with");
  await vehicle.quiet();
  const old = vehicle.opened.filter(({ database, version }) => database === "central.mdd" && version === "1");
  assert.deepEqual(
    old.map(({ released }) => released),
    [true],
  );
  assert.deepEqual(
    vehicle.opened
      .filter(({ released }) => !released)
      .map(({ database, version }) => `${database} ${version}`)
      .toSorted(),
    ["body.mdd 1", "central.mdd 2"],
  );
  vehicle.assign([central]);
  assert.equal((await fault(vehicle.read("BODY"))).kind, "notFound");
  await vehicle.quiet();
  assert.equal(link.closed, true);
});

test("a call that runs while its ECU leaves the set ends on the old database; the way to it closes behind it", async () => {
  const { vehicle, gateway } = await online();
  vehicle.script = () => undefined;
  const running = vehicle.call("BODY", "genericService", { request: Uint8Array.of(0x22, 0xd0, 0x01) });
  await vehicle.quiet();
  const released = () => vehicle.opened.find(({ database }) => database === "body.mdd")!.released;
  const link = gateway.link("BODY");
  vehicle.assign([]);
  assert.equal(released(), false);
  assert.deepEqual([link.closed, gateway.closed], [false, false]);
  link.answer("62D0010096");
  assert.equal((await running).status, 200);
  await vehicle.quiet();
  assert.equal(released(), true);
  assert.deepEqual([link.closed, gateway.closed], [true, true]);
});

test("an ECU that is back before the last call on the old one has ended takes over its way", async () => {
  const { vehicle, gateway } = await online();
  vehicle.script = (request, ecu) => (request === "22D001" ? undefined : healthy(request, ecu));
  const running = vehicle.call("BODY", "genericService", { request: Uint8Array.of(0x22, 0xd0, 0x01) });
  await vehicle.quiet();
  const link = gateway.link("BODY");
  const entries = pair(vehicle);
  vehicle.assign([]);
  vehicle.assign(entries);
  assert.equal(gateway.closed, false);
  link.answer("62D0010096");
  assert.equal((await running).status, 200);
  await vehicle.quiet();
  assert.deepEqual([link.closed, gateway.closed], [false, false]);
  assert.equal(vehicle.state("BODY"), "Online");
});

test("an ECU behind another gateway now: what happens on its old way says nothing of it", async () => {
  const { vehicle, gateway } = await online();
  vehicle.script = (request, ecu) => (request === "22D001" ? undefined : healthy(request, ecu));
  const running = fault(vehicle.call("BODY", "genericService", { request: Uint8Array.of(0x22, 0xd0, 0x01) }));
  await vehicle.quiet();
  const [central, body] = pair(vehicle) as [CatalogEntry, CatalogEntry];
  vehicle.assign([central, { ...body, gatewayAddress: 0x2000 }]);
  await vehicle.connect(0x2000);
  assert.equal(vehicle.state("BODY"), "Online");
  gateway.turn(false);
  assert.equal((await running).kind, "ecuOffline");
  assert.deepEqual([vehicle.state("CENTRAL"), vehicle.state("BODY")], ["Disconnected", "Online"]);
});

test("a gateway nobody is behind any more is closed; another tester address makes a new connection", async () => {
  const { vehicle, gateway } = await online();
  const entries = pair(vehicle);
  const moved = entries.map((entry) => ({
    ...entry,
    comParams: { ...entry.comParams, doip: { ...entry.comParams.doip, logicalTesterAddress: 0x0e80 } },
  }));
  vehicle.assign(moved);
  const again = vehicle.gateways.get(GATEWAY)!;
  assert.notEqual(again, gateway);
  assert.equal(gateway.closed, true);
  assert.deepEqual(again.announced, ["10.0.0.1"], "where it last spoke from");
  again.turn(true);
  await vehicle.quiet();
  assert.equal(vehicle.state("BODY"), "Online");
  vehicle.assign([]);
  assert.equal(again.closed, true);
});

test("overridden parameters of the gateway's own ECU are the connection's as well", async () => {
  const { vehicle, gateway } = await online();
  const overrides = { CP_DoIPConnectionRetryDelay: "100000" };
  await vehicle.call("BODY", "comParamsOverride", { overrides });
  assert.equal(gateway.configured, 0);
  await vehicle.call("CENTRAL", "comParamsOverride", { overrides });
  assert.equal(gateway.configured, 1);
  const refused = await fault(vehicle.call("CENTRAL", "comParamsOverride", { overrides: { CP_P6Max: "soon" } }));
  assert.match(refused.message, /CP_P6Max/);
  assert.equal(gateway.configured, 1, "nothing of a refused override is in force");
  const shown = JSON.parse(text(await vehicle.call("CENTRAL", "comParams", {})));
  assert.deepEqual(shown.CP_DoIPConnectionRetryDelay, { value: "100000", unit: null });
  await vehicle.call("CENTRAL", "comParamsOverride", { overrides: null });
  assert.equal(JSON.parse(text(await vehicle.call("CENTRAL", "comParams", {}))).CP_DoIPConnectionRetryDelay, undefined);
});

test("two databases of one address: the one whose variant fits speaks, the other is a duplicate and sends nothing", async () => {
  const vehicle = new FakeVehicle();
  const rival = description("BODY", (data) => ({ ...data, ecu_name: "BODYNG", variants: data.variants!.slice(0, 1) }));
  vehicle.assign(vehicle.catalog({ "body.mdd": description("BODY"), "bodyng.mdd": rival }));
  await vehicle.connect(GATEWAY);
  assert.equal(vehicle.state("BODY"), "Online");
  assert.equal(vehicle.state("BODYNG"), "Duplicate");
  const before = requests(vehicle, "BODY").length;
  assert.equal((await fault(vehicle.read("BODYNG"))).kind, "conflict");
  assert.equal(requests(vehicle, "BODY").length, before);
  vehicle.gateways.get(GATEWAY)!.turn(false);
  assert.equal(vehicle.state("BODYNG"), "Duplicate");
});

test("the end: keep-alives stop, sessions go back, links close, mappings go", async () => {
  const { vehicle, gateway } = await online();
  await vehicle.call("BODY", "lockAcquired", {});
  await vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended" });
  await vehicle.shard.stop();
  assert.equal(requests(vehicle, "BODY").at(-1), "1001");
  assert.equal(gateway.closed, true);
  assert.deepEqual(
    vehicle.opened.filter(({ released }) => !released),
    [],
  );
  await vehicle.quiet();
  assert.equal(vehicle.clock.timers, 0);
});

test("the end does not wait for an ECU that says nothing", async () => {
  const { vehicle } = await online();
  await vehicle.call("BODY", "modeWrite", { mode: "session", value: "extended" });
  vehicle.script = () => undefined;
  const stopped = vehicle.shard.stop();
  await vehicle.quiet();
  vehicle.clock.advance(1_000);
  await stopped;
});

test("a database that cannot be opened fails its calls, and the description is named", async () => {
  const vehicle = new FakeVehicle();
  const [body] = vehicle.catalog({ "body.mdd": description("BODY") });
  const [groups] = vehicle.catalog({ "functional_groups.mdd": groupDatabase() });
  vehicle.assign([
    { ...body!, database: "gone.mdd" },
    { ...groups!, database: "lost.mdd" },
  ]);
  const assigned = vehicle.posted.find((message) => message.type === "assigned");
  assert.deepEqual(assigned?.type === "assigned" && assigned.failed, { "lost.mdd": "lost.mdd" });
  assert.equal((await fault(vehicle.call("BODY", "dataList", {}))).kind, "keyNotFound");
  assert.equal((await fault(vehicle.call("everyone", "groupDataList", {}))).kind, "notFound");
});

test("a group's keep-alive begins when its gateway appears, and only behind gateways with members", async () => {
  const vehicle = new FakeVehicle();
  const entries = vehicle.catalog({
    "body.mdd": description("BODY"),
    "engine.mdd": description("ENGINE"),
    "functional_groups.mdd": groupDatabase(),
  });
  const alone = entries.map((entry) => (entry.name === "ENGINE" ? { ...entry, groups: [] } : entry));
  vehicle.assign(alone);
  await vehicle.call("everyone", "groupLockAcquired", {});
  const body = await vehicle.connect(GATEWAY);
  const engine = await vehicle.connect(0x2000);
  const functional = (gateway: typeof body) =>
    gateway.links.filter(({ target }) => target.addressing === "functional").flatMap(({ sent }) => sent);
  assert.deepEqual(
    functional(body).map(({ request }) => request),
    ["3E80"],
  );
  assert.deepEqual(functional(engine), []);
  await vehicle.call("everyone", "groupLockReleased", {});
  vehicle.clock.advance(10_000);
  assert.equal(functional(body).length, 1);
});

test("a group's request takes the turn of every member and answers for each", async () => {
  const vehicle = new FakeVehicle();
  vehicle.assign(
    vehicle.catalog({
      "central.mdd": description("CENTRAL"),
      "body.mdd": description("BODY"),
      "functional_groups.mdd": groupDatabase(),
    }),
  );
  const gateway = await vehicle.connect(GATEWAY);
  const functional = gateway.links.find(({ target }) => target.addressing === "functional")!;
  functional.onSend = () => {
    functional.handler.onAcknowledged();
    for (const name of ["CENTRAL", "BODY"]) gateway.link(name).answer(healthy("22F190", name)!);
  };
  const args = { service: "vin", action: "read", body: { type: "none" } };
  const { meta } = await vehicle.call("everyone", "groupData", args);
  const answer = `{"VIN":"${VIN}"}`;
  assert.deepEqual(meta?.group, { results: { central: answer, body: answer }, errors: [] });
});
