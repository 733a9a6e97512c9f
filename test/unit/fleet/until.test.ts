/** The wait for what a change of the fleet brings about. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "#fleet/until.ts";
import { ManualClock } from "../doip/support.ts";

const TIMEOUT_MS = 1_000;

/** A fleet and a clock that move when they are told to; `left`: listeners and timers that are still there. */
function scene() {
  const listeners = new Set<() => void>();
  const fleet = {
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const clock = new ManualClock();
  const change = (): void => {
    for (const listener of [...listeners]) listener();
  };
  return {
    fleet,
    clock,
    change,
    expire: () => clock.advance(TIMEOUT_MS),
    left: () => listeners.size + clock.timers,
  };
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
    const done = until(fleet, () => online, { clock, timeoutMs: TIMEOUT_MS, signal: stop.signal });
    ways.change();
    assert.equal(left(), 2, "a change that brings nothing ends nothing");
    online = end === "change";
    ({ ...ways, abort: () => stop.abort() })[end]();
    assert.deepEqual([await done, left()], [result, 0], what);
  }
});

test("what holds already is not waited for; what is stopped already neither", async () => {
  const { fleet, clock, left } = scene();
  assert.equal(await until(fleet, () => true, { clock, timeoutMs: TIMEOUT_MS }), true);
  assert.equal(await until(fleet, () => false, { clock, timeoutMs: TIMEOUT_MS, signal: AbortSignal.abort() }), false);
  assert.equal(left(), 0);
});
