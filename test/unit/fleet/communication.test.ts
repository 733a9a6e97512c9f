import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { systemClock } from "#core/time.ts";
import { Discovery } from "#doip/discovery.ts";
import { Communication, type CommunicationOptions } from "#fleet/communication.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import type { GatewayMessage } from "#fleet/messages.ts";

/** A UDP port that is free now. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.2");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

async function communication(t: TestContext, changes: Partial<CommunicationOptions>, missing: number[] = []) {
  const states: string[] = [];
  const announced: GatewayMessage[] = [];
  const listeners = new Set<() => void>();
  const fleet = {
    ready: true,
    missingGateways: missing,
    announce: (message: GatewayMessage) => announced.push(message) > 0,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const made = new Communication({
    mode: "always",
    clock: systemClock,
    fleet: fleet as unknown as VehicleFleet,
    enabled: true,
    discovery: {
      testerAddress: "127.0.0.2",
      testerSubnet: "255.0.0.0",
      gatewayPort: await freePort(),
      targets: ["127.0.0.1"],
      collectMs: 5,
      intervalMs: 1_000,
      maxTries: 1,
    },
    detectionMs: 10_000,
    onState: (state) => states.push(state),
    onLog: () => {},
    ...changes,
  });
  t.after(() => made.close());
  const changed = () => {
    for (const listener of listeners) listener();
  };
  return { made, states, announced, fleet, changed };
}

test("always: communication begins at once, and calls wait for nothing", async (t) => {
  const { made, states } = await communication(t, {}, [0x1000]);
  await made.begin();
  assert.deepEqual(states, ["starting", "up"]);
  assert.equal(made.gate(), undefined);
});

test("DoIP switched off: nothing is opened, nothing is waited for", async (t) => {
  const { made, states } = await communication(t, { enabled: false, mode: "on-demand" }, [0x1000]);
  await made.begin();
  await made.gate();
  assert.deepEqual(states, ["pending", "starting", "up"]);
  assert.equal(made.gate(), undefined);
});

test("on demand: every call waits until the gateways are connected, the first as well as those behind it", async (t) => {
  const { made, states, fleet, changed } = await communication(t, { mode: "on-demand" }, [0x1000]);
  await made.begin();
  assert.deepEqual(states, ["pending"]);
  let passed = 0;
  const calls = [made.gate(), made.gate()].map((gate) => gate?.then(() => passed++));
  await made.trigger();
  const late = made.gate();
  assert.ok(late !== undefined, "sockets are open, but no gateway is connected yet");
  assert.equal(passed, 0);
  changed();
  fleet.missingGateways = [];
  changed();
  await Promise.all([...calls, late]);
  assert.equal(made.gate(), undefined);
});

test("by a plugin: refused before the trigger", async (t) => {
  const { made } = await communication(t, { mode: "plugin" });
  await made.begin();
  await assert.rejects(made.gate() ?? assert.fail(), { kind: "notReady" });
  await made.trigger();
  await made.gate();
});

test("a start that fails is told, and the next trigger tries again", async (t) => {
  const { made, states } = await communication(t, { mode: "on-demand" });
  const start = t.mock.method(Discovery.prototype, "start", async () => {
    throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
  });
  await made.begin();
  await assert.rejects(made.gate() ?? assert.fail(), { kind: "misconfigured", message: /too many open files/ });
  start.mock.restore();
  await made.gate();
  assert.deepEqual(states, ["pending", "starting", "failed", "starting", "up"]);
});

test("who spoke while databases were loading is told to the fleet afterwards, once", async (t) => {
  const gatewayPort = await freePort();
  const { made, fleet, announced } = await communication(t, {
    discovery: {
      testerAddress: "127.0.0.2",
      testerSubnet: "255.0.0.0",
      gatewayPort,
      targets: [],
      collectMs: 5,
      intervalMs: 1_000,
      maxTries: 1,
    },
  });
  const heard = new Promise<void>((resolve) => {
    Object.defineProperty(fleet, "ready", {
      configurable: true,
      get: () => {
        resolve();
        return false;
      },
    });
  });
  await made.begin();
  const entity = createSocket("udp4").bind(0, "127.0.0.1");
  await once(entity, "listening");
  t.after(() => entity.close());
  const announcement = Buffer.alloc(8 + 33);
  announcement.write("02fd000400000021", "hex");
  announcement.writeUInt16BE(0x1000, 8 + 17);
  entity.send(announcement, gatewayPort, "127.0.0.2");
  await heard;
  assert.deepEqual(announced, []);
  Object.defineProperty(fleet, "ready", { value: true });
  made.replay();
  made.replay();
  assert.deepEqual(announced, [{ type: "gateway", logicalAddress: 0x1000, ip: "127.0.0.1", version: 2, furtherAction: 0 }]);
});
