/** Updates in the words of OpenSOVD's native server: every state has one, none sticks, and what was installed survives any power cut. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import {
  CAMPAIGN_STATES,
  type CampaignRecord,
  type CampaignState,
  FINAL_STATES,
  freshMember,
  IDLE_STATES,
  MEMBER_STATES,
  type Member,
  type MemberState,
} from "#update/software/campaign/states.ts";
import type { AuditRecord } from "#update/software/journal/audit.ts";
import { Journal } from "#update/software/journal/journal.ts";
import { checkId, readPackage } from "#update/software/package.ts";
import { type Provenance, provenanceReader, rxswinEntry } from "#update/software/views/provenance.ts";
import { originOf, PACKAGE_STATE_OF, PACKAGE_STATES, packageStateOf } from "#update/software/views/software-package.ts";
import { TRANSFER_OF, TRANSFER_STATES, transferOf, wasStopped } from "#update/software/views/transfer.ts";
import { packageOfCampaign, UCM_STATE_OF, UCM_STATES, ucmStateOf } from "#update/software/views/ucm-campaign.ts";
import {
  type Crash,
  DyingPersistence,
  freshPersistence,
  ID,
  JumpClock,
  registered,
  type Script,
  settle,
  startProcess,
  World,
} from "./software-model.ts";

const HERE = { isHeld: () => true, progress: undefined };
const NOT_HERE = { isHeld: () => false, progress: undefined };
/** All that a walk of the chain tells. */
function provenanceOf(records: Iterable<AuditRecord>, after?: number): Provenance[] {
  return [...records].flatMap(provenanceReader(after));
}

function recordIn(state: CampaignState, member: Partial<Member>, more: Partial<CampaignRecord> = {}): CampaignRecord {
  return { ...registered(["a"], "coordinated"), state, members: [{ ...freshMember("a", "idle"), ...member }], ...more };
}

test("every state has a word, and every word a state", () => {
  assert.deepEqual(Object.keys(TRANSFER_OF).sort(), [...MEMBER_STATES].sort());
  assert.deepEqual(Object.keys(UCM_STATE_OF).sort(), [...CAMPAIGN_STATES].sort());
  assert.deepEqual(Object.keys(PACKAGE_STATE_OF).sort(), [...TRANSFER_STATES].sort());
  assert.deepEqual(new Set(Object.values(PACKAGE_STATE_OF)), new Set(PACKAGE_STATES));
  const said = new Set<string>([
    ...Object.values(UCM_STATE_OF),
    ucmStateOf(recordIn("preparing", {}), ["transferring"]),
  ]);
  assert.deepEqual([...said].sort(), [...UCM_STATES].sort());
  // where nothing happens by itself any more, no word says that something does
  const busy = ["transferring", "processing", "activating", "rollingBack"];
  for (const state of IDLE_STATES) assert.ok(!busy.includes(ucmStateOf(recordIn(state, {}), [])), state);
  for (const state of FINAL_STATES) assert.notEqual(UCM_STATE_OF[state], "created", state);
});

const STOPPED = { error: { kind: "conflict", message: "rolled back on request" } } as const;
const FAILED = { error: { kind: "conflict", message: "no", component: "a" } } as const;
const LATE = { error: { kind: "requestTimeout", message: "too long" } } as const;
const NO = { kind: "conflict", message: "no" } as const;

type Row = readonly [
  campaign: CampaignState,
  member: MemberState,
  transfer: string,
  packageState: string,
  ucm: string,
  more?: Partial<CampaignRecord>,
  error?: Member["error"],
];
/** With the image in the store, before the target was handed it. */
const LIFE: readonly Row[] = [
  ["registered", "idle", "idle", "downloaded", "created"],
  ["preparing", "preparing", "transferred", "downloaded", "processing"],
  ["prepared", "prepared", "processed", "installed", "created"],
  ["prepared", "prepared", "processed", "installed", "processing", { thenExecute: true }],
  ["executing", "prepared", "processed", "installed", "activating"],
  ["executing", "executing", "activating", "installed", "activating"],
  ["trial", "trial", "activating", "installed", "activating"],
  ["awaitingVerdict", "healthy", "activating", "installed", "activating"],
  ["committing", "committing", "activating", "installed", "activating"],
  ["committed", "committed", "activating", "installed", "activating"],
  ["closing", "closing", "activating", "installed", "activating"],
  ["completed", "closed", "activated", "activated", "activated"],
  ["partial", "closed", "activated", "activated", "failed", FAILED],
  ["partial", "rolledBack", "failed", "failed", "failed", FAILED, NO],
  ["rollingBack", "rollingBack", "rollingBack", "rollingBack", "rollingBack", FAILED],
  ["rolledBack", "rolledBack", "failed", "failed", "rolledBack", FAILED, NO],
  ["rolledBack", "rolledBack", "idle", "failed", "rolledBack", FAILED],
  ["rolledBack", "prepared", "idle", "failed", "rolledBack", FAILED],
  ["rolledBack", "rolledBack", "idle", "failed", "rolledBack", LATE],
  ["rolledBack", "rolledBack", "idle", "downloaded", "rolledBack", STOPPED],
  ["failed", "failed", "failed", "failed", "failed", FAILED, NO],
  ["failed", "idle", "idle", "failed", "failed", FAILED],
  ["failed", "prepared", "idle", "downloaded", "cancelled", STOPPED],
  ["failed", "idle", "idle", "downloaded", "cancelled", STOPPED],
  ["needsService", "stuck", "failed", "failed", "failed", STOPPED],
];

test("the words of a whole life", () => {
  for (const [state, member, transfer, packageState, ucm, more = {}, error] of LIFE) {
    const record = recordIn(state, { state: member, ...(error === undefined ? {} : { error }) }, more);
    const [one] = record.members as [Member];
    const told = `${state} ${member} ${JSON.stringify(more)}`;
    assert.equal(transferOf(record, one, HERE), transfer, told);
    assert.equal(packageStateOf(record, one, HERE, true), packageState, told);
    assert.equal(ucmStateOf(record, [transfer]), ucm, told);
    assert.equal(wasStopped(record), more === STOPPED, told);
  }
});

test("on the way: what is not here is fetched, what the target was handed is installed, what was replaced can be had again", () => {
  const preparing = recordIn("preparing", { state: "preparing" });
  const [one] = preparing.members as [Member];
  const launched = { percent: 0, step: "prepare" };
  const rows = [
    [{ ...NOT_HERE, progress: launched }, "transferring", "downloading"],
    [{ ...HERE, progress: launched }, "transferred", "downloaded"],
    [{ ...HERE, progress: { percent: 0, step: "write" } }, "processing", "installing"],
    [{ ...NOT_HERE, progress: { percent: 1 } }, "processing", "installing"],
  ] as const;
  for (const [facts, transfer, packageState] of rows) {
    assert.equal(transferOf(preparing, one, facts), transfer);
    assert.equal(packageStateOf(preparing, one, facts, false), packageState);
  }
  const closed = recordIn("completed", { state: "closed" });
  assert.equal(packageStateOf(closed, closed.members[0]!, HERE, false), "downloaded");
  assert.equal(packageStateOf(closed, closed.members[0]!, NOT_HERE, false), "available");
});

test("how software came: what the package says, else its first origin", () => {
  const rows = [
    [{}, "ota"],
    [{ origins: ["remote", "proximity"] }, "ota"],
    [{ origins: ["proximity"] }, "workshop"],
    [{ origins: ["x-oem-line"] }, "ota"],
    [{ origins: ["proximity"], "x-update-method": "factory" }, "factory"],
  ] as const;
  for (const [body, method] of rows) assert.equal(readPackage({ id: "a", ...body } as never).method, method);
  assert.equal(originOf("/api/v1/components/a/bulk-data/b/c"), "proximity");
  for (const uri of [undefined, "https://updates.example/a", "a/b.bin"]) assert.equal(originOf(uri), "remote");
});

test("a campaign's name is its id where it can be one", () => {
  const idOf = (name: string) => {
    const updates = { list: () => ["Taken"] } as unknown as Parameters<typeof packageOfCampaign>[0];
    return String(packageOfCampaign(updates, { name, targetComponents: ["a"] }).id);
  };
  for (const name of ["fw-2.1", "Spring_1"]) assert.equal(idOf(name), name);
  for (const name of ["taken", "Autonomous", "..", "Spring 1", "ü"]) {
    const id = idOf(name);
    assert.notEqual(id, name);
    checkId(id);
  }
});

test("routes are there where updates are", () => {
  const mine = /software-packages|ucm|rxswin|provenance/;
  const of = (updatesEnabled: boolean) =>
    sovdRoutes({ ...SOVD_DEFAULTS, updatesEnabled }).filter(({ path }) => mine.test(path));
  assert.equal(of(false).length, 0);
  assert.equal(of(true).length, 14);
  for (const { path, early, open } of of(true)) assert.deepEqual([early, open], [true, false], path);
});

const COMPONENTS = ["a", "b"];
const FACTS = { fromVersion: "1.0", toVersion: "2.0", fromRxswin: "R155 1", toRxswin: "R155 2", toCounter: 7 };

/** Targets whose images carry an identifier. */
function approvedWorld(scripts: readonly Script[]): World {
  const world = new World(COMPONENTS, scripts, []);
  const { prepare } = world.calls;
  const calls = {
    ...world.calls,
    prepare: async (...args: Parameters<typeof prepare>) => ({ ...(await prepare(...args)), ...FACTS }),
  };
  return Object.assign(world, { calls });
}

/** One campaign with a power cut, and the process that goes on; returns how many writes the first one made. */
async function play(policy: CampaignRecord["policy"], scripts: readonly Script[], crash?: Crash): Promise<number> {
  const disk = freshPersistence();
  const world = approvedWorld(scripts);
  const clock = new JumpClock();
  let writes = 0;
  for (const each of [crash, undefined]) {
    const persistence = new DyingPersistence(disk, each);
    try {
      const process = await startProcess(persistence, world, clock);
      if (process.campaigns.get(ID) === undefined) {
        await process.campaigns.register(registered(COMPONENTS, policy), "tester");
        await process.campaigns.apply(ID, { type: "prepare", thenExecute: true }, "tester");
      } else await process.campaigns.resume();
      await settle(process, clock, persistence);
      await process.campaigns.stop();
    } catch (error) {
      if (!persistence.dead) throw error;
    }
    writes ||= persistence.writes;
    clock.clear();
    if (!persistence.dead) break;
  }
  await check(disk, JSON.stringify({ policy, scripts, crash }));
  return writes;
}

async function check(disk: ReturnType<typeof freshPersistence>, told: string): Promise<void> {
  const journal = new Journal({ persistence: disk, nowMs: () => 0, maxRecords: 10_000 });
  await journal.open();
  const members = journal.campaign(ID)?.members ?? [];
  for (const { component, state } of members) {
    const installed = journal.installed(component);
    const entry = installed === undefined ? undefined : rxswinEntry(component, installed);
    const wanted = state === "closed" ? ["R155 2", "2.0", 7] : [undefined, undefined, undefined];
    assert.deepEqual(
      [entry?.rxswin, entry?.softwareVersion, installed?.counter],
      wanted,
      `${component} ${state}: ${told}`,
    );
  }
  const ended = members.filter(({ state }) => state === "closed" || state === "rolledBack");
  const wanted = ended.map(({ component, state }) => {
    return [component, "1.0", "2.0", state === "closed", state === "closed" ? "R155 2" : "R155 1"];
  });
  const provenance = provenanceOf(journal.records());
  assert.deepEqual(
    provenance
      .map(({ componentId, previousVersion, newVersion, success, rxswinAfter }) => {
        return [componentId, previousVersion, newVersion, success, rxswinAfter];
      })
      .sort(),
    wanted.sort(),
    `each end once: ${told}`,
  );
}

const FOREVER = 1_000;
const ENDINGS: readonly (readonly Script[])[] = [
  [],
  [{ call: "close", component: "a", outcome: "refused", times: 1 }],
  [{ call: "close", component: "a", outcome: "silent", times: FOREVER }],
  [{ call: "gate", component: "b", outcome: "refused", times: 1 }],
  [{ call: "commit", component: "b", outcome: "refused", times: 1 }],
];

test("what is installed and where it came from, after a power cut before and after every write", async () => {
  for (const policy of ["coordinated", "independent"] as const) {
    for (const scripts of ENDINGS) {
      const writes = await play(policy, scripts);
      assert.ok(writes > 10);
      for (let at = 1; at <= writes; at++) {
        for (const when of ["before", "after"] as const) await play(policy, scripts, { at, when });
      }
    }
  }
});

test("of a campaign whose beginning was pruned, a record tells only of its own member; what stands before is not told", async () => {
  const disk = freshPersistence();
  const clock = new JumpClock();
  const persistence = new DyingPersistence(disk);
  const { campaigns, journal } = await startProcess(persistence, approvedWorld([]), clock);
  await campaigns.register({ ...registered(COMPONENTS, "coordinated"), method: "workshop" }, "tester");
  await campaigns.apply(ID, { type: "prepare", thenExecute: true }, "tester");
  await settle({ campaigns, journal, alarms: [] }, clock, persistence);
  const records = [...journal.records()];
  const all = provenanceOf(records);
  assert.deepEqual(
    all.map(({ updateMethod, success }) => [updateMethod, success]),
    [
      ["workshop", true],
      ["workshop", true],
    ],
  );
  const [first, last] = all;
  assert.deepEqual(provenanceOf(records.slice(-1)), [last]);
  assert.deepEqual(provenanceOf(records, first!["x-audit-seq"]), [last]);
  assert.deepEqual(provenanceOf(records, last!["x-audit-seq"]), []);
});
