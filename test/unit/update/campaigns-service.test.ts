/** Components that could not go back: the alarm, who waits for them, and how often they are tried again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lastKnown } from "#update/software/campaign/last-known.ts";
import { keyOf, Retries } from "#update/software/campaign/retries.ts";
import { statusOf } from "#update/software/views/status.ts";
import { play } from "./campaign-play.ts";
import { ID, JumpClock, registered, type Script, startProcess, turn, World } from "./software-model.ts";

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
