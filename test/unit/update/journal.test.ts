/** What is durable of campaigns when the store cannot always write, and that it does not grow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { keysOf, type Persistence } from "#store/persistence.ts";
import { auditKeys, BUCKETS } from "#update/software/journal/chain.ts";
import { Journal } from "#update/software/journal/journal.ts";
import {
  DyingPersistence,
  freshPersistence,
  ID,
  JumpClock,
  registered,
  settle,
  startProcess,
  turn,
  World,
} from "./software-model.ts";

const FULL = new Fault("noSpaceLeft", "the disk is full");

/** A store that cannot do what `fails` says, as long as it says so. */
function fickle(fails: (change: "set" | "delete", bucket: string) => boolean): Persistence {
  const inner = createMemoryPersistence();
  return {
    ...inner,
    set: async (bucket, key, value) => {
      if (fails("set", bucket)) throw FULL;
      await inner.set(bucket, key, value);
    },
    delete: async (bucket, key) => {
      if (fails("delete", bucket)) throw FULL;
      await inner.delete(bucket, key);
    },
  };
}

const NOTE = { actor: "a", campaign: ID, event: "e", result: "ok" };

test("what is on the chain goes on, also when the campaign's own key could not be written", async () => {
  let full = false;
  const disk = fickle((_, bucket) => full && bucket === BUCKETS.campaigns);
  const clock = new JumpClock();
  const world = new World(["a", "b"], [], []);
  const process = await startProcess(disk, world, clock);
  await process.campaigns.register(registered(["a", "b"], "coordinated"), "tester");
  full = true;
  await assert.rejects(process.campaigns.apply(ID, { type: "prepare", thenExecute: true }, "tester"), FULL);
  await turn();
  full = false;
  await settle(process, clock, new DyingPersistence(disk));
  assert.equal(process.campaigns.get(ID)?.state, "completed");
  assert.ok(process.journal.verify().whole);
});

test("a disk that is full when the store is opened keeps no program from its start", async () => {
  let full = false;
  const disk = fickle((_, bucket) => full && bucket === BUCKETS.campaigns);
  const clock = new JumpClock();
  const world = new World(["a"], [], []);
  const first = await startProcess(disk, world, clock);
  await first.campaigns.register(registered(["a"], "coordinated"), "tester");
  full = true;
  await assert.rejects(first.campaigns.apply(ID, { type: "prepare", thenExecute: true }, "tester"), FULL);
  await first.campaigns.stop();
  clock.clear();
  const second = await startProcess(disk, world, clock);
  assert.equal(second.campaigns.get(ID)?.state, "preparing", "the chain says so");
  await second.campaigns.resume();
  full = false;
  await settle(second, clock, new DyingPersistence(disk));
  assert.equal(second.campaigns.get(ID)?.state, "completed");
  assert.ok(second.journal.verify().whole);
});

test("notes are those of the present attempt", async () => {
  const disk = freshPersistence();
  const process = await startProcess(disk, new World(["a"], [], []), new JumpClock());
  await process.campaigns.register(registered(["a"], "coordinated"), "tester");
  for (let attempt = 1; attempt <= 3; attempt++) {
    await process.campaigns.apply(ID, { type: "prepare", thenExecute: false }, "tester");
    await process.journal.writeNote("notes", `${ID}/${attempt}/a/image`, "{}");
    await process.journal.writeNote("notes", `${ID}-2/${attempt}/a/image`, "{}");
    while (process.campaigns.get(ID)?.state !== "prepared") await turn();
  }
  const of = (id: string) => keysOf(disk, BUCKETS.notes).filter((key) => key.startsWith(`${id}/`)).length;
  assert.deepEqual([of(ID), of(`${ID}-2`)], [1, 3]);
});

test("records that could not be pruned fail nothing, and go with the next", async () => {
  let full = false;
  const disk = fickle((change, bucket) => full && change === "delete" && bucket === BUCKETS.audit);
  const problems: unknown[] = [];
  const onProblem = (problem: unknown) => void problems.push(problem);
  const journal = new Journal({ persistence: disk, nowMs: Date.now, maxRecords: 10, onProblem });
  await journal.open();
  const note = async (times: number) => {
    for (let i = 0; i < times; i++) await journal.note(NOTE);
  };
  full = true;
  await note(80);
  assert.deepEqual(problems, [FULL]);
  assert.equal(auditKeys(disk, 0).length, 80);
  assert.ok(journal.verify().whole, "the anchor is there already");
  full = false;
  await note(80);
  assert.ok(auditKeys(disk, 0).length < 80, "what was left of the first time is gone as well");
  assert.ok(journal.verify().whole);
});
