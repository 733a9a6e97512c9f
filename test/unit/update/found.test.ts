/** The wait for ECUs that were not found yet since the start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Fleet } from "#fleet/api.ts";
import type { EcuStateWord } from "#fleet/messages.ts";
import { awaitFound } from "#update/software/campaign/found.ts";
import { JumpClock, turn } from "./software-model.ts";

const WINDOW_MS = 60_000;

function vehicle(states: Record<string, EcuStateWord>) {
  const listeners = new Set<() => void>();
  const asked: string[] = [];
  const viewOf = (id: string) => ({
    id,
    name: id.toUpperCase(),
    state: states[id],
    groups: id === "lone" ? [] : ["all"],
  });
  const fleet = {
    get ecus() {
      return Object.keys(states).map(viewOf);
    },
    ecu: (name: string) => (states[name.toLowerCase()] === undefined ? undefined : viewOf(name.toLowerCase())),
    group: (name: string) => (name === "all" ? name : undefined),
    async call(ecu: string, call: string) {
      asked.push(`${call} ${ecu}`);
      throw new Fault("notReady", "not yet");
    },
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as Fleet;
  return {
    fleet,
    asked,
    listeners,
    become(ecu: string, state: EcuStateWord) {
      states[ecu] = state;
      for (const listener of listeners) listener();
    },
  };
}

/** A wait that has begun, and whether it is over. */
function begin(scene: ReturnType<typeof vehicle>, names: string[], signal = new AbortController().signal) {
  const clock = new JumpClock();
  const untilMs = clock.now() + WINDOW_MS;
  const run = { clock, over: false, done: Promise.resolve() };
  run.done = awaitFound({ fleet: scene.fleet, clock }, names, untilMs, signal).finally(() => {
    run.over = true;
  });
  run.done.catch(() => undefined);
  return run;
}

test("it ends with the detection of the last one, an ECU or a member of a group; no timer is left", async () => {
  const scene = vehicle({ bcm: "Online", gateway: "Offline", lone: "Offline", radio: "NotTested" });
  const run = begin(scene, ["bcm", "GATEWAY", "all"]);
  scene.become("radio", "Online");
  await turn();
  assert.equal(run.over, false);
  assert.deepEqual(scene.asked, ["detect gateway", "detect radio"], "once each: what begins on demand begins");
  scene.become("gateway", "NotTested");
  await turn();
  assert.equal(run.over, false, "it is connected, not detected");
  scene.become("gateway", "NoVariantDetected");
  await run.done;
  assert.deepEqual([scene.listeners.size, run.clock.jump()], [0, false]);
});

for (const [what, states, names] of [
  ["all were found", { bcm: "Online", radio: "Disconnected" }, ["bcm", "all"]],
  ["what is neither ECU nor group", { bcm: "Offline" }, ["compute", "nobody"]],
  ["nothing", { bcm: "Offline" }, []],
] as const) {
  test(`${what}: no wait`, async () => {
    const scene = vehicle({ ...states });
    const run = begin(scene, [...names]);
    await turn();
    assert.deepEqual([run.over, scene.asked], [true, []]);
  });
}

test("it ends with the time since the start, and is none after it", async () => {
  const scene = vehicle({ bcm: "Offline" });
  const run = begin(scene, ["bcm"]);
  const beganMs = run.clock.now();
  assert.ok(run.clock.jump());
  await run.done;
  assert.equal(run.clock.now() - beganMs, WINDOW_MS);
  assert.equal(scene.listeners.size, 0);
  scene.asked.length = 0;
  await awaitFound({ fleet: scene.fleet, clock: run.clock }, ["bcm"], run.clock.now(), new AbortController().signal);
  assert.deepEqual(scene.asked, []);
});

test("a cancel ends it", async () => {
  const scene = vehicle({ bcm: "Offline" });
  const stop = new AbortController();
  const run = begin(scene, ["bcm"], stop.signal);
  stop.abort(new Fault("conflict", "cancelled"));
  await assert.rejects(run.done, /cancelled/);
  assert.deepEqual([scene.listeners.size, run.clock.jump()], [0, false]);
  await assert.rejects(begin(scene, ["bcm"], stop.signal).done, /cancelled/);
});
