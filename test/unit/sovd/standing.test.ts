/** Standing requests: their number, their time, their one stream; and when a trigger fires. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { observedOf, pathOfObserved } from "#sovd/observed.ts";
import type { AnswerEvents } from "#sovd/route.ts";
import { StandingRequests } from "#sovd/standing.ts";
import { fires, lackOf, type TriggerCondition } from "#sovd/trigger-condition.ts";

type Timer = { readonly atMs: number; readonly handler: () => void };

function handClock() {
  let nowMs = 0;
  const timers = new Set<Timer>();
  const clock = {
    now: () => nowMs,
    setTimeout(handler: () => void, delayMs: number) {
      const timer = { atMs: nowMs + delayMs, handler };
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer: Timer) => void timers.delete(timer),
  } as unknown as Clock;
  const pass = (ms: number): void => {
    nowMs += ms;
    for (const timer of [...timers]) {
      if (timer.atMs > nowMs || !timers.delete(timer)) continue;
      timer.handler();
    }
  };
  return { clock, pass };
}

const ask = (lifetimeS = 10) => ({ entity: "components/a", base: "/sovd/v1", lifetimeS, what: "x" });
const is = (kind: string) => (error: unknown) => error instanceof Fault && error.kind === kind;

test("at most so many, each for its time, which begins anew with a change", () => {
  const { clock, pass } = handClock();
  const requests = new StandingRequests<string>(clock, 2);
  const [first, second] = [requests.add(ask()), requests.add(ask())];
  assert.throws(() => requests.add(ask()), is("overloaded"));
  pass(6_000);
  assert.equal(requests.change("components/a", second.id, { what: "y" }).what, "y");
  pass(6_000);
  assert.throws(() => requests.get("components/a", first.id), is("notFound"));
  assert.equal(requests.get("components/a", second.id).what, "y");
  assert.throws(() => requests.get("components/b", second.id), is("notFound"), "of another entity");
  assert.equal(requests.list("components/b").length, 0);
  requests.remove("components/a", second.id);
  assert.equal(requests.size, 0);
});

test("one stream: a newer one ends it, and so does the end of the request", () => {
  const { clock, pass } = handClock();
  const requests = new StandingRequests<string>(clock, 2);
  const { id } = requests.add(ask());
  const seen: string[] = [];
  const eventsOf = (name: string): AnswerEvents => ({
    open: () => void seen.push(`${name} open`),
    onDrain: () => undefined,
    close: () => void seen.push(`${name} closed`),
  });
  const follow = (name: string): AnswerEvents => {
    const events = requests.stream("components/a", id, eventsOf(name));
    events.open(
      () => true,
      () => events.close(),
    );
    return events;
  };
  const first = follow("first");
  follow("second");
  first.close();
  assert.deepEqual(seen, ["first open", "first closed", "second open", "first closed"]);
  pass(10_000);
  assert.deepEqual(seen.slice(4), ["second closed"], "time is up");
  assert.throws(() => requests.stream("components/a", id, eventsOf("third")), is("notFound"));
});

const to = (target_value: unknown): TriggerCondition => ({ condition_type: "OnChangeTo", target_value });
const enter: TriggerCondition = { condition_type: "EnterRange", lower_bound: 10, upper_bound: 20 };
const leave: TriggerCondition = { ...enter, condition_type: "LeaveRange" };
const change: TriggerCondition = { condition_type: "OnChange" };

const FIRES: readonly [condition: TriggerCondition, before: unknown, now: unknown, fires: boolean][] = [
  [change, "pending", "inProgress", true],
  [change, undefined, "pending", true],
  [change, { a: 1 }, { a: 1 }, false],
  [to("failed"), "inProgress", "failed", true],
  [to("failed"), "failed", "failed", false],
  [to("failed"), "inProgress", "completed", false],
  [to({ phase: "failed" }), { phase: "none" }, { phase: "failed" }, true],
  [enter, 9, 10, true],
  [enter, 10, 11, false],
  [enter, undefined, 20, true],
  [enter, 9, "15", false],
  [leave, 20, 21, true],
  [leave, 21, 22, false],
  [leave, 15, undefined, true],
];

test("when a trigger fires", () => {
  for (const [condition, before, now, expected] of FIRES) {
    assert.equal(fires(condition, before, now), expected, JSON.stringify([condition, before, now]));
  }
});

test("what a condition lacks", () => {
  assert.equal(lackOf(change), undefined);
  assert.equal(lackOf({ condition_type: "OnChangeTo" }), "OnChangeTo needs target_value");
  assert.equal(lackOf({ condition_type: "LeaveRange", lower_bound: 0 }), "LeaveRange needs upper_bound");
  assert.equal(lackOf(enter), undefined);
});

const BASES = ["/vehicle/v15", "/sovd/v1", "/api/v1"];
const OBSERVED: readonly [resource: string, path: string | undefined][] = [
  ["/api/v1/updates/fw-1.0/status", "/api/v1/updates/fw-1.0/status"],
  ["/updates/fw/status/", "/sovd/v1/updates/fw/status"],
  ["http://vehicle:20002/vehicle/v15/updates/fw/status", "/vehicle/v15/updates/fw/status"],
  ["/sovd/v1/updates/%66w/status", "/sovd/v1/updates/fw/status"],
  ["/api/v1/components/Body_MCU/updates", "/api/v1/components/body_mcu/updates"],
  ["/api/v1/apps/camera/updates", "/api/v1/components/camera/updates"],
  ["/api/v1/updates/fw", undefined],
  ["/api/v1/updates/a%2Fb/status", undefined],
  ["/api/v1/updates/%zz/status", undefined],
  ["/api/v1/components/a/data/b", undefined],
  ["", undefined],
];

test("what can be observed, however it is named", () => {
  for (const [resource, path] of OBSERVED) {
    if (path === undefined) {
      assert.throws(() => observedOf(resource, "/sovd/v1", BASES), is("badRequest"), resource);
      continue;
    }
    const { base, observed } = observedOf(resource, "/sovd/v1", BASES);
    assert.equal(pathOfObserved(base, observed), path);
  }
});
