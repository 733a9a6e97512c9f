/** The wait for what a change of the fleet brings about. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#core/time.ts";
import { until } from "#fleet/until.ts";

/** A fleet and a clock that move when they are told to; `left`: listeners and timers that are still there. */
function scene() {
  const [listeners, timers] = [new Set<() => void>(), new Set<() => void>()];
  const fleet = {
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const clock = {
    now: () => 0,
    setTimeout(handler: () => void) {
      timers.add(handler);
      return handler;
    },
    clearTimeout: (handler: () => void) => void timers.delete(handler),
  } as unknown as Clock;
  const run = (steps: Set<() => void>) => () => {
    for (const step of [...steps]) step();
  };
  return { fleet, clock, change: run(listeners), expire: run(timers), left: () => listeners.size + timers.size };
}

test("it ends when it holds, when time is up, or when it is stopped, and leaves nothing behind", async () => {
  for (const [what, end, result] of [
    ["it holds", "change", true],
    ["time is up", "expire", false],
    ["it is stopped", "abort", false],
  ] as const) {
    const { fleet, clock, left, ...ways } = scene();
    const stop = new AbortController();
    let online = false;
    const done = until(fleet, () => online, { clock, timeoutMs: 1, signal: stop.signal });
    ways.change();
    assert.equal(left(), 2, "a change that brings nothing ends nothing");
    online = end === "change";
    ({ ...ways, abort: () => stop.abort() })[end]();
    assert.deepEqual([await done, left()], [result, 0], what);
  }
});

test("what holds already is not waited for; what is stopped already neither", async () => {
  const { fleet, clock, left } = scene();
  assert.equal(await until(fleet, () => true, { clock, timeoutMs: 1 }), true);
  assert.equal(await until(fleet, () => false, { clock, timeoutMs: 1, signal: AbortSignal.abort() }), false);
  assert.equal(left(), 0);
});
