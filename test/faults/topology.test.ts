/** Gateways that come late, move, share an address, speak TLS, or are unknown; a transfer that loses its way. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { demoEntities } from "#sim/demo/vehicle.ts";
import type { EcuMisbehaviour } from "#sim/misbehaviour.ts";
import { type EntityOptions, type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { type Answer, forced, type Harness, type HarnessOptions, startHarness } from "../e2e/harness.ts";
import { cleanup } from "../fixtures/cleanup.ts";

const TESTER = "127.0.0.2";

async function start(t: TestContext, options: HarnessOptions): Promise<Harness> {
  const config = { com_params: { doip: { connection_retry_delay: forced(50) } } };
  const car = await startHarness({ config, ...options });
  cleanup(t, () => car.close());
  return car;
}

function ok(answer: Answer, status = 200) {
  assert.equal(answer.status, status, answer.text);
  return answer.json;
}

const only =
  (...names: string[]) =>
  (entities: EntityOptions[]) =>
    entities.filter(({ name }) => names.includes(name));

/** Another entity on the network, that announces itself to the tester. */
async function appear(t: TestContext, car: Harness, address: string, entity: EntityOptions): Promise<RunningVehicle> {
  const { port } = car.vehicle;
  const targets = [{ address: TESTER, port }];
  const vehicle = await startVehicle({ entities: [{ ...entity, address, port }], announce: { targets } });
  cleanup(t, () => vehicle.close());
  return vehicle;
}

const entityOf = (name: string) => demoEntities("127.0.0.1", 0).find((entity) => entity.name === name)!;

test("a gateway comes late, goes, and comes back elsewhere; one never comes; one nobody knows is no harm", async (t) => {
  const car = await start(t, { entities: only("CENTRAL") });
  await car.online("CENTRAL", "BODY", "CLIMATE");
  assert.equal(car.state("ENGINE"), "Offline");
  assert.equal(ok(await car.http.get("/components/engine/data/vin"), 504).message, "Ecu ENGINE offline");

  const first = await appear(t, car, "127.0.1.2", entityOf("ENGINE"));
  await car.online("ENGINE", "BRAKES");
  ok(await car.http.get("/components/brakes/data/vin"));
  const gone = car.becomes("BRAKES", "Disconnected");
  await first.close();
  await gone;

  await appear(t, car, "127.0.1.9", entityOf("ENGINE"));
  await car.online("ENGINE", "BRAKES");
  const [{ Gateways }] = ok(await car.http.get("/apps/sovd2uds/data/networkstructure")).data;
  const engine = Gateways.find(({ Name }: { Name: string }) => Name === "ENGINE");
  assert.equal(engine.NetworkAddress, "127.0.1.9");

  await appear(t, car, "127.0.1.7", { ...entityOf("CAMERA"), name: "STRANGER", logicalAddress: 0x7777 });
  ok(await car.http.get("/components/central/data/vin"));
  assert.equal(car.state("CAMERA"), "Offline");
});

test("all entities on one address are three connections all the same", async (t) => {
  const car = await start(t, {
    entities: (entities) => entities.map((entity) => ({ ...entity, address: "127.0.1.1" })),
  });
  await car.online("CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA");
  assert.equal(car.vehicle.endpoints.length, 1);
  assert.equal(car.vehicle.endpoints[0]!.connections.size, 3);
  for (const ecu of ["body", "brakes", "camera"]) ok(await car.http.get(`/components/${ecu}/data/vin`));
});

test("a gateway without a database of its own carries the ECUs behind it", async (t) => {
  const car = await start(t, { prepare: (folder) => rm(join(folder, "CENTRAL.mdd")) });
  await car.online("BODY", "CLIMATE");
  ok(await car.http.get("/components/body/data/vin"));
  ok(await car.http.get("/components/central"), 404);
});

test("a gateway that demands TLS", async (t) => {
  // The port of TLS is configured, so it must be known before the server starts.
  const vehicle = await startVehicle({
    entities: [{ ...entityOf("CAMERA"), address: "127.0.1.6", port: 0, endpoint: { tlsRequired: true } }],
    tls: {},
    announce: false,
  });
  cleanup(t, () => vehicle.close());
  const secure: boolean[] = [];
  vehicle.events.subscribe((event) => event.kind === "connected" && secure.push(event.secure));
  const car = await start(t, {
    entities: only("CENTRAL"),
    config: { doip: { gateway_port: vehicle.port, tls_port: vehicle.tlsPort! }, discovery: { targets: ["127.0.1.6"] } },
  });
  await car.online("CAMERA");
  ok(await car.http.get("/components/camera/data/vin"));
  assert.deepEqual(secure, [false, true], "plain first, then TLS");
});

for (const centralSecurity of [true, false]) {
  test(`a gateway that announces central security and ${centralSecurity ? "knows" : "does not know"} its activation type`, async (t) => {
    const car = await start(t, {
      entities: (entities) =>
        only(
          "CENTRAL",
          "CAMERA",
        )(entities).map((entity) => ({
          ...entity,
          endpoint: { announcement: { furtherAction: 0x10, syncStatus: 0x10 }, centralSecurity, closeOnDenial: true },
        })),
    });
    await car.online("CENTRAL", "CAMERA");
    ok(await car.http.get("/components/camera/data/vin"));
  });
}

test("a gateway that stayed away longer than it was tried is found by its announcement", async (t) => {
  const config = {
    com_params: {
      doip: {
        connection_retry_delay: forced(20),
        connection_retry_attempts: { precedence: "Config", value: 1 },
      },
    },
    discovery: { max_tries: 1 },
  };
  const car = await start(t, { entities: only("CENTRAL"), config });
  const first = await appear(t, car, "127.0.1.2", entityOf("ENGINE"));
  await car.online("ENGINE");
  const tries: unknown[] = [];
  const gone = car.becomes("ENGINE", "Disconnected");
  await first.close();
  await gone;
  // a listener that refuses: it counts the attempts and is heard of no more once they are used up
  const counter = createServer((socket) => {
    tries.push(socket.destroy());
  });
  await new Promise<void>((resolve) => counter.listen({ host: "127.0.1.2", port: car.vehicle.port }, resolve));
  cleanup(t, () => counter.close());
  ok(await car.http.get("/components/engine/data/vin"), 504);
  await new Promise<void>((resolve) => counter.close(() => resolve()));
  const used = tries.length;
  assert.ok(used <= 3, `${used} attempts`);
  await appear(t, car, "127.0.1.2", entityOf("ENGINE"));
  await car.online("ENGINE");
  ok(await car.http.get("/components/engine/data/vin"));
});

/** For an answer that does not come; where all come nothing may be sent again, however slow the machine is. */
const [SHORT_MS, LONG_MS] = [300, 20_000];

for (const [name, misbehaviour, requests, windowMs = LONG_MS] of [
  [
    "an answer that is lost: the same counter again",
    { only: "3602", frame: { kind: "lost", times: 1 } },
    undefined,
    SHORT_MS,
  ],
  // what is sent again while the ECU is at it gets 0x21, as often as it is sent
  [
    "an answer that comes when the block was sent again",
    { only: "3602", frame: { kind: "wrongSid", correctAfterMs: 350, times: 1 } },
    undefined,
    SHORT_MS,
  ],
  ["0x78 before the answer", { only: "3602", pending: { count: 3, intervalMs: 100, times: 1 } }, 4],
  ["busy for a while", { only: "3602", nrc: { code: 0x21, times: 2 } }, 4],
  ["not available for a while", { only: "3602", nrc: { code: 0x94, times: 2 } }, 4],
] as const) {
  test(`a transfer, block 2 meets ${name}`, async (t) => {
    const car = await start(t, {
      config: {
        com_params: {
          uds: {
            timeout_default: forced(windowMs),
            rc_78_timeout: forced(LONG_MS),
            rc_21_repeat_request_time: forced(20),
            rc_94_repeat_request_time: forced(20),
          },
        },
      },
    });
    await car.online("ENGINE");
    const image = randomBytes(40);
    await writeFile(join(car.folder, "flash", "image.bin"), image);
    ok(await car.http.get("/apps/sovd2uds/bulk-data/flashfiles"));
    const ecu = car.vehicle.ecu("ENGINE");
    Object.assign(ecu.state, { variant: "BOOT", sessionState: "PROGRAMMING", securityAccess: "LEVEL_05" });
    ecu.receive(Uint8Array.of(0x34, 0, 0x44, 0, 0, 0x10, 0, 0, 0, 0, 40));
    ecu.misbehaviour = structuredClone(misbehaviour) as EcuMisbehaviour;
    const path = "/components/engine/x-sovd2uds-download/flashtransfer";
    const transfer = { blocksequencecounter: 1, blocksize: 12, offset: 0, length: 40, id: "image_bin" };
    await car.locked("engine", async () => {
      car.traffic.clear();
      ok(await car.http.post(path, transfer));
      const ended = async () => {
        for (;;) {
          const [state] = ok(await car.http.get(path)).items;
          if (state.status === "finished" || state.status === "aborted") return state;
        }
      };
      const { status, acknowledgedBytes, error } = await ended();
      assert.deepEqual([status, acknowledgedBytes], ["finished", 40], JSON.stringify(error));
    });
    const blocks = car.traffic.to("ENGINE").filter((uds) => uds.startsWith("36"));
    // requests that the misbehaviour refuses are no traffic
    if (requests !== undefined) assert.equal(blocks.length, requests);
    else if (misbehaviour.frame.kind === "lost") assert.ok(blocks.length > 4, "it was sent again");
    assert.equal(ecu.misbehaviour.nrc?.times ?? 0, 0);
    const written = new Set(blocks);
    assert.equal([...written].map((uds) => uds.slice(4)).join(""), image.toString("hex").toUpperCase());
  });
}

test("a transfer whose connection breaks is aborted, and another one may follow", async (t) => {
  const car = await start(t, {});
  await car.online("ENGINE");
  await writeFile(join(car.folder, "flash", "image.bin"), randomBytes(4_000));
  ok(await car.http.get("/apps/sovd2uds/bulk-data/flashfiles"));
  const ecu = car.vehicle.ecu("ENGINE");
  const path = "/components/engine/x-sovd2uds-download/flashtransfer";
  const transfer = { blocksequencecounter: 1, blocksize: 10, offset: 0, length: 4_000, id: "image_bin" };
  const ended = async () => {
    for (;;) {
      const [state] = ok(await car.http.get(path)).items;
      if (state.status === "finished" || state.status === "aborted") return state;
    }
  };
  const prepare = () => {
    Object.assign(ecu.state, {
      variant: "BOOT",
      sessionState: "PROGRAMMING",
      securityAccess: "LEVEL_05",
      transfers: [],
    });
    ecu.receive(Uint8Array.of(0x34, 0, 0x44, 0, 0, 0x10, 0, 0, 0, 0x0f, 0xa0));
  };
  await car.locked("engine", async () => {
    prepare();
    const under = car.traffic.next(({ uds }) => uds.startsWith("36"), 100);
    const { id } = ok(await car.http.post(path, transfer));
    await under;
    for (const connection of car.vehicle.endpoint("ENGINE").connections) connection.destroy();
    const broken = await ended();
    assert.equal(broken.status, "aborted");
    assert.ok(broken.acknowledgedBytes > 0 && broken.acknowledgedBytes < 4_000);
    assert.match(broken.error[0].text, /offline/);
    ok(await car.http.delete(`${path}/${id}`), 204);
    await car.online("ENGINE");
    prepare();
    ok(await car.http.post(path, transfer));
    assert.deepEqual([(await ended()).status, ecu.state.transfers.at(-1)?.dataTransferCount], ["finished", 500]);
  });
});
