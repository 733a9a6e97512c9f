/** Orders and times of a campaign: who goes when, what is on the disk before it, and clocks that nobody can trust. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { CallRun } from "#update/software/campaign/campaigns.ts";
import { lastKnown } from "#update/software/campaign/last-known.ts";
import { keyOf, Retries } from "#update/software/campaign/retries.ts";
import { type CampaignRecord, IDLE_STATES } from "#update/software/campaign/states.ts";
import { verifyStored } from "#update/software/journal/chain.ts";
import { statusOf } from "#update/software/views/status.ts";
import {
  begin,
  DyingPersistence,
  freshPersistence,
  ID,
  JumpClock,
  LIMITS,
  type Process,
  registered,
  type Script,
  settle,
  startProcess,
  turn,
  World,
} from "./software-model.ts";

const YEAR_MS = 365 * 24 * 3_600_000;

interface Play {
  readonly process: Process;
  readonly clock: JumpClock;
  readonly disk: DyingPersistence;
  readonly world: World;
}

/** Executes a campaign until nothing happens by itself any more. */
async function play(
  components: readonly string[],
  policy: CampaignRecord["policy"],
  scripts: readonly Script[] = [],
  { single = [], watchdogMs }: { readonly single?: readonly string[]; readonly watchdogMs?: number } = {},
  world = new World(components, scripts, single),
): Promise<Play> {
  const disk = new DyingPersistence(freshPersistence());
  const clock = new JumpClock();
  const process = await startProcess(disk, world, clock);
  await begin(process, components, policy, watchdogMs);
  if (watchdogMs === undefined) await settle(process, clock, disk);
  else while (process.campaigns.get(ID)?.state !== "awaitingVerdict") await step(process, clock);
  return { process, clock, disk, world };
}

async function step({ campaigns }: Process, clock: JumpClock): Promise<void> {
  await turn();
  const state = campaigns.get(ID)?.state;
  if (state !== "awaitingVerdict" && !clock.jump()) await turn();
}

const eventsOf = ({ journal }: Process, ...wanted: string[]): string[] =>
  [...journal.records()]
    .filter(({ event }) => wanted.includes(event))
    .map((record) => `${record.event} ${record.component}`);

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

test("a member that could not be reached goes back when it is there again; the alarm ends", async () => {
  const scripts: Script[] = [
    { call: "gate", component: "b", outcome: "refused", times: 1 },
    { call: "rollback", component: "a", outcome: "silent", times: 60 },
  ];
  const { process, clock, world } = await play(["a", "b"], "coordinated", scripts);
  assert.equal(process.campaigns.get(ID)?.state, "needsService");
  assert.deepEqual(
    [world.isOld("a"), world.isOld("b")],
    [false, true],
    "one silent member keeps nobody on new software",
  );
  const body = statusOf(process.campaigns.get(ID)!, () => undefined, 0, false);
  assert.deepEqual((body.error as { parameters: unknown }).parameters, { needs_service: ["a"] });
  while (process.campaigns.get(ID)?.state !== "rolledBack") {
    await turn();
    clock.jump();
  }
  assert.ok(world.isOld("a"));
  assert.deepEqual([process.alarms[0], process.alarms.at(-1)], [["a"], []]);
});

test("who does not end going back keeps nobody else on new software, and the alarm stays until all are back", async () => {
  const world = new World(["a", "b"], [{ call: "gate", component: "b", outcome: "refused", times: 1 }], []);
  const { rollback } = world.calls;
  let hangs = true;
  world.calls.rollback = (record, member, run) => {
    if (!hangs || member.component === "a") return rollback(record, member, run);
    return new Promise((_, reject) => run.signal.addEventListener("abort", () => reject(run.signal.reason)));
  };
  const { process, clock, disk } = await play(["a", "b"], "coordinated", [], {}, world);
  assert.deepEqual(process.alarms, [["a", "b"]], "b goes first, and takes all the time there is");
  const until = async (isSo: () => boolean, one = process) => {
    while (!isSo()) {
      await turn();
      if (!isSo() && one === process) clock.jump();
    }
  };
  await until(() => world.isOld("a"));
  await until(() => process.alarms.length === 2);
  assert.deepEqual([process.campaigns.get(ID)?.state, process.alarms.at(-1)], ["rollingBack", ["b"]]);
  await process.campaigns.stop();
  clock.clear();
  hangs = false;
  const second = await startProcess(disk, world, clock);
  await second.campaigns.resume();
  assert.deepEqual(second.alarms[0], ["b"], "also after a restart in the middle of another try");
  await until(() => second.campaigns.get(ID)?.state === "rolledBack", second);
  assert.deepEqual([world.isOld("b"), second.alarms.at(-1)], [true, []]);
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

test("a component that needs service is told of also when it is silent, while it is tried again too; no other is", async () => {
  const scripts: Script[] = [
    { call: "gate", component: "b", outcome: "refused", times: 1 },
    { call: "rollback", component: "a", outcome: "silent", times: 1_000_000 },
  ];
  const { process } = await play(["a", "b"], "coordinated", scripts);
  const stuck = process.campaigns.get(ID)!;
  assert.equal(stuck.state, "needsService");
  const members = stuck.members.map((member) => ({ ...member, hardwareId: `hw-${member.component}`, serial: "7" }));
  const facts = { supportsRollback: false, supportsTrial: true, hardwareId: "hw-a", serial: "7" };
  assert.deepEqual(lastKnown({ ...stuck, members }, "a"), facts);
  assert.equal(lastKnown({ ...stuck, members }, "b"), undefined, "it is back");
  assert.equal(lastKnown(undefined, "a"), undefined);
  const again = await process.campaigns.apply(ID, { type: "retry" }, "system");
  assert.deepEqual([again.state, lastKnown(again, "a")?.supportsRollback], ["rollingBack", false]);
});

test("a component that refuses to go back is tried again ever more seldom, one that is silent as often as before", async () => {
  for (const [outcome, grows] of [
    ["refused", true],
    ["silent", false],
  ] as const) {
    const scripts: Script[] = [
      { call: "gate", component: "a", outcome: "refused", times: 1 },
      { call: "rollback", component: "a", outcome, times: 1_000_000 },
    ];
    const { process, clock } = await play(["a"], "coordinated", scripts);
    const waitsMs: number[] = [];
    for (let state = "needsService", sinceMs = clock.now(); waitsMs.length < 8; ) {
      clock.jump();
      await turn();
      const now = process.campaigns.get(ID)!.state;
      if (now === state) continue;
      if (state === "needsService") waitsMs.push(clock.now() - sinceMs);
      [state, sinceMs] = [now, clock.now()];
    }
    const [firstMs = 0] = waitsMs;
    const times = waitsMs.map((waitMs) => waitMs / firstMs);
    assert.deepEqual(times, grows ? [1, 1, 2, 4, 8, 16, 32, 32] : Array(8).fill(1), outcome);
  }
});

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

test("what is forgotten of an update that was deleted: its failures and its pauses", () => {
  const clock = new JumpClock();
  const retries = new Retries(clock);
  for (const key of [ID, keyOf(ID, "a"), keyOf("other", "a")]) {
    retries.fail(key, "rollback");
    retries.pause(key, 10, () => undefined);
  }
  retries.forget(ID);
  const isKnown = (key: string) => [retries.hasFailed(key), retries.isPausing(key)];
  assert.deepEqual([isKnown(ID), isKnown(keyOf(ID, "a"))].flat(), [false, false, false, false]);
  assert.deepEqual(isKnown(keyOf("other", "a")), [true, true]);
  assert.deepEqual([clock.jump(), clock.jump()], [true, false], "no timer of it runs on");
});

test("who waits for service is no other update's until it went back, or the update was deleted", async () => {
  const scripts: Script[] = [
    { call: "gate", component: "b", outcome: "refused", times: 1 },
    { call: "rollback", component: "a", outcome: "silent", times: 1_000_000 },
  ];
  const { process } = await play(["a", "b"], "coordinated", scripts);
  const { campaigns } = process;
  assert.equal(campaigns.get(ID)?.state, "needsService");
  const prepare = { type: "prepare", thenExecute: true } as const;
  for (const [id, component] of [
    ["other", "a"],
    ["free", "b"],
  ] as const) {
    await campaigns.register({ ...registered([component], "coordinated"), id, package: { id } }, "tester");
  }
  await assert.rejects(campaigns.apply("other", prepare, "tester"), { kind: "updateInProgress", message: /fw .* a$/ });
  await campaigns.apply("free", prepare, "tester");
  await campaigns.apply(ID, { type: "delete" }, "tester");
  assert.deepEqual(process.alarms.at(-1), [], "the alarm ends with the update");
  await campaigns.apply("other", prepare, "tester");
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
