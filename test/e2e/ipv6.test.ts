/** Gateways on IPv6: the server's whole way to them, on the loopback, over TLS, and by multicast on a link. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { type TestContext, test } from "node:test";
import { systemClock } from "#core/time.ts";
import { type Announcement, Discovery } from "#doip/discovery.ts";
import { IPV6, inPrefix } from "#doip/families.ts";
import { demoEntities } from "#sim/demo/vehicle.ts";
import { startVehicle, type VehicleOptions } from "#sim/vehicle.ts";
import { UdsClient } from "#uds/client.ts";
import { DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import { doipTransport } from "#uds/over-doip.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { skipIpv6 } from "../unit/doip/support.ts";
import { bounded, type HarnessOptions, startHarness } from "./harness.ts";

const entityOf = (name: string) => demoEntities("127.0.0.1", 0).find((entity) => entity.name === name)!;

/** CENTRAL on IPv4, CAMERA on IPv6. */
async function both(t: TestContext, more: Partial<VehicleOptions> = {}, endpoint = {}) {
  const camera = await startVehicle({
    entities: [{ ...entityOf("CAMERA"), address: "::1", port: 0, endpoint }],
    announce: false,
    ...more,
  });
  cleanup(t, () => camera.close());
  const options: HarnessOptions = {
    entities: (entities) => entities.filter(({ name }) => name === "CENTRAL").map((e) => ({ ...e, port: camera.port })),
    config: {
      doip: { gateway_port: camera.port, ...(camera.tlsPort === undefined ? {} : { tls_port: camera.tlsPort }) },
      discovery: { targets: ["127.0.1.1", "::1"], ipv6: { enabled: true, subnet: "::1/128" } },
    },
  };
  const car = await startHarness(options);
  cleanup(t, () => car.close());
  return { car, camera };
}

test("one gateway on IPv4, one on IPv6: both are found and spoken to", skipIpv6, async (t) => {
  const { car, camera } = await both(t);
  await car.online("CENTRAL", "CAMERA");
  for (const ecu of ["central", "camera"]) {
    const answer = await car.http.get(`/components/${ecu}/data/vin`);
    assert.equal(answer.status, 200, answer.text);
  }
  const structure = (await car.http.get("/apps/sovd2uds/data/networkstructure")).json;
  const { NetworkAddress } = structure.data[0].Gateways.find(({ Name }: { Name: string }) => Name === "CAMERA");
  assert.equal(NetworkAddress, "::1");
  const gone = car.becomes("CAMERA", "Disconnected");
  await camera.close();
  await gone;
  assert.equal(car.state("CENTRAL"), "Online");
});

test("a gateway on IPv6 that demands TLS", skipIpv6, async (t) => {
  const { car, camera } = await both(t, { tls: {} }, { tlsRequired: true });
  await car.online("CENTRAL", "CAMERA");
  assert.equal((await car.http.get("/components/camera/data/vin")).status, 200);
  assert.deepEqual(
    [...camera.endpoints[0]!.connections].map(({ secure }) => secure),
    [true],
  );
});

/** An address of a link with its zone, and another of the same interface for the tester: they must not share address and port. */
const link = Object.entries(networkInterfaces()).flatMap(([name, all = []]) => {
  const own = all.filter(({ family, internal }) => family === "IPv6" && !internal).map(({ address }) => address);
  const [local] = own.filter((address) => inPrefix(address, "fe80::/10"));
  const [other] = own.filter((address) => !inPrefix(address, "fe80::/10"));
  return local === undefined || other === undefined ? [] : [{ local: `${local}%${name}`, other }];
})[0];
const skip = link === undefined ? "this machine has no interface with a link-local and another IPv6 address" : false;

test("all nodes of a link are asked; the address that answers has its zone and is connected to", {
  skip,
}, async (t) => {
  const { local, other } = link!;
  const vehicle = await startVehicle({
    entities: [{ ...entityOf("CAMERA"), address: local, port: 0 }],
    announce: false,
    hearBroadcasts: true,
  });
  cleanup(t, () => vehicle.close());
  const heard: Announcement[] = [];
  let wake = () => {};
  const discovery = new Discovery({
    family: IPV6,
    testerAddress: other,
    testerSubnet: "fe80::/10",
    gatewayPort: vehicle.port,
    clock: systemClock,
    onAnnouncement: (announcement) => {
      heard.push(announcement);
      wake();
    },
  });
  cleanup(t, () => discovery.close());
  const next = () =>
    bounded<Announcement>("an announcement on the link", (resolve) => {
      wake = () => heard.length > 0 && resolve(heard.shift()!);
      wake();
    });
  await discovery.start();
  void discovery.discover();
  const { ip, port, version, logicalAddress } = await next();
  assert.deepEqual([ip, port], [local, vehicle.port]);

  const params = {
    ...DEFAULT_COM_PARAMS,
    doip: { ...DEFAULT_COM_PARAMS.doip, logicalTesterAddress: 0x0e00, logicalEcuAddress: logicalAddress },
  };
  const options = { params, gatewayAddress: logicalAddress, ip, version, port, tlsPort: port, testerIp: "127.0.0.1" };
  const transport = doipTransport({ ...options, clock: systemClock });
  cleanup(t, () => transport.close());
  await bounded<void>("a connection to the link-local address", (resolve) => {
    const onConnectivity = (up: boolean) => up && resolve();
    new UdsClient({
      transport,
      target: { name: "CAMERA", addressing: "physical", params },
      clock: systemClock,
      onConnectivity,
    });
    transport.announce(ip, version);
  });
  assert.equal([...vehicle.endpoints[0]!.connections].length, 1);
});
