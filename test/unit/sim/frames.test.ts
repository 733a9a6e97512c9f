/** Whole frames as bytes on the wire, written out by hand from ISO 13400-2:2012 (version 02) and the recorded vectors. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { hex, upper } from "../../e2e/simulator-support.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const start = () => startVehicle({ entities: defaultEntities(["127.0.0.1"], 0).slice(0, 1), announce: false });

const TCP_FRAMES = [
  {
    name: "routing activation",
    request: "02FD0005000000070E000000000000",
    answer: "02FD0006000000090E0010001000000000",
  },
  {
    name: "another activation type",
    request: "02FD0005000000070E00E000000000",
    answer: "02FD0006000000090E0010000600000000",
  },
  { name: "alive check", request: "02FD000700000000", answer: "02FD0008000000021000" },
  {
    name: "22 F190: acknowledgement and answer",
    request: "02FD8001000000070E00100022F190",
    answer: "02FD80020000000510000E000002FD80010000001810000E0062F1905343454454323654384244303035323631",
  },
  {
    name: "3E 80: acknowledgement alone",
    request: "02FD8001000000060E0010013E80",
    answer: "02FD80020000000510010E0000",
  },
  { name: "unknown target", request: "02FD8001000000060E0066663E00", answer: "02FD80030000000566660E0003" },
  { name: "wrong source", request: "02FD8001000000060E0110003E00", answer: "02FD80030000000510000E0102" },
  {
    name: "functional request",
    request: "02FD8001000000060E00FFFF3E00",
    answer: "02FD800200000005FFFF0E000002FD80010000000610000E007E0002FD80010000000610010E007E00",
  },
  { name: "unknown payload type", request: "02FD777700000000", answer: "02FD00000000000101" },
  { name: "UDP message over TCP", request: "02FD000100000000", answer: "02FD00000000000101" },
  { name: "version 03 is answered with 02", request: "03FC000700000000", answer: "02FD0008000000021000" },
];

test("TCP frames of an entity", async (t) => {
  const vehicle = await start();
  const socket = connect(vehicle.port, "127.0.0.1");
  cleanup(t, async () => {
    socket.destroy();
    await vehicle.close();
  });
  for (const { name, request, answer } of TCP_FRAMES) {
    await t.test(name, async () => {
      socket.write(hex(request));
      let received = "";
      while (received.length < answer.length) received += upper((await once(socket, "data"))[0]);
      assert.equal(received, answer);
    });
  }
});

const VAM = "02FD0004000000215343454454323654384244303035323631" + "1000" + "000000000000" + "000000000000" + "0000";
const UDP_FRAMES = [
  { name: "identification, any version", request: "FF00000100000000", answer: VAM },
  { name: "identification by EID", request: "02FD000200000006000000000000", answer: VAM },
  { name: "identification by VIN", request: "02FD0003000000115343454454323654384244303035323631", answer: VAM },
  { name: "entity status", request: "02FD400100000000", answer: "02FD40020000000701FF007FFFFFFF" },
  { name: "power mode", request: "02FD400300000000", answer: "02FD40040000000100" },
];

test("UDP frames of an entity", async (t) => {
  const vehicle = await start();
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  cleanup(t, async () => {
    socket.close();
    await vehicle.close();
  });
  for (const { name, request, answer } of UDP_FRAMES) {
    await t.test(name, async () => {
      const reply = once(socket, "message");
      socket.send(hex(request), vehicle.port, "127.0.0.1");
      assert.equal(upper((await reply)[0]), answer);
    });
  }
});
