/** Orders and times of a campaign: who goes when, what is on the disk before it, and clocks that nobody can trust. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { CallRun } from "#update/software/campaign/campaigns.ts";
import { IDLE_STATES } from "#update/software/campaign/states.ts";
import { verifyStored } from "#update/software/journal/chain.ts";
import { statusOf } from "#update/software/views/status.ts";
import { eventsOf, type Play, play } from "./campaign-play.ts";
import {
  begin,
  DyingPersistence,
  freshPersistence,
  ID,
  JumpClock,
  LIMITS,
  registered,
  type Script,
  settle,
  startProcess,
  turn,
  World,
} from "./software-model.ts";

const YEAR_MS = 365 * 24 * 3_600_000;

test("who has no trial goes last, when all others are healthy, and back first", async () => {
  const components = ["single", "a", "b"];
  const refused = { call: "gate", component: "single", outcome: "refused", times: 1 } as const;
  const { process, world } = await play(components, "coordinated", [refused], { single: ["single"] });
  const events = eventsOf(process, "memberStarted", "memberHealthy", "memberRolledBack");
  assert.deepEqual(events.slice(0, 2), ["memberStarted a", "memberStarted b"]);
  const last = events.indexOf("memberStarted single");
  assert.ok(last > events.indexOf("memberHealthy a") && last > events.indexOf("memberHealthy b"), events.join());
  const started = eventsOf(process, "memberStarted").map((event) => event.replace("Started", "RolledBack"));
  assert.deepEqual(eventsOf(process, "memberRolledBack"), started.reverse());
  assert.ok(components.every((component) => world.isOld(component)));
});

test("the verdict is on the disk before the first commit is sent, and all have passed", async () => {
  const world = new World(["a", "b"], [], []);
  const seen: unknown[] = [];
  const commit = world.calls.commit;
  world.calls.commit = (record, member, run) => {
    const { journal } = started;
    const last = [...journal.records()].findLast(({ state }) => state?.verdict === "commit");
    seen.push([last?.to, last?.state?.members.map(({ state }) => state).includes("trial")]);
    return commit(record, member, run);
  };
  const disk = freshPersistence();
  const clock = new JumpClock();
  const started = await startProcess(disk, world, clock);
  await begin(started, ["a", "b"], "coordinated");
  await settle(started, clock, new DyingPersistence(disk));
  assert.deepEqual(seen, [
    ["committing", false],
    ["committing", false],
  ]);
  assert.ok(verifyStored(disk).whole);
});

test("what comes up later may make unwell who was healthy: the verdict is about all of them together", async () => {
  const world = new World(["a", "single"], [], ["single"]);
  const { gate } = world.calls;
  world.calls.gate = async (record, member, run) => {
    await gate(record, member, run);
    if (member.component === "a" && !world.isOld("single")) throw new Fault("conflict", "does not get on with it");
  };
  const { process } = await play(["a", "single"], "coordinated", [], {}, world);
  assert.equal(process.campaigns.get(ID)?.state, "rolledBack");
  assert.deepEqual(eventsOf(process, "memberHealthy", "memberUnhealthy").slice(0, 1), ["memberHealthy a"]);
  assert.ok(world.isOld("a") && world.isOld("single"));
});

test("a check that is under way when another comes up begins anew; what it has found well by then is void", async () => {
  const world = new World(["a", "b"], [], []);
  const { gate, execute } = world.calls;
  const told = new EventEmitter();
  const rounds: string[] = [];
  world.calls.execute = async (record, member, run) => {
    if (member.component === "b") await once(told, "checked");
    return execute(record, member, run);
  };
  world.calls.gate = async (record, member, run) => {
    rounds.push(member.component);
    if (rounds.length === 1) {
      told.emit("checked");
      // as one that does not hear of the abort, and ends well
      await once(run.signal, "abort");
    }
    return gate(record, member, run);
  };
  const { process } = await play(["a", "b"], "coordinated", [], {}, world);
  assert.equal(process.campaigns.get(ID)?.state, "completed");
  assert.deepEqual(rounds.sort(), ["a", "a", "b"]);
  const events = eventsOf(process, "memberExecuted", "memberHealthy");
  assert.equal(events.indexOf("memberExecuted b"), 1, events.join());
  assert.equal(events.filter((event) => event === "memberHealthy a").length, 1);
});

test("where members decide for themselves one that is unwell goes back alone; the whole has failed, each with its result", async () => {
  const scripts: Script[] = [{ call: "gate", component: "b", outcome: "refused", times: 1 }];
  const { process, world } = await play(["a", "b"], "independent", scripts);
  const body = statusOf(process.campaigns.get(ID)!, () => undefined, 0, false);
  assert.deepEqual([body.status, world.isOld("a"), world.isOld("b")], ["failed", false, true]);
  const results = (body.subprogress as { entity: string; status: string }[]).map(({ entity, status }) => [
    entity,
    status,
  ]);
  assert.deepEqual(results, [
    ["a", "completed"],
    ["b", "failed"],
  ]);
});

for (const [policy, at] of [
  ["independent", 3],
  ["coordinated", 1],
] as const) {
  test(`taken back on request, ${policy}: ${at} at a time`, async () => {
    const components = ["a", "b", "c"];
    const world = new World(components, [], []);
    let [now, most] = [0, 0];
    const { rollback } = world.calls;
    world.calls.gate = (_record, _member, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    world.calls.rollback = async (...given) => {
      most = Math.max(most, ++now);
      await Promise.resolve();
      return rollback(...given).finally(() => now--);
    };
    const disk = new DyingPersistence(freshPersistence());
    const clock = new JumpClock();
    const process = await startProcess(disk, world, clock);
    await begin(process, components, policy);
    const isOnTrial = () => process.campaigns.get(ID)?.members.every(({ state }) => state === "trial");
    while (!isOnTrial()) await turn();
    await process.campaigns.apply(ID, { type: "rollback", reason: "no" }, "tester");
    await settle(process, clock, disk);
    assert.deepEqual([process.campaigns.get(ID)?.state, most], ["rolledBack", at]);
    assert.ok(components.every((component) => world.isOld(component)));
  });
}

test("a hundred devices: never more at once than allowed, all new", async () => {
  const components = Array.from({ length: 100 }, (_, i) => `device-${i}`);
  const world = new World(components, [], []);
  let [now, most] = [0, 0];
  for (const call of ["prepare", "execute"] as const) {
    const made = world.calls[call] as (...given: unknown[]) => Promise<never>;
    world.calls[call] = async (...given: unknown[]) => {
      most = Math.max(most, ++now);
      await Promise.resolve();
      return made(...given).finally(() => now--);
    };
  }
  const { process } = await play(components, "coordinated", [], {}, world);
  assert.equal(process.campaigns.get(ID)?.state, "completed");
  assert.equal(most, LIMITS.maxParallel);
  assert.ok(process.journal.verify().whole);
});

const WATCHDOG_MS = 5_000;

/** Waits for the verdict that does not come; how long it took until the trial went back. */

async function abandoned({ process, clock, disk }: Play, beganMs: number): Promise<number> {
  while (process.campaigns.get(ID)?.state === "awaitingVerdict") {
    await turn();
    if (process.campaigns.get(ID)?.state === "awaitingVerdict" && !clock.jump()) throw new Error("waits for ever");
    await turn();
  }
  const tookMs = clock.now() - beganMs;
  await settle(process, clock, disk);
  return tookMs;
}

for (const [what, offsetMs] of [
  ["as it should be", 0],
  ["set back by a year", -YEAR_MS],
  ["set ahead by a year", YEAR_MS],
] as const) {
  test(`watchdog: without a verdict a trial goes back in time, with a clock ${what}`, async () => {
    const run = await play(["a"], "coordinated", [], { watchdogMs: WATCHDOG_MS });
    run.clock.wallOffsetMs = offsetMs;
    assert.equal(await abandoned(run, run.clock.now()), WATCHDOG_MS);
    assert.equal(run.process.campaigns.get(ID)?.state, "rolledBack");
    assert.ok(run.world.isOld("a"));
  });

  test(`watchdog: also after a restart, with a clock ${what}`, async () => {
    const run = await play(["a"], "coordinated", [], { watchdogMs: WATCHDOG_MS });
    await run.process.campaigns.stop();
    run.clock.clear();
    run.clock.wallOffsetMs = offsetMs;
    const process = await startProcess(run.disk, run.world, run.clock);
    const beganMs = run.clock.now();
    await process.campaigns.resume();
    const tookMs = await abandoned({ ...run, process }, beganMs);
    assert.ok(tookMs <= WATCHDOG_MS, `${tookMs}`);
    assert.equal(process.campaigns.get(ID)?.state, "rolledBack");
    assert.ok(process.journal.verify().whole);
  });
}

test("a verdict that comes late is refused with the state that is, and so is a close of what was not committed", async () => {
  const run = await play(["a"], "coordinated", [], { watchdogMs: WATCHDOG_MS });
  const { campaigns } = run.process;
  await assert.rejects(campaigns.apply(ID, { type: "close" }, "primary"), isRefusedIn("awaitingVerdict"));
  await abandoned(run, 0);
  for (const type of ["commit", "close"] as const) {
    await assert.rejects(campaigns.apply(ID, { type }, "primary"), isRefusedIn("rolledBack"));
  }
  assert.ok(IDLE_STATES.has(campaigns.get(ID)!.state));
});

const isRefusedIn = (state: string) => (error: unknown) =>
  error instanceof Fault && error.kind === "conflict" && error.details?.state === state;

test("a disk that is full at the start ends no campaign, nor the program: it goes on once it can be written", async () => {
  const world = new World(["a", "b"], [], []);
  const { execute } = world.calls;
  world.calls.execute = (_record, _member, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const disk = new DyingPersistence(freshPersistence());
  const clock = new JumpClock();
  const first = await startProcess(disk, world, clock);
  await begin(first, ["a", "b"], "coordinated");
  while (first.campaigns.get(ID)?.members.some(({ state }) => state !== "executing")) await turn();
  await first.campaigns.stop();
  clock.clear();
  world.calls.execute = execute;
  const second = await startProcess(disk, world, clock);
  const set = disk.set.bind(disk);
  let left = 3;
  disk.set = async (...written) => {
    if (left-- > 0) throw new Fault("noSpaceLeft", "full");
    return set(...written);
  };
  await second.campaigns.resume();
  await settle(second, clock, disk);
  assert.equal(second.campaigns.get(ID)?.state, "completed");
  assert.ok(left < 0 && verifyStored(disk).whole);
});

test("what comes between the preparing and the executing of one call is told that it is under way", async () => {
  const { campaigns } = await startProcess(freshPersistence(), new World(["a"], [], []), new JumpClock());
  for (const id of ["first", "second"]) {
    await campaigns.register({ ...registered(["a"], "coordinated"), id, package: { id } }, "tester");
  }
  const prepare = { type: "prepare", thenExecute: true } as const;
  await campaigns.apply("first", prepare, "tester");
  const asked: Promise<string>[] = [];
  const ask = (id: string, event: typeof prepare | { type: "delete" }) => {
    const state = () => campaigns.get("first")?.state;
    const ends = campaigns.apply(id, event, "tester").then(
      () => "taken",
      ({ kind }: Fault) => `${id} ${event.type} ${state()} ${kind}`,
    );
    asked.push(ends);
  };
  while (["preparing", "prepared"].includes(campaigns.get("first")!.state)) {
    ask("second", prepare);
    ask("first", prepare);
    ask("first", { type: "delete" });
    await Promise.race([turn(), asked.at(-1)]);
  }
  const told = new Set(await Promise.all(asked));
  assert.deepEqual(
    [...told].filter((each) => each.includes(" prepared ")).sort(),
    [
      "first delete prepared updateInProgress",
      "first prepare prepared updatePreparing",
      "second prepare prepared updateInProgress",
    ],
    [...told].join(),
  );
  assert.ok(!told.has("taken"));
});

test("as many campaigns as allowed, also when they come at once", async () => {
  const { campaigns } = await startProcess(freshPersistence(), new World(["a"], [], []), new JumpClock());
  const register = (id: string) => campaigns.register({ ...registered(["a"], "coordinated"), id }, "tester", 2);
  const results = await Promise.allSettled(["1", "2", "3"].map(register));
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected"],
  );
  await register("1");
});

test("what is asked for before the resumption goes on record, and begins with it", async () => {
  const disk = freshPersistence();
  const clock = new JumpClock();
  const components = { under: "a", fresh: "b", stopped: "c" };
  const { calls } = new World(Object.values(components), [], []);
  const endless = (_record: unknown, _member: unknown, { signal }: CallRun) =>
    new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const left = await startProcess(disk, { calls: { ...calls, prepare: endless } }, clock);
  const prepare = { type: "prepare", thenExecute: false } as const;
  for (const [id, component] of Object.entries(components)) {
    await left.campaigns.register({ ...registered([component], "coordinated"), id, package: { id } }, "tester");
    if (id !== "fresh") await left.campaigns.apply(id, prepare, "tester");
  }
  await left.campaigns.stop();
  clock.clear();

  const { campaigns } = await startProcess(disk, { calls }, clock);
  assert.equal((await campaigns.apply("fresh", prepare, "tester")).state, "preparing");
  assert.equal((await campaigns.apply("stopped", { type: "rollback", reason: "enough" }, "tester")).state, "failed");
  await turn();
  const states = () => Object.keys(components).map((id) => campaigns.get(id)?.state);
  assert.deepEqual(states(), ["preparing", "preparing", "failed"], "no target is asked for anything");
  await campaigns.resume();
  while (campaigns.get("fresh")?.state !== "prepared" || campaigns.get("under")?.state !== "prepared") await turn();
  assert.deepEqual(states(), ["prepared", "prepared", "failed"]);
});
