/** The rig against our own server: it finds what is offered, and every profile's requests are answered. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { compare } from "#bench/bench.ts";
import { FLASH_DEFAULTS, prepareFlash } from "#bench/flash.ts";
import { prepare, REQUEST_PROFILES } from "#bench/profiles.ts";
import { discover } from "#bench/target.ts";
import { type Demo, startDemo } from "../../src/cli/demo.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { startHarness, withoutRealFiles } from "./harness.ts";

let demo: Demo;
before(async () => {
  demo = await startDemo(() => undefined);
  await demo.tour();
});
after(() => demo?.close());

const OPTIONS = { connections: [2], rounds: 1, durationMs: 200, warmUpMs: 50 };
const MAX_ROUNDS = 20;

/** Another round when a machine that stood still let nothing through. */
async function measure(subject: Parameters<typeof compare>[0][number]) {
  for (let left = MAX_ROUNDS; ; left--) {
    const [measured] = await compare([subject], OPTIONS);
    const round = measured!.rounds[0]![0]!;
    if (round.answered > 0 || Object.keys(round.errors).length > 0 || left === 0) return round;
  }
}

test("base path, token and components are found out", async () => {
  const { origin } = new URL(demo.base);
  const target = await discover(origin);
  assert.equal(target.base, "/vehicle/v15");
  assert.equal(typeof target.token, "string");
  assert.deepEqual([...target.components].sort(), ["body", "brakes", "camera", "central", "climate", "engine"]);
  await assert.rejects(discover(origin, { ecus: ["nobody"] }), /no such component: nobody/);
  await assert.rejects(discover(`${origin}/elsewhere`), /does not answer like a SOVD server/);
});

for (const profile of REQUEST_PROFILES.filter((name) => name !== "functional")) {
  test(`profile ${profile}: every request is answered`, async () => {
    const target = await discover(demo.base, { ecus: ["central", "engine"] });
    const work = await prepare(profile, target);
    const round = await measure({ name: profile, address: target.address, requests: work.requests });
    await work.release();
    assert.deepEqual(round.errors, {});
    assert(round.answered > 0);
    assert.equal(typeof round.serverCpuUsPerRequest, process.platform === "linux" ? "number" : "undefined");
  });
}

test("what a server lacks is said: this vehicle has no functional group", async () => {
  await assert.rejects(prepare("functional", await discover(demo.base)), /no functional group/);
});

test("profile flash: images go in, block by block, and refusals are named", { skip: withoutRealFiles }, async (t) => {
  const car = await startHarness({ databases: "real" });
  cleanup(t, () => car.close());
  const image = randomBytes(50_000);
  await writeFile(join(car.folder, "flash", "image.bin"), image);
  await car.online("TMCC3000", "FLXC1000");
  const target = await discover(car.base, { ecus: ["TMCC3000", "FLXC1000"] });
  const work = await prepareFlash(target, { ...FLASH_DEFAULTS, blockBytes: 1_002 });
  assert.match(work.description, /50000 bytes/);
  const locked = await work.run(1, 1);
  assert.deepEqual(locked.errors, { "requestdownload: HTTP 502": 1 }, "the simulated ECU wants its security level");
  // a change of session takes the level away; these ECUs keep it
  for (const name of ["TMCC3000", "FLXC1000"]) {
    Object.defineProperty(car.vehicle.ecu(name)!.state, "securityAccess", { get: () => "LEVEL_05", set: () => {} });
  }
  const { errors, latencies } = await work.run(2, 1);
  assert.deepEqual(errors, {});
  assert.equal(latencies.count, 2 * 50);
  assert.equal(car.vehicle.ecu("TMCC3000")!.state.transfers.at(-1)!.dataTransferCount, 50);
});

test("profile functional: every request is answered", { skip: withoutRealFiles }, async (t) => {
  const car = await startHarness({ databases: "real" });
  cleanup(t, () => car.close());
  await car.online("TMCC3000", "FLXC1000");
  const target = await discover(car.base);
  const { requests, release } = await prepare("functional", target);
  const { errors, answered } = await measure({ name: "functional", address: target.address, requests });
  await release();
  assert.deepEqual(errors, {});
  assert(answered > 0);
});
