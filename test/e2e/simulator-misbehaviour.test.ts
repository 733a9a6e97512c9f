/** Every knob of the simulator over real sockets; time goes on by hand. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { selfSignedCertificate } from "#sim/certificate.ts";
import { STRICT_ISO } from "#sim/misbehaviour.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { type RunningVehicle, startVehicle, type VehicleOptions } from "#sim/vehicle.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { ManualClock, RawTester, RawUdp } from "./simulator-support.ts";

const ACK = "8002/1000>0E00/00";
const SESSION = "8001/1000>0E00/62F18601";
const ACTIVATE = "02FD0005000000070E000000000000";

interface Bench {
  readonly vehicle: RunningVehicle;
  readonly clock: ManualClock;
  tester(activated?: boolean): Promise<RawTester>;
}

async function bench(t: TestContext, options: Partial<VehicleOptions> = {}): Promise<Bench> {
  const clock = new ManualClock();
  const entities = defaultEntities(["127.0.0.1"], 0);
  const vehicle = await startVehicle({ entities, announce: false, clock, random: () => 0, ...options });
  const testers: RawTester[] = [];
  cleanup(t, async () => {
    for (const tester of testers) tester.close();
    await vehicle.close();
  });
  return {
    vehicle,
    clock,
    async tester(activated = true) {
      const tester = await (activated ? RawTester.activated(vehicle.port) : RawTester.open(vehicle.port));
      testers.push(tester);
      return tester;
    },
  };
}

test("ACK modes, NACK and NRC on the wire", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  const ecu = vehicle.ecu("flxc1000");
  const CASES = [
    { set: { ack: "echo" }, frames: ["8002/1000>0E00/0022F186", SESSION] },
    { set: { ack: "none" }, frames: [SESSION] },
    { set: { ack: "twice" }, frames: [ACK, ACK, SESSION] },
    { set: { ack: "afterResponse" }, frames: [SESSION, ACK] },
    { set: { nack: { code: 0x06 } }, frames: ["8003/1000>0E00/06"] },
    { set: { nrc: { code: 0x94 } }, frames: [ACK, "8001/1000>0E00/7F2294"] },
    { set: { silent: {} }, frames: [ACK] },
    { set: { frame: { kind: "wrongDid" } }, frames: [ACK, "8001/1000>0E00/62F18701"] },
    { set: { stray: { uds: "6EF190" } }, frames: [ACK, "8001/1000>0E00/6EF190", SESSION] },
  ] as const;
  for (const { set, frames } of CASES) {
    ecu.misbehaviour = { ...set };
    assert.deepEqual(await raw.exchange("1000", "22F186"), frames, JSON.stringify(set));
  }
});

test("a ladder of 0x78; meanwhile the ECU is busy, another one is not", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  const raw = await tester();
  vehicle.ecu("FLXC1000").misbehaviour = { pending: { count: 2, intervalMs: 100 } };
  const pending = "8001/1000>0E00/7F2278";
  assert.deepEqual(await raw.exchange("1000", "22F186"), [ACK, pending]);
  assert.deepEqual(await raw.exchange("1000", "3E00"), [ACK, "8001/1000>0E00/7F3E21"]);
  assert.deepEqual(await raw.exchange("1001", "3E00"), ["8002/1001>0E00/00", "8001/1001>0E00/7E00"]);
  clock.advance(100);
  assert.deepEqual(await raw.untilQuiet(), [pending]);
  clock.advance(100);
  assert.deepEqual(await raw.untilQuiet(), [SESSION]);
  vehicle.ecu("FLXC1000").misbehaviour = undefined;
  assert.deepEqual(await raw.exchange("1000", "22F186"), [ACK, SESSION]);
});

test("a quick tester never meets a false 0x21", async (t) => {
  const { tester } = await bench(t);
  const raw = await tester();
  const COUNT = 300;
  for (let i = 0; i < COUNT; i++) raw.ask("1000", "22F186");
  const frames = await raw.take(2 * COUNT);
  assert.deepEqual(new Set(frames), new Set([ACK, SESSION]));
});

test("a late ACK overtaken by the answer", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  const raw = await tester();
  vehicle.ecu("FLXC1000").misbehaviour = { ackDelayMs: 500 };
  assert.deepEqual(await raw.exchange("1000", "22F186"), [SESSION]);
  clock.advance(500);
  assert.deepEqual(await raw.untilQuiet(), [ACK]);
});

test("a reordered answer leaves behind the next one", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  vehicle.ecu("FLXC1000").misbehaviour = { frame: { kind: "reordered", times: 1 } };
  assert.deepEqual(await raw.exchange("1000", "22F186"), [ACK]);
  assert.deepEqual(await raw.exchange("1001", "3E00"), ["8002/1001>0E00/00", "8001/1001>0E00/7E00", SESSION]);
  vehicle.ecu("FLXC1000").misbehaviour = { frame: { kind: "reordered" } };
  assert.deepEqual(await raw.exchange("1000", "22F186"), [ACK]);
  assert.deepEqual(await raw.exchange("1000", "3E00"), [ACK, "8001/1000>0E00/7E00", SESSION]);
});

test("functional requests: one ACK, every ECU answers in order, misbehaviour included", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  vehicle.ecu("TMC1001").misbehaviour = { silent: {} };
  vehicle.ecu("FSNR2000").misbehaviour = { nrc: { code: 0x22 } };
  vehicle.ecu("HOVR4000").misbehaviour = { nack: { code: 0x05 } };
  assert.deepEqual(await raw.exchange("FFFF", "3E00"), [
    "8002/FFFF>0E00/00",
    "8001/1000>0E00/7E00",
    "8001/2000>0E00/7F3E22",
    "8001/3000>0E00/7E00",
    "8001/5000>0E00/7E00",
  ]);
});

test("one write per byte and coalesced writes carry the same frames", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  const raw = await tester();
  const endpoint = vehicle.endpoint("FLXC1000");
  let chunks = 0;
  raw.socket.on("data", () => chunks++);
  endpoint.misbehaviour = { write: "bytes" };
  raw.ask("1000", "22F186");
  assert.deepEqual(await raw.take(2), [ACK, SESSION]);
  assert.ok(chunks > 2, `${chunks} chunks`);
  endpoint.misbehaviour = { write: "coalesce", coalesceMs: 50 };
  const asked = vehicle.events.next("request", ({ ecu }) => ecu === "TMC1001");
  raw.ask("1000", "22F186");
  raw.ask("1001", "3E00");
  await asked;
  clock.advance(50);
  assert.deepEqual(await raw.take(4), [ACK, SESSION, "8002/1001>0E00/00", "8001/1001>0E00/7E00"]);
});

test("a half-open socket stays open, reads and writes nothing, and comes back", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  const endpoint = vehicle.endpoint("FLXC1000");
  endpoint.misbehaviour = { halfOpen: true };
  vehicle.ecu("FLXC1000").startRecording();
  raw.ask("1000", "22F186");
  const other = await RawUdp.open();
  cleanup(t, () => other.close());
  for (let i = 0; i < 20; i++) {
    other.send("02FD000200000006000000000000", vehicle.port);
    for (let entity = 0; entity < 5; entity++) await other.next();
  }
  assert.deepEqual(vehicle.ecu("FLXC1000").recorded, []);
  assert.equal(raw.socket.destroyed, false);
  endpoint.misbehaviour = {};
  assert.deepEqual(await raw.take(2), [ACK, SESSION]);
});

test("routing activation answered with any code, late, or not at all", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  const endpoint = vehicle.endpoint("FLXC1000");
  const raw = await tester(false);
  for (const code of [0x00, 0x01, 0x04, 0x05, 0x07, 0x11, 0xe0]) {
    endpoint.misbehaviour = { activation: { code, times: 1 } };
    raw.send(ACTIVATE);
    assert.equal(await raw.next(), `0006/0E001000${code.toString(16).padStart(2, "0").toUpperCase()}00000000`);
  }
  const second = await tester(false);
  endpoint.misbehaviour = { activation: { silent: true, times: 1 } };
  second.send(ACTIVATE);
  assert.deepEqual(await second.untilQuiet(), []);
  endpoint.misbehaviour = { activation: { delayMs: 3_000 } };
  second.send(ACTIVATE);
  assert.deepEqual(await second.untilQuiet(), []);
  clock.advance(3_000);
  assert.equal(await second.next(), "0006/0E0010001000000000");
});

test("generic NACK on demand", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  vehicle.endpoint("FLXC1000").misbehaviour = { genericNack: { code: 3, times: 1 } };
  assert.deepEqual(await raw.exchange("1000", "3E00"), ["0000/03"]);
  assert.deepEqual(await raw.exchange("1000", "3E00"), [ACK, "8001/1000>0E00/7E00"]);
});

test("initial and general inactivity close", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  vehicle.endpoint("FLXC1000").misbehaviour = { ...STRICT_ISO };
  const idle = await tester(false);
  const active = await tester();
  clock.advance(2_000);
  assert.equal(await idle.next(), "closed");
  clock.advance(290_000);
  await active.exchange("1000", "3E00");
  clock.advance(299_999);
  assert.deepEqual(await active.exchange("1000", "3E00"), [ACK, "8001/1000>0E00/7E00"]);
  clock.advance(300_000);
  assert.equal(await active.next(), "closed");
});

test("a second connection of a living tester gets 0x03, of a dead one takes over", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  vehicle.endpoint("FLXC1000").misbehaviour = { denySecondConnection: true, closeOnDenial: true };
  const first = await tester();
  const second = await tester(false);
  second.send(ACTIVATE);
  assert.equal(await first.next(), "0007/");
  first.send("02FD0008000000020E00");
  assert.equal(await second.next(), "0006/0E0010000300000000");
  assert.equal(await second.next(), "closed");
  const third = await tester(false);
  third.send(ACTIVATE);
  assert.equal(await first.next(), "0007/");
  clock.advance(500);
  assert.equal(await first.next(), "closed");
  assert.equal(await third.next(), "0006/0E0010001000000000");
});

test("when all sockets are taken by living testers another one gets 0x01", async (t) => {
  const { vehicle, tester } = await bench(t);
  vehicle.endpoint("FLXC1000").misbehaviour = { maxSockets: 1 };
  const first = await tester();
  const second = await tester(false);
  second.send("02FD0005000000070E010000000000");
  assert.equal(await first.next(), "0007/");
  first.send("02FD0008000000020E00");
  assert.equal(await second.next(), "0006/0E0110000100000000");
});

test("regular alive checks close a connection that does not answer", async (t) => {
  const { vehicle, clock, tester } = await bench(t);
  const raw = await tester();
  vehicle.endpoint("FLXC1000").misbehaviour = { aliveCheckIntervalMs: 1_000, aliveCheckTimeoutMs: 200 };
  clock.advance(1_000);
  assert.equal(await raw.next(), "0007/");
  const answered = vehicle.events.next("aliveCheckResponse");
  raw.send("02FD0008000000020E00");
  assert.equal((await answered).sourceAddress, 0x0e00);
  assert.deepEqual(await raw.untilQuiet(), []);
  clock.advance(1_000);
  assert.equal(await raw.next(), "0007/");
  clock.advance(200);
  assert.equal(await raw.next(), "closed");
});

test("diagnostic messages from a wrong source close a strict entity's socket", async (t) => {
  const { vehicle, tester } = await bench(t);
  vehicle.endpoint("FLXC1000").misbehaviour = { closeOnDenial: true };
  const raw = await tester(false);
  raw.ask("1000", "3E00");
  assert.deepEqual(await raw.take(2), ["8003/1000>0E00/02", "closed"]);
});

test("TLS required: 0x07 on the plain socket, activation on the TLS one with a certificate that verifies", async (t) => {
  const { cert, key } = selfSignedCertificate("doip-entity");
  const { vehicle, tester } = await bench(t, { tls: { cert, key } });
  vehicle.endpoint("FLXC1000").misbehaviour = { tlsRequired: true };
  const plain = await tester(false);
  plain.send(ACTIVATE);
  assert.equal(await plain.next(), "0006/0E0010000700000000");
  const socket = connectTls({ port: vehicle.tlsPort!, host: "127.0.0.1", ca: cert });
  await once(socket, "secureConnect");
  assert.equal(socket.authorized, true);
  const secure = new RawTester(socket);
  cleanup(t, () => secure.close());
  secure.send(ACTIVATE);
  assert.equal(await secure.next(), "0006/0E0010001000000000");
  assert.deepEqual(await secure.exchange("1000", "22F186"), [ACK, SESSION]);
});

test("one connection's garbage does not reach another; bad datagrams get a NACK and UDP lives on", async (t) => {
  const { vehicle, tester } = await bench(t);
  const raw = await tester();
  const bad = await tester(false);
  bad.send("DEADBEEF");
  assert.deepEqual(await bad.take(2), ["0000/00", "closed"]);
  assert.deepEqual(await raw.exchange("1000", "3E00"), [ACK, "8001/1000>0E00/7E00"]);
  const udp = await RawUdp.open();
  cleanup(t, () => udp.close());
  const DATAGRAMS = [
    ["02FE000100000000", "0000/00"],
    ["02FD777700000000", "0000/01"],
    ["02FD000200000003000000", "0000/04"],
    ["00", "0000/00"],
  ] as const;
  for (const [datagram, answer] of DATAGRAMS) {
    udp.send(datagram, vehicle.port);
    assert.equal(await udp.next(), answer, datagram);
  }
  udp.send("02FD000000000000", vehicle.port);
  udp.send("02FD400300000000", vehicle.port);
  assert.equal(await udp.next(), "4004/00");
});

test("hard reset: connections and listener go, UDP stays, then three announcements", async (t) => {
  const udp = await RawUdp.open();
  cleanup(t, () => udp.close());
  const targets = [{ address: "127.0.0.1", port: udp.port }];
  const { vehicle, clock, tester } = await bench(t, {
    announce: { targets },
    entities: [
      {
        name: "E",
        logicalAddress: 0x1000,
        address: "127.0.0.1",
        port: 0,
        ecus: [{ name: "S", logicalAddress: 0x1001 }],
      },
    ],
  });
  vehicle.ecu("E").state.hardResetForSeconds = 3;
  vehicle.ecu("S").state.hardResetForSeconds = 1;
  const raw = await tester();
  assert.deepEqual(await raw.exchange("1001", "1101"), ["8002/1001>0E00/00", "8001/1001>0E00/5101"]);
  assert.deepEqual(await raw.exchange("1001", "3E00"), ["8002/1001>0E00/00"]);
  clock.advance(1_000);
  assert.deepEqual(await raw.exchange("1001", "3E00"), ["8002/1001>0E00/00", "8001/1001>0E00/7E00"]);
  clock.advance(1_000);
  const vam = `0004/53434544543236543842443030353236311000${"00".repeat(14)}`;
  for (let i = 0; i < 3; i++) assert.equal(await udp.next(), vam);
  raw.ask("1000", "1101");
  assert.deepEqual(await raw.take(3), [ACK, "8001/1000>0E00/5101", "closed"]);
  await assert.rejects(RawTester.open(vehicle.port), { code: "ECONNREFUSED" });
  udp.send("02FD000100000000", vehicle.port);
  assert.equal(await udp.next(), vam);
  const back = vehicle.events.next("listening");
  clock.advance(3_000);
  await back;
  const again = await tester();
  assert.deepEqual(await again.exchange("1000", "22F186"), [ACK, SESSION]);
  clock.advance(1_500);
  for (let i = 0; i < 3; i++) assert.equal(await udp.next(), vam);
});

test("unasked frames and raw bytes reach every activated tester", async (t) => {
  const { vehicle, tester } = await bench(t, { controlPort: 0 });
  const raw = await tester();
  const post = (path: string, body: unknown) =>
    fetch(`http://127.0.0.1:${vehicle.controlPort}/x-sim/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  assert.equal((await post("ecus/TMC1001/emit", { uds: "62F19041" })).status, 204);
  assert.equal(await raw.next(), "8001/1001>0E00/62F19041");
  assert.equal((await post("entities/FLXC1000/raw", { hex: "02FD000000000001FF" })).status, 204);
  assert.equal(await raw.next(), "0000/FF");
});
