import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Fault } from "#core/errors.ts";
import { Admission, type AdmissionOptions } from "#http/admission.ts";

const LIMITS: AdmissionOptions = { maxInFlight: 100, maxTurnMs: 10, maxClientRatePerS: 0, maxClients: 2 };
const nobody = () => assert.fail("the client's address is not needed");

/** Kind of the refusal, or that there was none. */
function ask(admission: Admission, inFlight: number, nowMs: number, client: () => string = nobody): string {
  try {
    admission.check(inFlight, nowMs, client);
    return "in";
  } catch (error) {
    assert(error instanceof Fault);
    return error.kind;
  }
}

test("requests under way are bounded", () => {
  const admission = new Admission(LIMITS);
  assert.equal(ask(admission, 99, 0), "in");
  assert.equal(ask(admission, 100, 0), "overloaded");
  assert.deepEqual(admission.refused, { inFlight: 1, turn: 0, client: 0 });
});

test("who comes late in a long turn is refused; the next turn begins anew", async () => {
  const admission = new Admission(LIMITS);
  assert.equal(ask(admission, 80, 1_000), "in");
  assert.equal(ask(admission, 80, 1_010), "in");
  assert.equal(ask(admission, 80, 1_011), "overloaded");
  await setImmediate();
  assert.equal(ask(admission, 80, 1_020), "in");
  assert.deepEqual(admission.refused, { inFlight: 0, turn: 1, client: 0 });
});

test("with few requests under way a turn may last as long as it likes", () => {
  const admission = new Admission(LIMITS);
  assert.equal(ask(admission, 10, 1_000), "in");
  assert.equal(ask(admission, 10, 9_000), "in");
});

test("a client that asks too often is refused alone, and only until its second is over", () => {
  const admission = new Admission({ ...LIMITS, maxClientRatePerS: 3 });
  const of = (client: string) => () => client;
  assert.deepEqual(
    [1, 2, 3, 4].map(() => ask(admission, 0, 1_000, of("a"))),
    ["in", "in", "in", "tooManyRequests"],
  );
  assert.equal(ask(admission, 0, 1_000, of("b")), "in");
  assert.equal(ask(admission, 0, 1_400, of("a")), "in");
  assert.equal(ask(admission, 0, 1_401, of("a")), "tooManyRequests");
  assert.deepEqual(
    [1, 2, 3, 4].map(() => ask(admission, 0, 60_000, of("a"))),
    ["in", "in", "in", "tooManyRequests"],
  );
});

test("clients that are remembered are bounded: the one that was silent longest is forgotten", () => {
  const admission = new Admission({ ...LIMITS, maxClientRatePerS: 1 });
  for (const client of ["a", "b", "a", "c", "d"]) ask(admission, 0, 0, () => client);
  assert.equal(admission.clients, 2);
  assert.equal(
    ask(admission, 0, 0, () => "d"),
    "tooManyRequests",
  );
  assert.equal(
    ask(admission, 0, 0, () => "b"),
    "in",
  );
});
