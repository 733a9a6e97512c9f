/**
 * The campaign against its promises: all new, all old, or a named exception, whatever fails and wherever the power goes; the audit
 * chain whole after each of it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { accepts, next } from "#update/software/campaign/next.ts";
import {
  CALL_OF,
  CAMPAIGN_STATES,
  type CampaignEvent,
  type CampaignRecord,
  EVENTS,
  FINAL_STATES,
  IDLE_STATES,
  MEMBER_TRANSITIONS,
  TRANSITIONS,
} from "#update/software/campaign/states.ts";
import {
  begin,
  type Crash,
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

/** All there is takes minutes: three members, every outcome. Without it, two members and a choice of outcomes. */
const FULL = process.env.SOVD_TEST_FULL === "1";
const CONTEXT = { nowMs: 0, limits: LIMITS };
const ERROR = { kind: "conflict", message: "no" } as const;

/** Every event there is, for each member where it speaks of one. */
function eventsFor({ members }: CampaignRecord): CampaignEvent[] {
  return EVENTS.flatMap((type): CampaignEvent[] => {
    if (type === "prepare") return [false, true].map((thenExecute) => ({ type, thenExecute }));
    if (type === "cancel" || type === "rollback") return [{ type, reason: "no" }];
    if (!type.startsWith("member")) return [{ type } as CampaignEvent];
    return members.map(({ component }) => {
      const facts = { supportsTrial: component !== "c" };
      return { type, component, error: ERROR, facts } as unknown as CampaignEvent;
    });
  });
}

/** What tells one record from another, times and counts that do not matter left out. */
function keyOf({ state, policy, watchdogMs, thenExecute, members, verdict }: CampaignRecord): string {
  return JSON.stringify([
    state,
    policy,
    watchdogMs,
    thenExecute,
    verdict,
    members.map((member) => [member.state, member.restarts]),
  ]);
}

/** By the reference: what is under way has codes of its own. */
function refusedAs({ state, thenExecute }: CampaignRecord, { type }: CampaignEvent): string {
  if (state === "prepared" && thenExecute && type === "prepare") return "updatePreparing";
  if (state === "prepared" && thenExecute && type === "delete") return "updateInProgress";
  if (IDLE_STATES.has(state)) return "conflict";
  if (type === "delete") return "updateInProgress";
  if (type !== "prepare" && type !== "execute") return "conflict";
  return state === "preparing" ? "updatePreparing" : "updateExecuting";
}

test("every state × every event: the table says where it leads, anything else is refused and changes nothing", () => {
  const seen = new Map<string, CampaignRecord>();
  const walked = new Set<string>();
  let edges = 0;
  let refusals = 0;
  const members = FULL ? ["a", "b", "c"] : ["a", "b"];
  const open = [
    registered(members, "coordinated"),
    registered(members, "coordinated", 1000),
    registered(members, "independent"),
  ];
  for (const record of open) seen.set(keyOf(record), record);
  for (let record = open.pop(); record !== undefined; record = open.pop()) {
    const before = JSON.stringify(record);
    for (const event of eventsFor(record)) {
      if (!accepts(record, event)) {
        assert.throws(
          () => next(record!, event, CONTEXT),
          (error) => error instanceof Fault && error.kind === refusedAs(record!, event),
        );
        refusals++;
        continue;
      }
      const after = next(record, event, CONTEXT);
      edges++;
      walked.add(`${record.state} ${event.type} ${after.state}`);
      assert.equal(JSON.stringify(record), before, "the old record is not touched");
      const same = { ...after, attempt: 0 };
      const key = keyOf(same);
      if (seen.has(key)) continue;
      seen.set(key, same);
      open.push(same);
    }
  }
  const promised = CAMPAIGN_STATES.flatMap((state) =>
    Object.entries(TRANSITIONS[state]).flatMap(([event, targets]) =>
      targets.map((target) => `${state} ${event} ${target}`),
    ),
  );
  const unreached = promised.filter((transition) => !walked.has(transition));
  assert.deepEqual(unreached, [], "each transition of the table is one that can happen");
  for (const state of Object.keys(CALL_OF)) assert.ok(Object.keys(MEMBER_TRANSITIONS[state as "trial"]).length > 0);
  console.log(`${seen.size} records, ${edges} transitions walked, ${refusals} refusals, ${walked.size} of the table`);
});

interface Case {
  readonly policy: CampaignRecord["policy"];
  readonly scripts: readonly Script[];
  /** Power cut makes trials fall back, as A/B systems do. */
  readonly fallsBack: boolean;
  /** A request that comes in at this write. */
  readonly request?: { readonly at: number; readonly event: CampaignEvent };
}

const COMPONENTS = ["a", "b", "c"] as const;

/** Plays a case, with power cuts one after the other; returns how many writes the first process made. */
async function play(each: Case, crashes: readonly Crash[]): Promise<number> {
  const disk = freshPersistence();
  const world = new World(COMPONENTS, each.scripts, ["c"]);
  const clock = new JumpClock();
  let writes = 0;
  let alarms: readonly (readonly string[])[] = [];
  let begun = false;
  for (const [index, crash] of [...crashes, undefined].entries()) {
    const persistence = new DyingPersistence(disk, crash);
    let process: Process | undefined;
    try {
      process = await startProcess(persistence, world, clock);
      const { campaigns } = process;
      await campaigns.resume();
      if (!begun) {
        await begin(process, COMPONENTS, each.policy);
        begun = true;
      }
      if (each.request !== undefined && index === 0) {
        while (persistence.writes < each.request.at && !persistence.dead && (await step(process, clock))) {}
        await campaigns.apply(ID, each.request.event, "tester").catch(() => undefined);
      }
      await settle(process, clock, persistence);
    } catch (error) {
      if (!persistence.dead) throw error;
      begun = disk.contains("update-campaigns", ID);
    }
    if (index === 0) writes = persistence.writes;
    alarms = process?.alarms ?? [];
    clock.clear();
    await process?.campaigns.stop();
    if (persistence.dead && each.fallsBack) world.fallBack();
    if (!persistence.dead) break;
  }
  await check(each, world, disk, alarms, clock);
  return writes;
}

/** One turn of the event loop, and a jump of the clock when there is nothing else. False when all is idle. */
async function step(process: Process, clock: JumpClock): Promise<boolean> {
  await turn();
  const state = process.campaigns.get(ID)?.state;
  if (state === undefined || FINAL_STATES.has(state) || state === "needsService") return false;
  return clock.jump();
}

/** New since an attempt before the present one: what the present one calls old. */
function closedBefore(journal: Process["journal"], wanted: string): boolean {
  const records = [...journal.records()];
  const begun = records.findLastIndex(({ event }) => event === "prepare");
  return records.slice(0, begun).some(({ event, component }) => event === "memberClosed" && component === wanted);
}

async function check(
  each: Case,
  world: World,
  disk: ReturnType<typeof freshPersistence>,
  alarms: readonly (readonly string[])[],
  clock: JumpClock,
): Promise<void> {
  const { journal } = await startProcess(disk, world, clock);
  const verdict = journal.verify();
  assert.ok(verdict.whole, `the chain is broken: ${JSON.stringify(verdict)}`);
  const record = journal.campaign(ID);
  if (record === undefined) return;
  const software = Object.fromEntries(world.software);
  const told = `${JSON.stringify(each)}: ${record.state} ${JSON.stringify(software)}`;
  const stuck = record.members.filter(({ state }) => state === "stuck").map(({ component }) => component);
  if (record.state === "needsService") {
    assert.ok(stuck.length > 0 && alarms.some((names) => names.join() === stuck.join()), `named and alarmed: ${told}`);
  }
  const isOld = (component: string) => world.isOld(component) || closedBefore(journal, component);
  for (const { component, state } of record.members) {
    if (stuck.includes(component)) continue;
    const wanted = state === "closed" ? "new" : "old";
    assert.equal(isOld(component) ? "old" : "new", wanted, `${component} is ${state}: ${told}`);
  }
  if (each.policy === "independent") return;
  const ends = {
    completed: "new",
    rolledBack: "old",
    failed: "old",
    registered: "old",
    prepared: "old",
    needsService: "old",
  } as const;
  const end = (ends as Record<string, string>)[record.state];
  assert.notEqual(end, undefined, `ends in ${told}`);
  for (const component of COMPONENTS) {
    if (!stuck.includes(component)) assert.equal(isOld(component) ? "old" : "new", end, told);
  }
}

const FOREVER = 1_000;
const CALLS = ["prepare", "execute", "gate", "commit", "close", "rollback"] as const;

function singleScripts(): Script[][] {
  return CALLS.flatMap((call) =>
    (["a", "c"] as const).flatMap((component) =>
      (["refused", "refusedLate", "lost", "silent"] as const).map((outcome) => [
        { call, component, outcome, times: 1 },
      ]),
    ),
  );
}

/** One member fails, and then the way back is hard as well. */
function doubleScripts(): Script[][] {
  const fails: Script[] = (["execute", "gate", "commit"] as const).map((call) => ({
    call,
    component: "b",
    outcome: "refused",
    times: 1,
  }));
  const backs: Script[] = (["a", "b"] as const).flatMap((component) => [
    { call: "rollback", component, outcome: "lost", times: 2 } as const,
    { call: "rollback", component, outcome: "silent", times: 4 } as const,
    { call: "rollback", component, outcome: "refused", times: 2 } as const,
    { call: "rollback", component, outcome: "refused", times: FOREVER } as const,
    { call: "rollback", component, outcome: "silent", times: FOREVER } as const,
  ]);
  return fails.flatMap((fail) => backs.map((back) => [fail, back]));
}

test("power cut before and after every write of every way a campaign can go", async () => {
  let paths = 0;
  for (const policy of ["coordinated", "independent"] as const) {
    for (const scripts of [[], ...singleScripts(), ...doubleScripts()].filter((_, i) => FULL || i % 6 === 0)) {
      for (const fallsBack of FULL ? [false, true] : [true]) {
        const each: Case = { policy, scripts, fallsBack };
        const writes = await play(each, []);
        paths++;
        for (let at = 1; at <= writes; at++) {
          for (const when of ["before", "after"] as const) {
            await play(each, [{ at, when }]);
            paths++;
          }
        }
      }
    }
  }
  console.log(`${paths} paths with one power cut`);
});

test("a second power cut while the first is made good", { timeout: FULL ? 3_600_000 : 120_000 }, async () => {
  let paths = 0;
  const stride = FULL ? 1 : 3;
  for (const scripts of [[], [{ call: "gate", component: "b", outcome: "refused", times: 1 } as const]]) {
    for (let first = 3; first <= 30; first += stride) {
      for (let second = 1; second <= 20; second += stride) {
        await play({ policy: "coordinated", scripts, fallsBack: true }, [
          { at: first, when: "after" },
          { at: second, when: "before" },
        ]);
        paths++;
      }
    }
  }
  console.log(`${paths} paths with two power cuts`);
});

test("every request at every write, then a power cut right behind it", {
  timeout: FULL ? 3_600_000 : 120_000,
}, async () => {
  let paths = 0;
  const requests: CampaignEvent[] = [
    { type: "cancel", reason: "no" },
    { type: "rollback", reason: "no" },
    { type: "prepare", thenExecute: false },
    { type: "execute" },
    { type: "commit" },
    { type: "close" },
    { type: "expire" },
  ];
  for (const policy of ["coordinated", "independent"] as const) {
    const writes = await play({ policy, scripts: [], fallsBack: false }, []);
    for (const event of requests) {
      for (let at = 1; at <= writes; at += FULL ? 1 : 3) {
        const each: Case = { policy, scripts: [], fallsBack: false, request: { at, event } };
        await play(each, []);
        await play(each, [{ at: at + 2, when: "after" }]);
        paths += 2;
      }
    }
  }
  console.log(`${paths} paths with a request in between`);
});
