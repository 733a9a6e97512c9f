import assert from "node:assert/strict";
import { test } from "node:test";
import { Timeout } from "#core/timeout.ts";
import { ManualClock } from "../doip/support.ts";

function timeout() {
  const clock = new ManualClock();
  const start = clock.now();
  const expired: number[] = [];
  return { clock, expired, timeout: new Timeout(clock, () => expired.push(clock.now() - start)) };
}

test("a timeout expires once, when it is due", () => {
  const { clock, expired, timeout: one } = timeout();
  one.set(10);
  clock.advance(9);
  assert.deepEqual(expired, []);
  clock.advance(100);
  assert.deepEqual([expired, clock.timers], [[10], 0]);
});

test("what was set last counts, whether it is sooner or later; the timer is set anew only for what is sooner", () => {
  const { clock, expired, timeout: one } = timeout();
  one.set(50);
  clock.advance(20);
  one.set(50);
  assert.deepEqual(clock.delays, [30]);
  clock.advance(30);
  assert.deepEqual([expired, clock.delays], [[], [20]]);
  one.set(5);
  assert.deepEqual(clock.delays, [5]);
  clock.advance(100);
  assert.deepEqual([expired, clock.timers], [[55], 0]);
});

test("cleared, it does not expire, and its timer ends by itself; it may be set again meanwhile", () => {
  const { clock, expired, timeout: one } = timeout();
  one.set(10);
  one.clear();
  assert.deepEqual([one.dueMs, clock.timers], [Number.POSITIVE_INFINITY, 1]);
  clock.advance(5);
  one.set(10);
  assert.equal(clock.timers, 1);
  clock.advance(7);
  one.clear();
  clock.advance(100);
  assert.deepEqual([expired, clock.timers], [[], 0]);
});

test("stopped, it holds no timer, and may be used again", () => {
  const { clock, expired, timeout: one } = timeout();
  one.set(10);
  one.stop();
  assert.equal(clock.timers, 0);
  one.set(10);
  clock.advance(10);
  assert.deepEqual(expired, [10]);
});

test("it may be set again as it expires; a timer that fires early changes nothing", () => {
  const clock = new ManualClock();
  const fired: (() => void)[] = [];
  const expired: number[] = [];
  const early = {
    now: () => clock.now(),
    setTimeout: (handler: () => void) => fired.push(handler) as unknown as NodeJS.Timeout,
    clearTimeout: () => {},
  };
  const one: Timeout = new Timeout(early, () => {
    expired.push(clock.now());
    one.set(10);
  });
  const start = clock.now();
  one.set(10);
  clock.advance(9.5);
  fired.shift()!();
  assert.deepEqual([expired, fired.length], [[], 1]);
  clock.advance(0.5);
  fired.shift()!();
  assert.deepEqual([expired, fired.length, one.dueMs], [[start + 10], 1, start + 20]);
});
