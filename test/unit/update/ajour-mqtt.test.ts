/** The way to a broker: one that is not there, goes away, refuses, keeps old messages, or speaks version 5. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Clock } from "#core/time.ts";
import { encodeStatus } from "#update/ajour/codec.ts";
import type { Desk } from "#update/ajour/desk.ts";
import { type MqttOptions, startMqtt } from "#update/ajour/mqtt.ts";
import { Registry } from "#update/ajour/registry.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const registry = new Registry({ authentication: "none", defaultApplication: "default", applications: {}, devices: {} });
const OPTIONS = { version: "3.1.1", devices: true, drogue_applications: [], shared_group: "" } as const;
const REPORT = Buffer.from(encodeStatus({ version: Buffer.from("1.0") }, "packed"));

/** Starts our side; every device is answered with one byte. `told`: where the first problem was. On a machine that stalls a start does not wait for its broker: a test does. */
async function start(t: TestContext, options: Partial<MqttOptions> & { url: string }, clock?: Clock) {
  const asked: string[] = [];
  const problems: unknown[] = [];
  let tell = (_where: string): void => undefined;
  const told = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const answer: Desk["answer"] = ({ device }) => {
    asked.push(device);
    return Uint8Array.of(7);
  };
  const desk = { answer } as Desk;
  const onProblem = (problem: unknown, where: string) => {
    problems.push(problem);
    tell(where);
  };
  const parts = { desk, registry, onProblem };
  const transport = await startMqtt({ ...OPTIONS, ...options }, parts, clock);
  cleanup(t, () => transport.close());
  return { asked, problems, told, transport };
}

async function listen(t: TestContext, onSocket: (socket: Socket) => void): Promise<{ url: string; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

test("a broker that is not there at the start, or goes away, is called again in pauses that grow", async (t) => {
  const pauses: number[] = [];
  let enough = () => {};
  const called = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const clock = {
    now: () => 0,
    setTimeout: (handler: () => void, ms: number) => {
      pauses.push(ms);
      if (pauses.length === 9) enough();
      else setImmediate(handler);
      return undefined;
    },
    clearTimeout: () => {},
  } as unknown as Clock;
  let connections = 0;
  const { url } = await listen(t, (socket) => {
    // the third call is taken, and dropped again
    if (++connections !== 3) socket.destroy();
    else
      socket.once("data", () => {
        socket.write(Uint8Array.of(0x20, 2, 0, 0));
        socket.once("data", () => socket.destroy());
      });
  });
  await start(t, { url }, clock);
  await called;
  assert.deepEqual(pauses, [1_000, 2_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
});

test("a start does not wait for a broker that says nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { url } = await listen(t, () => t.mock.timers.tick(2_000));
  const { transport } = await start(t, { url });
  t.mock.timers.reset();
  await transport.close();
});

test("a URL or a file of no use is told at the start", async (t) => {
  await assert.rejects(start(t, { url: "carrier-pigeon://loft" }), { kind: "misconfigured" });
  await assert.rejects(start(t, { url: "mqtts://127.0.0.1:1", ca: "/nothing/here.pem" }), { kind: "misconfigured" });
  await assert.rejects(start(t, { url: "mqtt://name:secret@" }), (error: Error) => !error.message.includes("secret"));
});

test("a URL with name and password is told without them", async (t) => {
  const refused = Buffer.from("20020005", "hex");
  const { url } = await listen(t, (socket) => socket.on("data", () => socket.end(refused)));
  const { told } = await start(t, { url: url.replace("mqtt://", "mqtt://name:secret@") });
  assert.equal(await told, url);
});

test("what a broker kept from before is no report of now; an answer has the QoS of its report, as far as there is one", async (t) => {
  const { Aedes } = await import("aedes");
  const broker = await Aedes.createBroker();
  const { url } = await listen(t, broker.handle);
  cleanup(t, () => new Promise<void>((resolve) => broker.close(() => resolve())));
  const { default: mqtt } = await import("mqtt");
  const device = await mqtt.connectAsync(url);
  cleanup(t, () => device.endAsync(true));
  await device.publishAsync("dfu/old", REPORT, { qos: 1, retain: true });
  const subscribed = once(broker, "subscribe");
  const { asked } = await start(t, { url });
  await subscribed;
  await device.subscribeAsync("command/inbox/#", { qos: 2 });
  for (const [name, qos, answered] of [
    ["a", 0, 0],
    ["b", 1, 1],
    ["c@other", 2, 1],
  ] as const) {
    const answer = new Promise<[string, Buffer, number]>((resolve) =>
      device.once("message", (topic, payload, packet) => resolve([topic, payload, packet.qos])),
    );
    await device.publishAsync(`dfu/${name}`, REPORT, { qos });
    const [topic, payload, got] = await answer;
    assert.deepEqual([topic, ...payload, got], [`command/inbox/${name}/dfu`, 7, answered]);
  }
  assert.deepEqual(asked, ["a", "b", "c"]);
});

test("the bare topic is that of one device", async (t) => {
  const { Aedes } = await import("aedes");
  const broker = await Aedes.createBroker();
  const { url } = await listen(t, broker.handle);
  cleanup(t, () => new Promise<void>((resolve) => broker.close(() => resolve())));
  const subscribed = once(broker, "subscribe");
  const { asked } = await start(t, { url, bare_device: "gate" });
  await subscribed;
  const { default: mqtt } = await import("mqtt");
  const device = await mqtt.connectAsync(url);
  cleanup(t, () => device.endAsync(true));
  await device.subscribeAsync("command/inbox/#");
  const answer = new Promise<string>((resolve) => device.once("message", resolve));
  await device.publishAsync("dfu", REPORT);
  assert.equal(await answer, "command/inbox//dfu");
  assert.deepEqual(asked, ["gate"]);
});

/** One string of MQTT, with its length before it. */
const field = (text: string) => Buffer.from([0, text.length, ...Buffer.from(text)]);
const packet = (type: number, ...parts: Uint8Array[]) => {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Buffer.from([type, ...length, ...body]);
};

test("version 5, with the shared subscription of a Drogue Cloud", async (t) => {
  let answered: (packet: Buffer) => void = () => {};
  const answer = new Promise<Buffer>((resolve) => {
    answered = resolve;
  });
  let level: number | undefined;
  let subscribed = "";
  const event = JSON.stringify({ subject: "dfu", device: "s-1", data_base64: REPORT.toString("base64") });
  const { url } = await listen(t, (socket) =>
    socket.on("data", (data) => {
      if (data[0] === 0x10) {
        level = data[8];
        socket.write(packet(0x20, Uint8Array.of(0, 0, 0)));
      } else if (data[0] === 0x82) {
        subscribed = data.subarray(7, -1).toString();
        socket.write(packet(0x90, data.subarray(2, 4), Uint8Array.of(0, 0)));
        // the topic is that of the subscription
        socket.write(packet(0x30, field(subscribed), Uint8Array.of(0), Buffer.from(event)));
      } else if ((data[0]! & 0xf0) === 0x30) answered(data);
    }),
  );
  const { asked } = await start(t, {
    ...{ url, version: "5", devices: false, drogue_applications: ["sensors"], shared_group: "edge" },
  });
  const published = (await answer).toString("latin1");
  assert.equal(level, 5);
  assert.equal(subscribed, "$shared/edge/app/sensors");
  assert.deepEqual(asked, ["s-1"]);
  assert.ok(published.includes("command/sensors/s-1/dfu"));
});
