import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { decodeDatagram, encode, type Message } from "#doip/codec.ts";
import { type Announcement, Discovery, type DiscoveryOptions } from "#doip/discovery.ts";
import { IPV6, inPrefix } from "#doip/families.ts";
import { parseIpv4, sameSubnet } from "#doip/ipv4.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { hex, Mailbox, ManualClock, settle, skipIpv6 } from "./support.ts";

/** A UDP entity: answers identification requests with what `announce` says, and notes what it heard. */
async function entity(t: TestContext, options: { address?: string; port?: number; silent?: boolean } = {}) {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const requests = new Mailbox<{ bytes: Uint8Array; port: number; address: string }>();
  const state = { answers: [vam(0x1000)] as Uint8Array[] };
  // the tester binds the same one at other addresses
  const port = options.port ?? (await freePort());
  await new Promise<void>((resolve) => socket.bind(port, options.address ?? "127.0.0.1", resolve));
  socket.on("message", (bytes, from) => {
    const decoded = decodeDatagram(bytes);
    if (!("message" in decoded) || decoded.message.kind !== "vehicleIdentificationRequest") return;
    if (options.silent !== true) for (const answer of state.answers) socket.send(answer, from.port, from.address);
    requests.push({ bytes, port: from.port, address: from.address });
  });
  cleanup(t, () => close(socket));
  return { socket, requests, state, port };
}

function close(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

function vam(logicalAddress: number, options: { version?: number; syncStatus?: number } = {}): Uint8Array {
  const { version = 2, ...sync } = options;
  const message: Message = {
    kind: "vehicleAnnouncement",
    vin: "SCEDT26T8BD005261",
    logicalAddress,
    eid: "000000000000",
    gid: "000000000000",
    furtherAction: 0,
    ...sync,
  };
  return encode(version, message);
}

function tester(t: TestContext, options: Partial<DiscoveryOptions>) {
  const clock = new ManualClock();
  const announcements = new Mailbox<Announcement>();
  const problems: string[] = [];
  const discovery = new Discovery({
    testerAddress: "127.0.0.2",
    testerSubnet: "255.255.0.0",
    targets: ["127.0.0.1"],
    clock,
    onAnnouncement: (announcement) => announcements.push(announcement),
    onProblem: (message) => problems.push(message),
    ...options,
  });
  cleanup(t, () => discovery.close());
  return { clock, announcements, problems, discovery };
}

test("discovery: asks with FF 00, tells and collects what answers; 32 and 33 bytes; versions", async (t) => {
  const peer = await entity(t);
  peer.state.answers = [vam(0x1000, { syncStatus: 0 }), vam(0x2000, { version: 3 })];
  const { discovery, clock, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  const round = discovery.discover();
  assert.deepEqual([...(await peer.requests.next()).bytes], [...hex("FF00000100000000")]);
  const facts = {
    ip: "127.0.0.1",
    port: peer.port,
    vin: "SCEDT26T8BD005261",
    eid: "000000000000",
    gid: "000000000000",
    furtherAction: 0,
  };
  assert.deepEqual(await announcements.next(), { ...facts, version: 2, logicalAddress: 0x1000, syncStatus: 0 });
  assert.deepEqual(await announcements.next(), { ...facts, version: 3, logicalAddress: 0x2000 });
  clock.advance(1_000);
  assert.deepEqual(
    (await round).map(({ logicalAddress }) => logicalAddress),
    [0x1000, 0x2000],
  );
});

test("discovery: tester 127.0.0.2 and entity 127.0.0.1 share a port number without taking each other's datagrams", async (t) => {
  const peer = await entity(t);
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  assert.deepEqual(
    { address: discovery.address?.address, port: discovery.address?.port },
    { address: "127.0.0.2", port: peer.port },
  );
  void discovery.discover();
  assert.equal((await peer.requests.next()).address, "127.0.0.2");
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
});

test("discovery: as 127.0.0.1 the request to a loopback entity leaves from a free port", async (t) => {
  const peer = await entity(t);
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port, testerAddress: "127.0.0.1" });
  await discovery.start();
  assert.equal(discovery.address?.address, "0.0.0.0");
  assert.notEqual(discovery.address?.port, peer.port);
  void discovery.discover();
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
});

test("discovery: an entity bound to any address gets its requests although the listener shares its port", async (t) => {
  const peer = await entity(t, { address: "0.0.0.0" });
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  void discovery.discover();
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
});

test("discovery: a taken port gives way to a free one", async (t) => {
  const peer = await entity(t);
  const holder = createSocket({ type: "udp4" });
  await new Promise<void>((resolve) => holder.bind(peer.port, "127.0.0.2", resolve));
  cleanup(t, () => close(holder));
  const { discovery, announcements, problems } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  assert.match(problems[0] ?? "", /cannot bind UDP 127\.0\.0\.2/);
  assert.equal(discovery.address?.address, "127.0.0.2");
  void discovery.discover();
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
});

test("discovery: an address that this machine does not have gives way to any", async (t) => {
  const peer = await entity(t);
  const { discovery, problems } = tester(t, { gatewayPort: peer.port, testerAddress: "192.0.2.77" });
  await discovery.start();
  assert.equal(discovery.address?.address, "0.0.0.0");
  assert.equal(problems.filter((problem) => problem.includes("cannot bind")).length, 2);
});

test("discovery: hears spontaneous announcements sent to any of its addresses", async (t) => {
  const peer = await entity(t);
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  // To the specific address, then to one that only the listener hears.
  peer.socket.send(vam(0x3000), peer.port, "127.0.0.2");
  assert.equal((await announcements.next()).logicalAddress, 0x3000);
  peer.socket.send(vam(0x4000), peer.port, "127.0.0.77");
  assert.equal((await announcements.next()).logicalAddress, 0x4000);
});

test("discovery: other subnets, own echoes and garbage are passed over", async (t) => {
  const peer = await entity(t);
  const stranger = await entity(t, { address: "127.9.0.1" });
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  const { address, port } = discovery.address!;
  stranger.socket.send(vam(0x6666), port, address);
  const garbage = [
    "",
    "FF",
    "02FD0004000000",
    "02FD00040000002153",
    "FF00000100000000",
    "02FD000000000001AA",
    "0102030405060708",
  ];
  for (const text of garbage) peer.socket.send(hex(text), port, address);
  peer.socket.send(vam(0x1000), port, address);
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
  assert.equal(announcements.waiting, 0);
});

test("discovery: the window is fixed, however much comes; the same announcement is told once per while", async (t) => {
  const peer = await entity(t);
  peer.state.answers = [];
  const { discovery, clock, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  const round = discovery.discover();
  await peer.requests.next();
  const { address, port } = discovery.address!;
  const told: number[] = [];
  for (let burst = 0; burst < 9; burst++) {
    peer.socket.send(vam(0x1000), port, address);
    // The other entity stands behind the first in the queue: once it is heard, so is the first.
    peer.socket.send(vam(0x2000 + burst), port, address);
    await announcements.until(({ logicalAddress }) => {
      told.push(logicalAddress);
      return logicalAddress === 0x2000 + burst;
    });
    clock.advance(99);
  }
  // 99 ms after it was told it is not told again, 198 ms after it is.
  assert.equal(told.filter((logicalAddress) => logicalAddress === 0x1000).length, 5);
  clock.advance(109);
  assert.equal((await round).length, 10);
});

test("discovery: asks again while something is missing, a bounded number of times", async (t) => {
  const peer = await entity(t, { silent: true });
  const { discovery, clock } = tester(t, { gatewayPort: peer.port, intervalMs: 10_000, maxTries: 3 });
  await discovery.start();
  let missing = true;
  const run = discovery.run(() => missing);
  for (let tries = 1; tries <= 3; tries++) {
    await peer.requests.next();
    await clock.advanceAsync(1_000);
    if (tries < 3) await clock.advanceAsync(10_000);
  }
  await run;
  assert.equal(peer.requests.waiting, 0);
  const second = discovery.run(() => missing);
  await peer.requests.next();
  missing = false;
  await clock.advanceAsync(1_000);
  await second;
  assert.equal(clock.timers, 0);
});

test("discovery: an announcement under the wildcard version names no version: 2012 is spoken", async (t) => {
  const peer = await entity(t);
  peer.state.answers = [vam(0x1000, { version: 0xff })];
  const { discovery, announcements } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  void discovery.discover();
  assert.equal((await announcements.next()).version, 2);
});

test("discovery: VIN and GID not in step: asked again every 2 s, given up after 5 s, once", async (t) => {
  const peer = await entity(t);
  peer.state.answers = [vam(0x1000, { syncStatus: 0x10 })];
  const { discovery, clock, announcements, problems } = tester(t, { gatewayPort: peer.port, repeatMs: 1 });
  await discovery.start();
  void discovery.discover();
  await peer.requests.next();
  assert.equal((await announcements.next()).syncStatus, 0x10);
  await clock.advanceAsync(1_000);
  for (let again = 1; again <= 2; again++) {
    await clock.advanceAsync(again === 1 ? 1_000 : 2_000);
    await peer.requests.next();
    assert.equal((await announcements.next()).syncStatus, 0x10);
  }
  assert.deepEqual(problems, []);
  await clock.advanceAsync(2_000);
  assert.match(problems[0] ?? "", /entity 0x1000 at 127\.0\.0\.1 has not agreed on VIN and GID/);
  assert.equal(clock.timers, 0);
});

test("discovery: VIN and GID in step at the second answer: nothing more is asked", async (t) => {
  const peer = await entity(t);
  peer.state.answers = [vam(0x1000, { syncStatus: 0x10 })];
  const { discovery, clock, announcements, problems } = tester(t, { gatewayPort: peer.port, repeatMs: 1 });
  await discovery.start();
  void discovery.discover();
  await peer.requests.next();
  assert.equal((await announcements.next()).syncStatus, 0x10);
  await clock.advanceAsync(1_000);
  peer.state.answers = [vam(0x1000, { syncStatus: 0x00 })];
  await clock.advanceAsync(1_000);
  await peer.requests.next();
  assert.equal((await announcements.next()).syncStatus, 0);
  await clock.advanceAsync(10_000);
  assert.equal(peer.requests.waiting, 0);
  assert.deepEqual([problems, clock.timers], [[], 0]);
});

test("discovery: a target that cannot be reached is a problem to report, no more", async (t) => {
  const peer = await entity(t);
  const { discovery, announcements, problems } = tester(t, {
    gatewayPort: peer.port,
    targets: ["nonsense address", "127.0.0.1"],
  });
  await discovery.start();
  void discovery.discover();
  assert.equal((await announcements.next()).logicalAddress, 0x1000);
  await settle();
  assert.ok(problems.every((problem) => /cannot ask nonsense address/.test(problem)));
});

test("discovery: close while sockets open leaves none", async (t) => {
  const opened: Promise<unknown>[] = [];
  const createSocketOf = () => {
    const socket = createSocket("udp4");
    opened.push(once(socket, "close"));
    return socket;
  };
  const { discovery, problems } = tester(t, { gatewayPort: 0, createSocket: createSocketOf });
  const start = discovery.start();
  await discovery.close();
  await assert.rejects(start, /ended/);
  await Promise.all(opened);
  assert.deepEqual([opened.length, problems], [1, []]);
});

test("discovery: close ends a round and a pause", async (t) => {
  const peer = await entity(t);
  const { discovery, clock } = tester(t, { gatewayPort: peer.port });
  await discovery.start();
  const run = discovery.run(() => true);
  await discovery.close();
  await run;
  assert.equal(clock.timers, 0);
  assert.deepEqual(await discovery.discover(), []);
});

test(
  "discovery on IPv6: asks an entity on ::1 and hears one that announces itself; other prefixes are passed over",
  skipIpv6,
  async (t) => {
    const port = await freePort("::1");
    const socket = createSocket({ type: "udp6", ipv6Only: true, reuseAddr: true });
    await new Promise<void>((resolve) => socket.bind(port, "::1", resolve));
    cleanup(t, () => close(socket));
    socket.on("message", (bytes, from) => {
      if (bytes[3] === 1) socket.send(vam(0x1000), from.port, from.address);
    });
    const options = { family: IPV6, testerAddress: "::", targets: ["::1"], gatewayPort: port };
    const near = tester(t, { ...options, testerSubnet: "::1/128" });
    await near.discovery.start();
    void near.discovery.discover();
    const { ip, logicalAddress } = await near.announcements.next();
    assert.deepEqual([ip, logicalAddress], ["::1", 0x1000]);
    socket.send(vam(0x2000), near.discovery.address!.port, "::1");
    assert.equal((await near.announcements.next()).logicalAddress, 0x2000);
    const far = tester(t, { ...options, testerSubnet: "fe80::/10" });
    await far.discovery.start();
    socket.send(vam(0x3000), far.discovery.address!.port, "::1");
    socket.send(vam(0x3000), near.discovery.address!.port, "::1");
    await near.announcements.next();
    assert.equal(far.announcements.waiting, 0);
  },
);

const PREFIXES: readonly (readonly [string, string, boolean])[] = [
  ["fe80::1", "fe80::/10", true],
  ["fe80::1%eth0", "fe80::/10", true],
  ["febf::1%eth0.5", "fe80::/10", true],
  ["fec0::1", "fe80::/10", false],
  ["fd00::2", "fe80::/10", false],
  ["::1", "::1/128", true],
  ["::2", "::1/128", false],
  ["2001:db8::1", "::/0", true],
  ["10.0.0.1", "::/0", false],
  ["fe80::1", "fe80::", false],
  ["fe80::1", "10.0.0.0/8", false],
  ["fe80::1", "fe80::/129", false],
];
for (const [ip, prefix, within] of PREFIXES) {
  test(`prefix: ${ip} in ${prefix}: ${within}`, () => assert.equal(inPrefix(ip, prefix), within));
}

const SUBNETS: readonly (readonly [string, string, string, boolean])[] = [
  ["10.2.1.1", "10.2.200.9", "255.255.0.0", true],
  ["10.3.1.1", "10.2.200.9", "255.255.0.0", false],
  // A mere test for set bits would let these pass.
  ["11.0.0.1", "10.0.0.1", "255.0.0.0", false],
  ["14.0.0.1", "10.0.0.1", "255.0.0.0", false],
  ["172.42.0.9", "172.42.0.9", "255.255.255.255", true],
  ["200.1.1.1", "1.1.1.1", "0.0.0.0", true],
  ["fe80::1", "10.0.0.1", "0.0.0.0", false],
];
for (const [a, b, mask, same] of SUBNETS) {
  test(`subnet: ${a} and ${b} of ${mask}: ${same}`, () => assert.equal(sameSubnet(a, b, mask), same));
}

test("IPv4 text", () => {
  assert.equal(parseIpv4("255.255.255.255"), 0xffff_ffff);
  for (const text of ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "a.b.c.d", "1..2.3"])
    assert.equal(parseIpv4(text), undefined);
});
