import assert from "node:assert/strict";
import { test } from "node:test";
import { type Input, next, type State, TRANSITIONS } from "#doip/states.ts";

const STATES = Object.keys(TRANSITIONS) as State[];
const INPUTS = [...new Set(STATES.flatMap((state) => Object.keys(TRANSITIONS[state])))] as Input[];

function reachable(from: State): Set<State> {
  const seen = new Set<State>([from]);
  for (const state of seen) for (const input of INPUTS) seen.add(next(state, input));
  return seen;
}

test("connection states: every state is reachable from idle", () => {
  assert.deepEqual(reachable("idle"), new Set(STATES));
});

test("connection states: every open state can become ready again, and can be closed", () => {
  for (const state of STATES) {
    if (state === "closed") continue;
    assert.ok(reachable(state).has("ready"), state);
    assert.equal(next(state, "close"), "closed");
  }
});

test("connection states: closed is the end", () => {
  for (const input of INPUTS) assert.equal(next("closed", input), "closed");
});

test("connection states: inputs that a state does not know change nothing", () => {
  for (const state of STATES) {
    for (const input of INPUTS) {
      if (TRANSITIONS[state][input] === undefined) assert.equal(next(state, input), state);
    }
  }
});

test("connection states: ready is entered by an activation only, and a request cannot shorten the pause", () => {
  for (const state of STATES) {
    for (const input of INPUTS)
      if (next(state, input) === "ready" && state !== "ready") assert.equal(input, "activated");
  }
  assert.equal(next("waiting", "demand"), "waiting");
  assert.equal(next("dormant", "demand"), "connecting");
});

test("connection states: TLS is tried once per attempt", () => {
  assert.equal(next("activating", "tlsRequired"), "securing");
  assert.equal(next("activatingTls", "tlsRequired"), "activatingTls");
  assert.equal(next("activatingTls", "failed"), "waiting");
});
