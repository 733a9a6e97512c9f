/** Devices that fetch their firmware by drogue-ajour, over each transport, through campaigns of a real server. */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { type AjourLink, createFlash } from "#sim/ajour-device.ts";
import { coapLink, httpLink, mqttLink } from "#sim/ajour-links.ts";
import { CODE, decodeMessage, encodeMessage, OPTION, TYPE } from "#update/ajour/coap-codec.ts";
import { decodeCommand, encodeStatus } from "#update/ajour/codec.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { type AjourNode, HOST, image, isOver, MIB, PASSWORD, startDevice, startNode } from "./ajour-support.ts";

const TIMEOUT_MS = 2_000;
const LOGIN = { device: "bms-1", password: PASSWORD, timeoutMs: TIMEOUT_MS };

interface Line {
  readonly node: AjourNode;
  readonly link: AjourLink;
  readonly blockBytes: number;
}

const TRANSPORTS: Readonly<Record<string, (t: TestContext) => Promise<Line>>> = {
  async HTTP(t) {
    const node = await startNode(t);
    return { node, link: httpLink(node.origin, LOGIN), blockBytes: 4_096 };
  },
  async MQTT(t) {
    const url = await startBroker(t);
    const node = await startNode(t, { update: { ajour: { mqtt: { url } } } });
    return { node, link: await mqttLink(url, LOGIN), blockBytes: 4_096 };
  },
  async CoAP(t) {
    const node = await startNode(t, { update: { ajour: { coap: { address: HOST, port: 0 } } } });
    return { node, link: await coapLink(HOST, node.server.devicePorts.coap, LOGIN), blockBytes: 960 };
  },
};

for (const [name, connect] of Object.entries(TRANSPORTS)) {
  test(`${name}: 1 MiB in under a minute, then good`, async (t) => {
    const { node, link, blockBytes } = await connect(t);
    const { device, events, seen } = startDevice(t, createFlash("1.0"), { link, blockBytes });
    const firmware = image(MIB);
    const begun = performance.now();
    const status = await node.update(firmware, "1.1");
    assert.equal(status["x-state"], "completed", JSON.stringify(status));
    assert.ok(performance.now() - begun < 60_000);
    assert.equal(device.version, "1.1");
    assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
    await seen("good");
    assert.equal(device.onTrial, false);
    assert.equal(events.filter(({ type }) => type === "block").length, Math.ceil(MIB / blockBytes));
  });
}

test("CoAP: blocks larger than a message, and datagrams of any kind", async (t) => {
  const node = await startNode(t, { update: { ajour: { coap: { address: HOST, port: 0, max_block_bytes: 16_384 } } } });
  const port = node.server.devicePorts.coap;
  const socket = createSocket("udp4");
  cleanup(t, () => socket.close());
  for (let at = 0; at < 200; at++) {
    await new Promise((resolve) => socket.send(image(at), port, HOST, resolve));
  }
  const { device } = startDevice(t, createFlash("1.0"), {
    link: await coapLink(HOST, port, LOGIN),
    blockBytes: 16_384,
  });
  const firmware = image(100_000);
  assert.equal((await node.update(firmware, "1.1"))["x-state"], "completed");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
});

/** The message that acknowledges this one: that of an earlier one may come when nobody waits for it any more. */
async function answerOf(socket: Socket, messageId: number, signal: AbortSignal): Promise<Uint8Array> {
  for (;;) {
    const [bytes] = (await once(socket, "message", { signal })) as [Uint8Array];
    if (decodeMessage(bytes).messageId === messageId) return bytes;
  }
}

/** A device that knows nothing of options, and what came for what it sent. */
async function simpleCoap(t: TestContext, port: number): Promise<{ link: AjourLink; factors: number[] }> {
  const socket = createSocket("udp4");
  cleanup(t, () => socket.close());
  socket.bind(0, HOST);
  await once(socket, "listening");
  const factors: number[] = [];
  const stop = new AbortController();
  let messageId = 0;
  const ask = async (payload: Uint8Array) => {
    const texts = (number: number, ...values: string[]) =>
      values.map((value) => ({ number, value: Buffer.from(value) }));
    const sent = encodeMessage({
      ...{ type: TYPE.confirmable, code: CODE.post, messageId: messageId++, token: Uint8Array.of(1), payload },
      options: [...texts(OPTION.uriPath, "v1", "dfu"), ...texts(OPTION.uriQuery, "ct=30", "device=bms-1")],
    });
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const { messageId: asked } = decodeMessage(sent);
    const answered = answerOf(socket, asked, signal);
    socket.send(sent, port, HOST);
    const bytes = await answered;
    factors.push(bytes.length / sent.length);
    const answer = decodeMessage(bytes);
    assert.equal(answer.code, CODE.content, Buffer.from(answer.payload).toString());
    return answer.payload;
  };
  return { link: { ask, close: async () => stop.abort() }, factors };
}

for (const [about, listener, isBounded] of [
  ["gets shorter blocks, and is updated", { address: "0.0.0.0" }, true],
  ["gets whole blocks where nobody outside reaches the address", { address: HOST }, false],
  ["gets shorter blocks where that is wanted", { address: HOST, max_amplification: 3 }, true],
  ["gets whole blocks where senders are believed", { address: "0.0.0.0", max_amplification: 0 }, false],
] as const) {
  test(`CoAP: a device that proves its address by nothing ${about}`, async (t) => {
    const coap = { ...listener, port: 0 };
    const node = await startNode(t, { update: { ajour: { authentication: "none", coap } } });
    const { link, factors } = await simpleCoap(t, node.server.devicePorts.coap);
    const { device } = startDevice(t, createFlash("1.0"), { link, blockBytes: 512 });
    const firmware = image(20_000);
    assert.equal((await node.update(firmware, "1.1"))["x-state"], "completed");
    assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
    const most = Math.max(...factors);
    assert.ok(isBounded ? most > 1.5 && most <= 3 : most > 5, `${most} times as much`);
  });
}

test("a device that reports without a pause is refused, and no other with it", async (t) => {
  const ajour = { max_reports_per_second: 1, coap: { address: HOST, port: 0 }, devices: { "bms-2": {} } };
  const node = await startNode(t, { update: { ajour } });
  const report = encodeStatus({ version: Buffer.from("1.0"), mtu: 512 }, "named");
  const post = (device: string) =>
    fetch(`${node.origin}/v1/dfu?ct=1`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${device}:${PASSWORD}`).toString("base64")}` },
      body: new Uint8Array(report),
    });
  const answers = await Promise.all(Array.from({ length: 30 }, () => post("bms-1@default")));
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0 && refused.length < answers.length, `${refused.length} refused`);
  for (const { status, headers } of refused) assert.deepEqual([status, headers.get("retry-after")], [429, "1"]);
  assert.match(await refused[0]!.text(), /at most 1 reports a second \(update\.ajour\.max_reports_per_second\)/);
  assert.equal((await post("bms-2@default")).status, 200);
  const link = await coapLink(HOST, node.server.devicePorts.coap, LOGIN);
  cleanup(t, () => link.close());
  const asked = await Promise.allSettled(Array.from({ length: 30 }, () => link.ask(report)));
  const problems = asked.filter((each) => each.status === "rejected").map(({ reason }) => String(reason));
  assert.ok(
    problems.some((problem) => problem.startsWith("Error: 4.29")),
    problems.join("\n"),
  );
});

test("MQTT: events and commands of a Drogue Cloud", async (t) => {
  const url = await startBroker(t);
  const mqtt = { url, devices: false, drogue_applications: ["sensors"] };
  await startNode(t, { update: { ajour: { mqtt } } });
  const { default: client } = await import("mqtt");
  const cloud = await client.connectAsync(url);
  cleanup(t, () => cloud.endAsync(true));
  await cloud.subscribeAsync("command/sensors/+/dfu", { qos: 1 });
  const answered = new Promise<[string, Uint8Array]>((resolve) =>
    cloud.once("message", (...all) => resolve([all[0], all[1]])),
  );
  const report = Buffer.from(encodeStatus({ version: Buffer.from("1.0"), correlationId: 7 }, "named"));
  const event = { specversion: "1.0", subject: "dfu", application: "sensors", device: "s-1", sender: "s-1" };
  await cloud.publishAsync("app/sensors", JSON.stringify({ ...event, subject: "temperature", data: { t: 21 } }), {
    qos: 1,
  });
  let isAnswered = false;
  void answered.then(() => {
    isAnswered = true;
  });
  // said again as long as the node has not subscribed yet
  const said = JSON.stringify({ ...event, data_base64: report.toString("base64") });
  while (!isAnswered) await cloud.publishAsync("app/sensors", said, { qos: 1 });
  const [topic, payload] = await answered;
  assert.equal(topic, "command/sensors/s-1/dfu");
  assert.deepEqual(decodeCommand(new Uint8Array(payload)), { type: "wait", correlationId: 7, pollS: 300 });
});

test("messages that are lost on either way cost time and nothing else", async (t) => {
  const node = await startNode(t);
  const link = lossy(httpLink(node.origin, LOGIN));
  const { device, events } = startDevice(t, createFlash("1.0"), { link, retryMs: 1 });
  const firmware = image(MIB / 4);
  const status = await node.update(firmware, "1.1");
  assert.equal(status["x-state"], "completed");
  assert.ok(events.filter(({ type }) => type === "lost").length > 20);
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
});

test("a device that loses power in the middle goes on where it was", async (t) => {
  const node = await startNode(t);
  const flash = createFlash("1.0");
  const first = startDevice(t, flash, { link: httpLink(node.origin, LOGIN), blockBytes: 1_024 });
  const firmware = image(MIB / 4);
  const updated = node.update(firmware, "1.1");
  await first.seen("block", (event) => event.type === "block" && event.offset >= MIB / 8);
  await first.device.stop();
  const had = flash.incoming?.offset ?? 0;
  const second = startDevice(t, flash, { link: httpLink(node.origin, LOGIN), blockBytes: 1_024 });
  assert.equal((await updated)["x-state"], "completed");
  const [block] = second.events.filter((event) => event.type === "block");
  assert.deepEqual(block, { type: "block", offset: had + 1_024 });
  assert.deepEqual(flash.active.image, Buffer.from(firmware));
});

test("a server that restarts in the middle of a transfer goes on with the campaign", async (t) => {
  const before = await startNode(t);
  const origin = { now: before.origin };
  let isHeld = false;
  // held, it is in the middle for as long as that takes to look at
  const link = movable(() => (isHeld ? HELD : httpLink(origin.now, LOGIN)));
  const { device, seen } = startDevice(t, createFlash("1.0"), { link, blockBytes: 512, backoffMs: 1 });
  const firmware = image(MIB / 8);
  const id = await before.begin(firmware, "1.1");
  await seen("block", (event) => {
    isHeld = event.type === "block" && event.offset >= MIB / 16;
    return isHeld;
  });
  const { status: found, json } = await before.call("GET", "/x-ajour/bms-1");
  assert.equal(found, 200);
  const { current, target, conditions } = json.firmware as Record<string, unknown>;
  assert.deepEqual([json.id, json.component, current, target], ["bms-1@default", "bms", "1.0", "1.1"]);
  const [inSync, progress] = conditions as { type: string; status: string; message?: string }[];
  assert.deepEqual(inSync, { type: "InSync", status: "False" });
  assert.ok(Number(progress?.message) >= 49 && Number(progress?.message) < 100, progress?.message);
  assert.equal((await before.call("GET", "/x-ajour/stranger")).status, 404);
  assert.deepEqual(((await before.call("GET", "/x-ajour")).json.items as unknown[]).length, 1);
  await before.close();
  const after = await startNode(t, {}, before.folder);
  origin.now = after.origin;
  isHeld = false;
  const status = await after.status(id, isOver);
  assert.equal(status["x-state"], "completed", JSON.stringify(status));
  assert.equal(device.version, "1.1");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
});

test("an image that does not start is given back: the update fails and the device runs what it had", async (t) => {
  const node = await startNode(t);
  const link = httpLink(node.origin, LOGIN);
  const { device } = startDevice(t, createFlash("1.0"), { link, boots: (version) => version !== "1.1" });
  const status = await node.update(image(8_192), "1.1");
  assert.equal(status["x-state"], "rolledBack", JSON.stringify(status));
  assert.match(JSON.stringify(status.error), /did not take version 1\.1/);
  assert.equal(device.version, "1.0");
});

test("blocks that are spoilt on the way do not pass the checksum, and are fetched again", async (t) => {
  const node = await startNode(t);
  const { link, spoilt } = spoiling(httpLink(node.origin, LOGIN));
  const { device, events } = startDevice(t, createFlash("1.0"), { link });
  const firmware = image(16_384);
  assert.equal((await node.update(firmware, "1.1"))["x-state"], "completed");
  assert.equal(spoilt(), 1);
  assert.ok(events.some((event) => event.type === "refused" && event.reason === "wrong checksum"));
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
});

test("a device on trial is not told to keep it before the verdict; its old image brings it back", async (t) => {
  const before = await startNode(t);
  const origin = { now: before.origin };
  const { device, events, seen } = startDevice(t, createFlash("1.0"), {
    link: movable(() => httpLink(origin.now, LOGIN)),
  });
  const old = image(4_096);
  assert.equal((await before.update(old, "1.1"))["x-state"], "completed");
  await before.close();
  const node = await startNode(t, { update: { soak_ms: 60_000 } }, before.folder);
  origin.now = node.origin;
  const updated = node.update(image(4_096), "1.2", { id: "on-trial", rollback_policy: "coordinated" });
  await seen("started", (event) => event.type === "started" && event.version === "1.2" && event.trial);
  assert.equal(device.onTrial, true);
  assert.equal((await node.call("PUT", "/updates/on-trial/x-rollback")).status, 202);
  const status = await updated;
  assert.equal(status["x-state"], "rolledBack", JSON.stringify(status));
  assert.equal(device.version, "1.1");
  assert.deepEqual(device.flash.active.image, Buffer.from(old));
  assert.deepEqual(
    events.filter(({ type }) => type === "good"),
    [
      { type: "good", version: "1.1" },
      { type: "good", version: "1.1" },
    ],
  );
});

test("who a device is, is checked", async (t) => {
  const node = await startNode(t);
  const post = (path: string, authorization: string, body: Uint8Array) =>
    fetch(`${node.origin}${path}`, { method: "POST", headers: { authorization }, body: new Uint8Array(body) });
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  const report = Buffer.from("a1004131", "hex");
  const good = basic(`bms-1:${PASSWORD}`);
  for (const [path, authorization, body, status] of [
    ["/v1/dfu?ct=5", good, report, 200],
    ["/v1/dfu", good, report, 202],
    ["/v1/dfu?ct=0", good, report, 202],
    ["/v1/dfu", good, Buffer.from("garbage"), 400],
    ["/v1/dfu?ct=5&device=bms-1&application=default", good, report, 200],
    ["/v1/dfu?ct=5&device=bms-2", good, report, 400],
    ["/v1/dfu?ct=5", good, Buffer.from('{"version":"0.1.0","correlation_id":1,"mtu":512}'), 200],
    ["/v1/dfu?ct=5", "", report, 401],
    ["/v1/dfu?ct=5", basic("bms-1:wrong"), report, 401],
    ["/v1/dfu?ct=5", basic(`bms-1@default:${PASSWORD}`), report, 200],
    ["/v1/dfu?ct=5", basic(`bms-1@other:${PASSWORD}`), report, 401],
    ["/v1/dfu?ct=5&as=bms-2", good, report, 403],
    ["/v1/dfu?ct=x", good, report, 400],
    ["/v1/dfu?ct=5", good, Buffer.from("garbage"), 400],
    ["/v1/dfu?ct=5", good, Buffer.alloc(5_000), 413],
  ] as const) {
    const answer = await post(path, authorization, body);
    assert.equal(answer.status, status, `${path} ${status}: ${await answer.text()}`);
    if (status === 200) assert.equal(answer.headers.get("command"), "dfu");
    if (status === 401) assert.match(answer.headers.get("www-authenticate") ?? "", /^Basic realm=/);
  }
});

/** Every seventh report and every fifth answer is lost. */
function lossy(link: AjourLink): AjourLink {
  let count = 0;
  return {
    async ask(report) {
      count++;
      if (count % 7 === 0) throw new Error("report lost");
      const answer = await link.ask(report);
      if (count % 5 === 0) throw new Error("answer lost");
      return answer;
    },
    close: () => link.close(),
  };
}

/** A link that nothing comes through. */
const HELD: AjourLink = { ask: () => Promise.reject(new Error("held")), close: async () => {} };

/** A link to whatever is there now. */
function movable(current: () => AjourLink): AjourLink {
  return { ask: (report) => current().ask(report), close: () => current().close() };
}

/** Spoils the last byte of the first answer that is a block. */
function spoiling(link: AjourLink): { link: AjourLink; spoilt: () => number } {
  let spoilt = 0;
  const ask: AjourLink["ask"] = async (report) => {
    const answer = await link.ask(report);
    if (answer === undefined || spoilt > 0 || answer.length < 4_096) return answer;
    spoilt++;
    const other = Uint8Array.from(answer);
    other[other.length - 1] = ~other.at(-1)! & 0xff;
    return other;
  };
  return { link: { ask, close: () => link.close() }, spoilt: () => spoilt };
}

async function startBroker(t: TestContext): Promise<string> {
  const { Aedes } = await import("aedes");
  const broker = await Aedes.createBroker();
  const server = createServer({ noDelay: true }, broker.handle);
  server.listen(0, HOST);
  await once(server, "listening");
  cleanup(t, async () => {
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    await new Promise((resolve) => server.close(resolve));
  });
  return `mqtt://${HOST}:${(server.address() as AddressInfo).port}`;
}
