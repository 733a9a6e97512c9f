/** A backend of the operator's: what its module may do wrong, and what becomes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { progressAfter } from "#update/software/campaign/progress.ts";
import type { UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { providerOfModule } from "#update/software/providers/module.ts";
import fc from "../../fixtures/properties.ts";

/** Timers that run out when they are told to. */
function handClock() {
  const due = new Set<() => void>();
  const clock = {
    now: () => 0,
    setTimeout: (handler: () => void) => {
      due.add(handler);
      return handler;
    },
    clearTimeout: (handler: () => void) => void due.delete(handler),
  } as unknown as Clock;
  const turn = (): void => {
    for (const handler of [...due]) {
      due.delete(handler);
      handler();
    }
  };
  return { clock, turn };
}

const done = async (): Promise<void> => undefined;
const FACTS = { supportsRollback: true, supportsTrial: false };
const GOOD = {
  kind: "mine",
  describe: async () => FACTS,
  prepare: done,
  execute: done,
  verify: done,
  commit: done,
  rollback: done,
};

function load(made: unknown, clock = handClock().clock, logged: string[] = []): UpdateProvider {
  const log = (message: string) => void logged.push(message);
  return providerOfModule(made, {
    where: "update.provider: ./x.mjs",
    known: new Set(["slot"]),
    clock,
    patienceMs: 5,
    log,
  });
}

const jobWith = (signal: AbortSignal): UpdateJob => ({ component: "a", signal }) as unknown as UpdateJob;

const BROKEN: readonly [what: string, made: unknown, message: RegExp][] = [
  ["nothing", undefined, /makes is no update provider/],
  ["a text", "x", /is no update provider/],
  ["no kind", { ...GOOD, kind: undefined }, /has no kind/],
  ["a kind that is built in", { ...GOOD, kind: "slot" }, /calls itself slot, which is built in/],
  ["no rollback", { ...GOOD, rollback: undefined }, /has no function rollback/],
  ["a cancel that is none", { ...GOOD, cancel: true }, /has a cancel that is no function/],
];

test("what is no backend is refused when it is loaded, by name", () => {
  for (const [what, made, message] of BROKEN) {
    const isNamed = (error: unknown) =>
      error instanceof Fault &&
      error.kind === "invalidConfig" &&
      message.test(error.message) &&
      /x\.mjs/.test(error.message);
    assert.throws(() => load(made), isNamed, what);
  }
});

const WRONG: readonly [what: string, member: object, ask: (provider: UpdateProvider) => Promise<unknown>][] = [
  ["no facts", { describe: async () => undefined }, (each) => each.describe("a", AbortSignal.any([]))],
  ["facts without a yes or no", { describe: () => ({}) }, (each) => each.describe("a", AbortSignal.any([]))],
  [
    "a version that is a number",
    { describe: () => ({ ...FACTS, version: 2 }) },
    (each) => each.describe("a", AbortSignal.any([])),
  ],
  ["faults that are no list", { faults: () => ({}) }, (each) => each.faults!("a", AbortSignal.any([]))],
  ["a fault without a code", { faults: () => [{ active: true }] }, (each) => each.faults!("a", AbortSignal.any([]))],
];

test("an answer of another shape is a failure that says so", async () => {
  for (const [what, member, ask] of WRONG) {
    await assert.rejects(
      ask(load({ ...GOOD, ...member })),
      /of the update provider mine answers what it must not/,
      what,
    );
  }
});

test("what works is passed on: plain and promised answers, failures as they are", async () => {
  const signal = new AbortController().signal;
  const silent = new Fault("notResponding", "silent");
  const provider = load({
    ...GOOD,
    describe: () => ({ ...FACTS, version: undefined, more: 1 }),
    prepare: () => 42,
    execute: () => {
      throw silent;
    },
    faults: async () => [{ code: "P1", active: true }],
  });
  assert.deepEqual(await provider.describe("a", signal), { ...FACTS, version: undefined });
  assert.deepEqual(await provider.faults?.("a", signal), [{ code: "P1", active: true }]);
  assert.equal(await provider.prepare(jobWith(signal)), undefined);
  await assert.rejects(provider.execute(jobWith(signal)), (error) => error === silent);
  const { cancel, close, forget, boot } = provider;
  assert.deepEqual([cancel, close, forget, boot], Array(4).fill(undefined));
});

test("a call that does not end after its abort is left behind; one that ends late is waited for", async () => {
  const { clock, turn } = handClock();
  const logged: string[] = [];
  const stop = new AbortController();
  let finish = (): void => undefined;
  const ends = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const provider = load({ ...GOOD, execute: () => new Promise(() => undefined), prepare: () => ends }, clock, logged);
  const [hung, slow] = [provider.execute(jobWith(stop.signal)), provider.prepare(jobWith(stop.signal))];
  stop.abort(new Fault("conflict", "rolled back on request"));
  finish();
  await slow;
  assert.deepEqual(logged, []);
  turn();
  await assert.rejects(hung, /rolled back on request/);
  assert.match(logged[0] ?? "", /did not end after it was aborted/);
});

test("nobody who deletes waits for a module longer than is told", async () => {
  const { clock, turn } = handClock();
  const provider = load({ ...GOOD, forget: () => new Promise(() => undefined) }, clock);
  const stop = new AbortController();
  const forgotten = provider.forget?.(jobWith(stop.signal));
  stop.abort(new Fault("requestTimeout", "It took too long"));
  turn();
  await assert.rejects(forgotten ?? Promise.resolve(), /It took too long/);
});

test("a question that is not answered in time counts as silence", async () => {
  const { clock, turn } = handClock();
  const provider = load({ ...GOOD, describe: () => new Promise(() => undefined) }, clock);
  const stop = new AbortController();
  const asked = provider.describe("a", stop.signal);
  stop.abort();
  turn();
  await assert.rejects(asked, (error) => error instanceof Fault && error.kind === "notResponding");
});

test("boot and dispose keep the program from nothing", async () => {
  const { clock, turn } = handClock();
  const logged: string[] = [];
  const boot = (): void => {
    throw new Error("no");
  };
  const provider = load({ ...GOOD, boot, dispose: () => new Promise(() => undefined) }, clock, logged);
  await provider.boot?.();
  assert.match(logged[0] ?? "", /^boot of /);
  const disposed = provider.dispose?.();
  turn();
  turn();
  await disposed;
  assert.match(logged.at(-1) ?? "", /^dispose of /);
});

test("progress: whole percents that do not fall, whatever is said", () => {
  const said = fc.oneof(
    fc.anything(),
    fc.record({
      percent: fc.oneof(fc.double(), fc.integer(), fc.anything()),
      step: fc.oneof(fc.string(), fc.anything()),
    }),
  );
  fc.assert(
    fc.property(fc.array(said), (all) => {
      let shown = { percent: 0 };
      for (const each of all) {
        const now = progressAfter(shown, each);
        assert.ok(Number.isInteger(now.percent) && now.percent >= shown.percent && now.percent <= 100);
        assert.ok(now.step === undefined || (typeof now.step === "string" && now.step.length <= 200));
        shown = now;
      }
    }),
  );
  const shown = { percent: 33, step: "copy" };
  assert.equal(progressAfter(shown, { percent: 33.9, step: "copy" }), shown, "the same is no change");
});
