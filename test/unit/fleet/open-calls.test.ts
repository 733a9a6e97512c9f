/** The queue of an ECU under overload, by a clock that is turned by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#core/time.ts";
import { OpenCalls } from "#fleet/open-calls.ts";

const LIMITS = { max: 4, maxOverloaded: 2 } as const;

function ecu() {
  let nowMs = 0;
  const calls = new OpenCalls(LIMITS, { ...systemClock, now: () => nowMs }, 7);
  const enter = (count: number) => Array.from({ length: count }, () => calls.enter());
  const leave = (count: number) => {
    for (let i = 0; i < count; i++) calls.leave();
  };
  return { calls, enter, leave, wait: (ms: number) => (nowMs += ms) };
}

/** Full, refused once, and down to one call. */
function overloaded() {
  const car = ecu();
  assert.deepEqual(car.enter(5), [true, true, true, true, false]);
  car.leave(3);
  return car;
}

test("after a refusal few may wait, until there is nothing to do and nobody was refused for a while", () => {
  const { calls, enter, leave, wait } = overloaded();
  assert.deepEqual(enter(2), [true, false]);
  assert.deepEqual([calls.open, calls.refused], [2, 9]);
  leave(2);
  wait(249);
  assert.deepEqual(enter(3), [true, true, false], "a pause of the clients is no end");
  leave(2);
  wait(250);
  assert.deepEqual(enter(5), [true, true, true, true, false]);
});

test("an ECU that is always busy gets its whole queue back once hardly anyone is refused", () => {
  const { enter, leave, wait } = overloaded();
  const answerOne = () => {
    assert.deepEqual(enter(1), [true]);
    leave(1);
  };
  for (let i = 0; i < 6; i++) answerOne();
  wait(1_000);
  answerOne();
  assert.deepEqual(enter(4), [true, true, true, false], "ten ended for the one that was refused");
});

test("while more are refused than a tenth of what ends the queue stays short, window by window", () => {
  const { enter, leave, wait } = overloaded();
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 9; i++) {
      assert.equal(enter(1)[0], true);
      if (i === 0) assert.deepEqual(enter(1), [false]);
      if (i === 8) wait(1_000);
      leave(1);
    }
  }
  assert.deepEqual(enter(2), [true, false]);
});
