/** What is done about copies elsewhere when an update is deleted: in bounded time, beside other updates, and never instead of deleting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { Forgetting } from "#update/software/campaign/forgetting.ts";
import { rememberImage } from "#update/software/campaign/job.ts";
import { type CampaignRecord, type CampaignState, freshMember } from "#update/software/campaign/states.ts";
import { Journal } from "#update/software/journal/journal.ts";
import type { UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { ManualClock } from "../doip/support.ts";

const IMAGE = {
  component: "node",
  category: "firmware-artifacts",
  id: "i",
  name: "i",
  size: 3,
  sha256: "ab",
  complete: true,
};

function update(id: string, state: CampaignState, components: readonly string[], attempt = 1): CampaignRecord {
  return {
    id,
    policy: "coordinated",
    state,
    attempt,
    thenExecute: false,
    members: components.map((component) => freshMember(component, "idle")),
    auditSeq: 0,
    changedAtMs: 0,
    package: { id },
  };
}

/** A node whose `forget` is given; components `slot…` have a backend without one, `ghost` has none. */
async function nodeOf(forget: (job: UpdateJob) => unknown) {
  const journal = new Journal({ persistence: createMemoryPersistence(), nowMs: () => 0, maxRecords: 100 });
  await journal.open();
  const clock = new ManualClock();
  const kept: unknown[] = [];
  const provider = { kind: "test", forget: async (job: UpdateJob) => void (await forget(job)) };
  const parts = {
    journal,
    bulk: { find: () => IMAGE, artifact: (image: typeof IMAGE) => image } as never,
    log: (_message: string, { component, problem }: Readonly<Record<string, unknown>>) =>
      void kept.push([component, problem]),
    clock,
    providerOf: (component: string) =>
      component === "ghost"
        ? undefined
        : ((component.startsWith("slot") ? { kind: "slot" } : provider) as UpdateProvider),
  };
  const register = (record: CampaignRecord) =>
    journal.transition({ actor: "a", campaign: record.id, event: "registered", result: "ok" }, record);
  const remove = (record: CampaignRecord) => register({ ...record, state: "deleted" });
  return { parts, journal, forgetting: new Forgetting(parts), kept, clock, register, remove };
}

test("each component that can is asked, with what was noted although the record is gone", async () => {
  const jobs: UpdateJob[] = [];
  const { parts, journal, forgetting, kept, clock, register, remove } = await nodeOf((job) => jobs.push(job));
  const record = await register(update("fw", "failed", ["hud", "slot", "ghost", "camera"], 2));
  await journal.writeNote("notes", "fw/2/hud/p-uri", "/there");
  await journal.writeNote("notes", "fw/2/camera/p-uri", "/elsewhere");
  await rememberImage(parts, record, "hud", IMAGE);
  const forget = forgetting.of(record);
  await remove(record);
  assert.equal(journal.readNote("notes", "fw/2/hud/p-uri"), undefined);
  await forget();
  assert.deepEqual(
    jobs.map(({ component, campaign, attempt, artifact, memory }) => [
      component,
      campaign,
      attempt,
      artifact?.sha256,
      memory.get("uri"),
    ]),
    [
      ["hud", "fw", 2, "ab", "/there"],
      ["camera", "fw", 2, undefined, "/elsewhere"],
    ],
  );
  await jobs[0]!.memory.set("more", "x");
  assert.equal(journal.readNote("notes", "fw/2/hud/p-more"), undefined, "nothing is noted of what is gone");
  assert.deepEqual([kept, clock.timers], [[], 0]);
});

test("what was never prepared is nowhere: nobody is asked", async () => {
  const { forgetting } = await nodeOf(() => assert.fail("asked"));
  await forgetting.of(update("fw", "registered", ["hud"], 0))();
});

test("one that fails, or does not end in time, is logged, and keeps nobody else from it", async () => {
  const asked: string[] = [];
  const { forgetting, kept, clock } = await nodeOf(({ component, signal }) => {
    asked.push(component);
    if (component === "away") throw new Fault("notResponding", "silent");
    if (component !== "slow") return undefined;
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  const done = forgetting.of(update("fw", "failed", ["away", "slow", "hud"]))();
  await forgetting.settled("hud");
  assert.deepEqual(asked, ["away", "slow", "hud"]);
  clock.advance(5_000);
  await done;
  assert.deepEqual(kept, [
    ["away", "silent"],
    ["slow", "It took too long"],
  ]);
});

test("nothing is taken from a component that another update is at work on, or has to bring back", async () => {
  const asked: string[] = [];
  const { forgetting, kept, register } = await nodeOf(({ component }) => asked.push(component));
  await register(update("busy", "preparing", ["hud"]));
  const [stuck, ...others] = update("stuck", "needsService", ["mcu", "camera"]).members;
  await register({ ...update("stuck", "needsService", []), members: [{ ...stuck!, state: "stuck" }, ...others] });
  await register(update("staged", "prepared", ["radio"]));
  await forgetting.of(update("fw", "completed", ["hud", "mcu", "camera", "radio"]))();
  assert.deepEqual(asked, ["camera", "radio"]);
  assert.deepEqual(kept, [
    ["hud", "Update busy is on hud"],
    ["mcu", "Update stuck is on mcu"],
  ]);
});

test("what begins on a component waits until nothing is taken from it", async () => {
  const order: string[] = [];
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { forgetting } = await nodeOf(async ({ campaign }) => {
    order.push(`${campaign} begins`);
    await held;
    order.push(`${campaign} ends`);
  });
  const [one, two] = ["one", "two"].map((id) => forgetting.of(update(id, "completed", ["hud"]))());
  await forgetting.settled("camera");
  const begun = forgetting.settled("hud").then(() => order.push("prepare"));
  release();
  await Promise.all([one, two, begun]);
  assert.deepEqual(order, ["one begins", "one ends", "two begins", "two ends", "prepare"]);
});
