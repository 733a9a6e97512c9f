/** The steps of an execution with their failures: what is undone, what is said, and that the guard never outlives the switch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { CatalogEntry } from "#fleet/messages.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { beginExecution, endExecution } from "#store/update-set.ts";
import { DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import type { JobName } from "#update/jobs.ts";
import { createUpdater, type UpdatableFleet, type UpdaterOptions } from "#update/updater.ts";
import { ManualClock } from "../sovd/harness.ts";
import { turn } from "./software-model.ts";

const entry = (name: string, version: string): CatalogEntry => ({
  database: `${name.toLowerCase()}.mdd`,
  version,
  converter: undefined,
  name,
  revision: version,
  functional: false,
  gatewayAddress: 1,
  ecuAddress: 1,
  comParams: DEFAULT_COM_PARAMS,
  protocol: undefined,
  groups: [],
  fields: [],
});
const catalog = (...entries: CatalogEntry[]) => ({ entries, broken: [], warnings: [] });

interface Plan {
  /** Jobs that fail, with what. */
  readonly fail?: Partial<Record<JobName, unknown>>;
  /** What `load` does at each call. */
  readonly load?: (call: number) => void;
  readonly probe?: (ecu: string) => void;
  readonly prepared?: ReturnType<typeof catalog>;
  readonly options?: Partial<UpdaterOptions>;
}

function bench({ fail = {}, load, probe, prepared = catalog(entry("BODY", "2")), options = {} }: Plan = {}) {
  const ran: string[] = [];
  const ends: { status?: string; reason?: string }[] = [];
  const guards: boolean[] = [];
  let loads = 0;
  let versions = new Map([["body", "1"]]);
  const fleet: UpdatableFleet & { inFlight: number } = {
    get ecus() {
      return [...versions.keys()].map((id) => ({ id, name: id.toUpperCase() }));
    },
    broken: [],
    inFlight: 0,
    versionOf: (ecu) => versions.get(ecu),
    async load(next) {
      guards.push(updater.switching);
      load?.(loads++);
      versions = new Map(next.entries.map(({ name, version }) => [name.toLowerCase(), version]));
    },
    async probe(ecu) {
      probe?.(ecu);
    },
  };
  const problems: string[] = [];
  const answers: Partial<Record<JobName, unknown>> = {
    prepareUpdate: prepared,
    switchUpdate: { generation: 2 },
    undoUpdate: { ...catalog(entry("BODY", "1")), generation: 3 },
  };
  const updater = createUpdater({
    clock: systemClock,
    wallClock: () => 1_000,
    storage: createMemoryStorage({ maxMappedBytes: 1_000, maxBytes: 10_000 }),
    fleet,
    run: (async (job: JobName, args: { end?: object }) => {
      ran.push(job);
      if (job === "switchUpdate") guards.push(updater.switching);
      if (job in fail) throw fail[job];
      if (args.end !== undefined) ends.push(args.end);
      return answers[job];
    }) as UpdaterOptions["run"],
    drainTimeoutMs: 20,
    onLoaded: () => ran.push("loaded"),
    onEvent: () => undefined,
    onProblem: (message) => problems.push(message),
    ...options,
  });
  return { updater, ran, ends, guards, problems, fleet, versions: () => versions };
}

const caller = { claims: { sub: "me" }, requireQuiet: () => undefined };

test("an apply that works: one step after the other, durable before the guard is up, which is when it comes in force", async () => {
  const { updater, ran, ends, guards, versions } = bench();
  await updater.start("apply", caller);
  await updater.idle();
  assert.deepEqual(ran, ["beginUpdate", "prepareUpdate", "switchUpdate", "loaded", "finishUpdate"]);
  assert.deepEqual(ends, [{ status: "completed", time: 1_000 }]);
  assert.deepEqual(guards, [false, true]);
  assert.equal(updater.switching, false);
  assert.deepEqual([...versions()], [["body", "2"]]);
});

test("a cleanup touches neither guard nor fleet", async () => {
  const { updater, ran } = bench();
  await updater.start("cleanup", caller);
  await updater.idle();
  assert.deepEqual(ran, ["beginUpdate", "switchUpdate", "finishUpdate"]);
});

const UNTOUCHED = /nothing was changed, the databases before the update are active$/;
const BACK = /the databases before the update are active again$/;
const boom = new Fault("internal", "boom");

const FAILURES: readonly (Plan & { name: string; ran: string[]; reason: RegExp; version?: string })[] = [
  {
    name: "the pending set does not verify",
    fail: { prepareUpdate: new Fault("invalidData", "body.mdd: no trusted signature") },
    ran: ["beginUpdate", "prepareUpdate", "finishUpdate"],
    reason: UNTOUCHED,
  },
  {
    name: "the jobs thread dies while it prepares",
    fail: { prepareUpdate: new Error("Worker terminated due to reaching memory limit") },
    ran: ["beginUpdate", "prepareUpdate", "finishUpdate"],
    reason: UNTOUCHED,
  },
  {
    name: "no ECU would be left",
    prepared: catalog(entry("BODY", "2"), { ...entry("BODY", "3"), database: "b.mdd", ecuAddress: 9 }),
    ran: ["beginUpdate", "prepareUpdate", "finishUpdate"],
    reason: UNTOUCHED,
  },
  {
    name: "the store does not take the change",
    fail: { switchUpdate: new Fault("noSpaceLeft", "disk full") },
    ran: ["beginUpdate", "prepareUpdate", "switchUpdate", "finishUpdate"],
    reason: UNTOUCHED,
  },
  {
    name: "the fleet does not take the set",
    load: (call) => {
      if (call === 0) throw boom;
    },
    ran: ["beginUpdate", "prepareUpdate", "switchUpdate", "undoUpdate", "loaded"],
    reason: BACK,
  },
  {
    name: "a changed database does not open",
    probe: () => {
      throw boom;
    },
    ran: ["beginUpdate", "prepareUpdate", "switchUpdate", "undoUpdate", "loaded"],
    reason: BACK,
  },
  {
    name: "going back fails as well",
    load: () => {
      throw boom;
    },
    ran: ["beginUpdate", "prepareUpdate", "switchUpdate", "undoUpdate", "finishUpdate"],
    reason: /going back failed as well \(boom\), a restart is needed$/,
  },
];
for (const { name, ran: steps, reason, ...plan } of FAILURES) {
  for (const mode of ["apply", "rollback"] as const) {
    test(`${mode}: ${name}`, async () => {
      const { updater, ran, ends, problems, versions } = bench(plan);
      await updater.start(mode, caller);
      await updater.idle();
      assert.deepEqual(ran, steps);
      assert.match(ends.at(-1)?.reason ?? "", reason);
      assert.equal(updater.switching, false);
      assert.equal(problems.length, 1);
      assert.equal(versions().get("body"), "1");
      await updater.start("cleanup", caller);
      await updater.idle();
    });
  }
}

test("only one execution at a time; one that cannot begin frees the place", async () => {
  const { updater, ran } = bench({ fail: { beginUpdate: new Fault("notFound", "No pending update available") } });
  const [first, second] = await Promise.allSettled([updater.start("apply", caller), updater.start("apply", caller)]);
  assert.equal((first as PromiseRejectedResult).reason.kind, "notFound");
  assert.equal((second as PromiseRejectedResult).reason.kind, "updateInProgress");
  await assert.rejects(updater.start("apply", caller), { kind: "notFound" });
  assert.deepEqual(ran, ["beginUpdate", "beginUpdate"]);
});

for (const [when, at, steps] of [
  ["before the store is changed", 2, ["beginUpdate", "prepareUpdate", "finishUpdate"]],
  ["when the set comes in force", 3, ["beginUpdate", "prepareUpdate", "switchUpdate", "undoUpdate"]],
] as const) {
  test(`what stands in the way is asked again ${when}: nothing changes`, async () => {
    let calls = 0;
    const requireQuiet = () => {
      if (++calls === at) throw new Fault("conflict", "Lock Conflict: a lock");
    };
    const { updater, ran, ends, versions } = bench();
    await updater.start("apply", { ...caller, requireQuiet });
    await updater.idle();
    assert.deepEqual(ran, steps);
    assert.match(ends[0]?.reason ?? "", /^Lock Conflict: a lock; nothing was changed/);
    assert.deepEqual([...versions()], [["body", "1"]]);
    assert.equal(updater.switching, false);
  });
}

test("an execution shows as running until the next one may begin", async () => {
  const storage = createMemoryStorage({ maxMappedBytes: 1_000, maxBytes: 10_000 });
  const seen: unknown[] = [];
  let id = "";
  const { updater } = bench({
    options: {
      storage,
      run: (async (job: JobName, args: { step?: { id: string } }) => {
        id = args.step?.id ?? id;
        if (job === "beginUpdate") await beginExecution(storage, "cleanup", { id, time: 1 });
        if (job !== "finishUpdate") return;
        await endExecution(storage, "completed", { time: 2 });
        seen.push(updater.execution()?.status);
      }) as UpdaterOptions["run"],
    },
  });
  await updater.start("cleanup", caller);
  await updater.idle();
  assert.deepEqual(seen, ["running"]);
  assert.equal(updater.execution()?.status, "completed");
  await updater.start("cleanup", caller);
  await updater.idle();
});

test("the operator's policy is asked who wants what, and may refuse", async () => {
  const asked: unknown[] = [];
  const { updater, ran } = bench({
    options: {
      validateUpdate: async (claims, update) => {
        asked.push(claims, update);
        throw new Fault("forbidden", "not on weekdays");
      },
    },
  });
  await assert.rejects(updater.start("apply", caller), { kind: "forbidden" });
  assert.deepEqual(asked, [{ sub: "me" }, { kind: "database", id: "apply", targets: ["body"] }]);
  assert.deepEqual(ran, []);
});

test("calls under way are waited for, but no longer than allowed", async () => {
  const clock = new ManualClock();
  const { updater, fleet, ran } = bench({ options: { clock } });
  fleet.inFlight = 3;
  await updater.start("apply", caller);
  while (clock.timers === 0) await turn();
  assert.equal(updater.switching, true);
  for (let ms = 0; ms < 19; ms++) {
    clock.advance(1);
    await turn();
  }
  assert.equal(ran.at(-1), "switchUpdate");
  clock.advance(1);
  await updater.idle();
  assert.equal(ran.at(-1), "finishUpdate");
});
