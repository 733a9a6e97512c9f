/** The rig against our own server: it finds what is offered, and every profile's requests are answered. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compare } from "#bench/bench.ts";
import { PROFILES, prepare } from "#bench/profiles.ts";
import { discover } from "#bench/target.ts";
import { type Demo, startDemo } from "../../src/cli/demo.ts";

let demo: Demo;
before(async () => {
  demo = await startDemo(() => undefined);
  await demo.tour();
});
after(() => demo.close());

const OPTIONS = { connections: [2], rounds: 1, durationMs: 200, warmUpMs: 50 };

test("base path, token and components are found out", async () => {
  const { origin } = new URL(demo.base);
  const target = await discover(origin);
  assert.equal(target.base, "/vehicle/v15");
  assert.equal(typeof target.token, "string");
  assert.deepEqual([...target.components].sort(), ["body", "brakes", "camera", "central", "climate", "engine"]);
  await assert.rejects(discover(origin, { ecus: ["nobody"] }), /no such component: nobody/);
  await assert.rejects(discover(`${origin}/elsewhere`), /does not answer like a SOVD server/);
});

for (const profile of PROFILES.filter((name) => name !== "functional")) {
  test(`profile ${profile}: every request is answered`, async () => {
    const target = await discover(demo.base, { ecus: ["central", "engine"] });
    const work = await prepare(profile, target);
    const [measured] = await compare([{ name: profile, address: target.address, requests: work.requests }], OPTIONS);
    await work.release();
    const round = measured!.rounds[0]![0]!;
    assert.deepEqual(round.errors, {});
    assert(round.answered > 0);
    assert.equal(typeof round.serverCpuUsPerRequest, process.platform === "linux" ? "number" : "undefined");
  });
}

test("what a server lacks is said: this vehicle has no functional group", async () => {
  await assert.rejects(prepare("functional", await discover(demo.base)), /no functional group/);
});
