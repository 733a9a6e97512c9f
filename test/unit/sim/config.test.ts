import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { optionsFromEnvironment, readVehicleConfig } from "#sim/main.ts";
import { benchEntities } from "#sim/vehicle.bench.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";

const EXAMPLE = `
vin = "WVWZZZ1JZ3W386752"
control_port = 0
announce = false

[[entity]]
name = "BODY"
logical_address = 0x2000
address = "127.0.0.2"
functional_address = 0xE400
eid = "0A0B0C0D0E0F"
endpoint = { maxSockets = 2 }

[[entity.data]]
id = 0xD001
value = "0102"
writable = true

[[entity.ecu]]
name = "DOOR"
logical_address = 0x2001
misbehaviour = { delay = 20 }
`;

test("a vehicle as TOML", () => {
  // Cloned: the TOML reader makes objects without a prototype.
  assert.deepEqual(structuredClone(readVehicleConfig(EXAMPLE)), {
    vin: "WVWZZZ1JZ3W386752",
    controlPort: 0,
    announce: false,
    entities: [
      {
        name: "BODY",
        logicalAddress: 0x2000,
        address: "127.0.0.2",
        functionalAddress: 0xe400,
        eid: "0A0B0C0D0E0F",
        endpoint: { maxSockets: 2 },
        data: new Map([[0xd001, { value: Uint8Array.of(1, 2), writable: true }]]),
        ecus: [{ name: "DOOR", logicalAddress: 0x2001, misbehaviour: { delay: 20 } }],
      },
    ],
  });
});

const ENTITY = '[[entity]]\nname = "A"\nlogical_address = 1\n';
const WRONG: readonly [name: string, toml: string, message: RegExp][] = [
  ["no entity", "announce = true", /entity/],
  ["unknown key", `${ENTITY}colour = "red"`, /colour/],
  ["address too large", '[[entity]]\nname = "A"\nlogical_address = 70000', /entity\.0\.logical_address/],
  ["odd hex", `${ENTITY}data = [{ id = 1, value = "123" }]`, /entity\.0\.data\.0\.value/],
  [
    "misbehaviour of no kind",
    `${ENTITY}misbehaviour = { frame = { kind = "odd" } }`,
    /entity\.0\.misbehaviour\.frame\.kind/,
  ],
  ["same name twice", `${ENTITY}${ENTITY.replace('"A"', '"a"')}`, /stands twice/],
  ["not TOML", "entity = [", /vehicle config/],
];
for (const [name, toml, message] of WRONG) {
  test(`vehicle config refused: ${name}`, () => {
    assert.throws(
      () => readVehicleConfig(toml),
      (error) => error instanceof Fault && error.kind === "invalidConfig" && message.test(error.message),
    );
  });
}

test("the default vehicle on one address, or one address each in order", () => {
  assert.deepEqual([...new Set(defaultEntities(["10.0.0.1"]).map(({ address }) => address))], ["10.0.0.1"]);
  const five = ["a", "b", "c", "d", "e"];
  assert.deepEqual(
    defaultEntities(five).map(({ address }) => address),
    five,
  );
});

test("bench: up to 64 gateways of 16 ECUs, all names and addresses distinct", () => {
  const entities = benchEntities({ gateways: 64, ecusPerGateway: 16, delay: 5 });
  const ecus = entities.flatMap((entity) => [entity, ...(entity.ecus ?? [])]);
  assert.equal(ecus.length, 1024);
  assert.equal(new Set(ecus.map(({ name }) => name)).size, 1024);
  assert.equal(new Set(ecus.map(({ logicalAddress }) => logicalAddress)).size, 1024);
  assert.equal(new Set(entities.map(({ address }) => address)).size, 64);
  assert.ok(ecus.every(({ misbehaviour }) => misbehaviour?.delay === 5));
  for (const wrong of [{ gateways: 65 }, { gateways: 0 }, { ecusPerGateway: 17 }, { gateways: 2, addresses: ["a"] }]) {
    assert.throws(() => benchEntities(wrong), RangeError);
  }
});

test("variables of the CDA's simulator container", () => {
  assert.deepEqual(optionsFromEnvironment({}), {});
  assert.deepEqual(
    optionsFromEnvironment({
      SIM_DOIP_PORT: "1",
      SIM_REST_PORT: "2",
      SIM_NETWORK_INTERFACE: "eth0",
      OVERRIDE_VIN: "V",
    }),
    { port: 1, controlPort: 2, address: ["eth0"], vin: "V" },
  );
  assert.throws(() => optionsFromEnvironment({ SIM_DOIP_PORT: "x" }), /SIM_DOIP_PORT/);
});
