/** The simulator as a whole: several addresses, broadcast discovery, bench vehicle, start-up errors. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { simulate } from "#sim/main.ts";
import { benchEntities } from "#sim/vehicle.bench.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import fc from "../fixtures/properties.ts";
import { ManualClock, RawTester, RawUdp } from "./simulator-support.ts";

test("one broadcast finds every entity, each answers from its own address", async (t) => {
  const ADDRESSES = ["127.0.3.1", "127.0.3.2", "127.0.3.3", "127.0.3.4", "127.0.3.5"];
  const vehicle = await startVehicle({
    entities: defaultEntities(ADDRESSES, 0),
    announce: false,
    hearBroadcasts: true,
  });
  const udp = await RawUdp.open("0.0.0.0");
  cleanup(t, async () => {
    udp.close();
    await vehicle.close();
  });
  const from: string[] = [];
  udp.socket.on("message", (_, { address }) => from.push(address));
  udp.socket.setBroadcast(true);
  udp.send("FF00000100000000", vehicle.port, "127.255.255.255");
  for (let i = 0; i < 5; i++) assert.match(await udp.next(), /^0004\/5343454454323654384244303035323631[1-5]000/);
  assert.deepEqual(from.sort(), ADDRESSES);
  assert.equal(new Set(vehicle.endpoints.map(({ port }) => port)).size, 1);
});

test("after start every entity announces itself three times, half a second apart", async (t) => {
  const clock = new ManualClock();
  const udp = await RawUdp.open();
  const announce = { targets: [{ address: "127.0.0.1", port: udp.port }] };
  const vehicle = await startVehicle({ entities: defaultEntities(["127.0.0.1"], 0), announce, clock });
  cleanup(t, async () => {
    udp.close();
    await vehicle.close();
  });
  const rounds: number[] = [];
  vehicle.events.subscribe((event) => {
    if (event.kind === "announced") rounds.push(clock.now());
  });
  clock.advance(10_000);
  assert.deepEqual(rounds, [500, 1_000, 1_500]);
  for (let i = 0; i < 15; i++) assert.match(await udp.next(), /^0004\//);
});

test("a bench vehicle answers on every gateway", async (t) => {
  const vehicle = await startVehicle({
    entities: benchEntities({ gateways: 8, ecusPerGateway: 3, port: 0 }),
    announce: false,
  });
  cleanup(t, () => vehicle.close());
  for (const [g, { address, port }] of vehicle.endpoints.entries()) {
    const raw = await RawTester.activated(port, address);
    const last = (0x1000 + g * 0x100 + 2).toString(16);
    assert.deepEqual(await raw.exchange(last, "3E00"), [`8002/${last}>0E00/00`, `8001/${last}>0E00/7E00`]);
    raw.close();
  }
});

test("garbage on many connections and over UDP leaves the vehicle as it was", async (t) => {
  const vehicle = await startVehicle({ entities: defaultEntities(["127.0.0.1"], 0), announce: false });
  const udp = await RawUdp.open();
  cleanup(t, async () => {
    udp.close();
    await vehicle.close();
  });
  const streams = fc.sample(
    fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        // Right header, any type and length, any payload: gets past the pattern check.
        fc
          .tuple(fc.uint8Array({ minLength: 6, maxLength: 6 }), fc.uint8Array({ maxLength: 32 }))
          .map(([head, body]) =>
            Uint8Array.of(2, 0xfd, ...head.map((byte, i) => (i < 2 ? byte & 0x83 : i < 5 ? 0 : byte & 0x1f)), ...body),
          ),
      ),
      { maxLength: 6 },
    ),
    { numRuns: 60, seed: 13400 },
  );
  for (const stream of streams) {
    const raw = await RawTester.activated(vehicle.port);
    for (const bytes of stream) {
      raw.socket.write(bytes);
      udp.socket.send(bytes, vehicle.port, "127.0.0.1");
    }
    raw.socket.end();
    while ((await raw.next()) !== "closed");
  }
  const raw = await RawTester.activated(vehicle.port);
  cleanup(t, () => raw.close());
  const frames = await raw.exchange("1001", "3E00");
  assert.deepEqual(frames, ["8002/1001>0E00/00", "8001/1001>0E00/7E00"]);
  udp.send("02FD400300000000", vehicle.port);
  while ((await udp.next()) !== "4004/00");
});

test("a taken port rejects and leaves nothing open", async (t) => {
  const taken = createServer().listen(0, "127.0.4.2");
  await once(taken, "listening");
  cleanup(t, () => taken.close());
  const { port } = taken.address() as { port: number };
  const entities = defaultEntities(["127.0.4.1", "127.0.4.2", "127.0.4.3", "127.0.4.4", "127.0.4.5"], port);
  await assert.rejects(startVehicle({ entities, announce: false }), { code: "EADDRINUSE" });
  await assert.rejects(RawTester.open(port, "127.0.4.1"), { code: "ECONNREFUSED" });
});

test("simulate: profile, TLS demanded, strict rules, control API", async (t) => {
  const vehicle = await simulate({
    address: ["127.0.0.1"],
    port: 0,
    controlPort: 0,
    tls: 0,
    strictIso: true,
    announce: false,
    vin: "V",
  });
  cleanup(t, () => vehicle.close());
  const raw = await RawTester.open(vehicle.port);
  cleanup(t, () => raw.close());
  raw.send("02FD0005000000070E000000000000");
  assert.equal(await raw.next(), "0006/0E0010000700000000");
  assert.equal(await raw.next(), "closed");
  const state = await fetch(`http://127.0.0.1:${vehicle.controlPort}/JGWT5000/state`);
  assert.equal(((await state.json()) as { vin: string }).vin, "V");
});

test("simulate: an interface that is not there is named", async () => {
  await assert.rejects(simulate({ address: ["no-such-if0"] }), /no-such-if0/);
});
