import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { EventEmitter, once } from "node:events";
import test, { type TestContext } from "node:test";
import { systemClock } from "#core/time.ts";
import { encode } from "#doip/codec.ts";
import { Discovery } from "#doip/discovery.ts";
import { Communication, type CommunicationOptions } from "#fleet/communication.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import type { GatewayMessage } from "#fleet/messages.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";

/** A UDP socket that hears what the test says. */
class PlayedSocket extends EventEmitter {
  bind(_port: number, _address: string, bound: () => void): void {
    bound();
  }
  address() {
    return { address: "0.0.0.0", port: 13_400 };
  }
  setBroadcast(): void {}
  close(closed: () => void): void {
    closed();
  }
}

function announcementOf(logicalAddress: number): Uint8Array {
  const [vin, eid, gid] = ["SCEDT26T8BD005261", "000000000000", "000000000000"];
  return encode(2, { kind: "vehicleAnnouncement", vin, logicalAddress, eid, gid, furtherAction: 0, syncStatus: 0 });
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
  cleanup(t, () => made.close());
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

test("a gateway that speaks over IPv4 and IPv6 keeps to one of them while that stands or was just met", async (t) => {
  let nowMs = 0;
  const clock = { ...systemClock, now: () => nowMs };
  const sockets = { 4: new PlayedSocket(), 6: new PlayedSocket() };
  const network = { targets: [], gatewayPort: 13_400, collectMs: 5, maxTries: 1 };
  const { made, announced, fleet } = await communication(t, {
    clock,
    discovery: {
      ...network,
      testerAddress: "127.0.0.1",
      testerSubnet: "0.0.0.0",
      createSocket: () => sockets[4] as unknown as Socket,
    },
    discoveryIpv6: {
      ...network,
      testerAddress: "::",
      testerSubnet: "::/0",
      createSocket: () => sockets[6] as unknown as Socket,
    },
  });
  await made.begin();
  const say = (ip: string) => {
    nowMs += 200;
    sockets[ip.includes(":") ? 6 : 4].emit("message", announcementOf(0x1000), { address: ip, port: 13_400 });
  };
  const ips = () => announced.map((message) => message.ip);
  fleet.missingGateways = [0x1000];
  say("127.0.0.1");
  say("fe80::1%eth0");
  assert.deepEqual(ips(), ["127.0.0.1"], "IPv4 has its time to connect");
  fleet.missingGateways = [];
  nowMs = 60_000;
  say("fe80::1%eth0");
  say("127.0.0.9");
  assert.deepEqual(ips(), ["127.0.0.1", "127.0.0.9"], "connected: a move within the family counts");
  fleet.missingGateways = [0x1000];
  nowMs = 120_000;
  say("fe80::1%eth0");
  say("127.0.0.9");
  assert.deepEqual(ips(), ["127.0.0.1", "127.0.0.9", "fe80::1%eth0"], "lost: the other family is as good");
  announced.length = 0;
  for (nowMs = 130_000; nowMs < 160_000; nowMs += 10_000) {
    say("127.0.0.9");
    say("fe80::1%eth0");
  }
  assert.deepEqual(
    ips(),
    ["127.0.0.9", "127.0.0.9", "fe80::1%eth0", "127.0.0.9"],
    "no connection over the one that speaks first: the other has its turn",
  );
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
  cleanup(t, () => entity.close());
  const announcement = Buffer.alloc(8 + 33);
  announcement.write("02fd000400000021", "hex");
  announcement.writeUInt16BE(0x1000, 8 + 17);
  entity.send(announcement, gatewayPort, "127.0.0.2");
  await heard;
  assert.deepEqual(announced, []);
  Object.defineProperty(fleet, "ready", { value: true });
  made.replay();
  made.replay();
  assert.deepEqual(announced, [
    { type: "gateway", logicalAddress: 0x1000, ip: "127.0.0.1", version: 2, furtherAction: 0 },
  ]);
});
