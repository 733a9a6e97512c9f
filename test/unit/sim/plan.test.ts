import assert from "node:assert/strict";
import { test } from "node:test";
import { drawDelay, type EcuMisbehaviour } from "#sim/misbehaviour.ts";
import { planAnswer } from "#sim/plan.ts";
import { hex, upper } from "../../e2e/simulator-support.ts";

const REQUEST = hex("22F190");
const RESPONSE = hex("62F190AABB");

/** Steps as `time kind bytes`. */
function plan(misbehaviour: EcuMisbehaviour, request = REQUEST): string[] {
  const { steps } = planAnswer({ misbehaviour, request, handle: () => RESPONSE, random: () => 0.5 });
  return steps.map(({ afterMs, emission }) => {
    if (emission.kind === "uds") return `${afterMs} ${emission.held ? "held " : ""}${upper(emission.bytes)}`;
    if (emission.kind === "refuse") return `${afterMs} nack ${emission.code}`;
    return `${afterMs} ack ${upper(emission.echo)}`;
  });
}

const KNOBS: readonly { name: string; set: EcuMisbehaviour; steps: readonly string[] }[] = [
  { name: "nothing set", set: {}, steps: ["0 ack ", "0 62F190AABB"] },
  { name: "for other requests only", set: { only: "22F186", silent: {} }, steps: ["0 ack ", "0 62F190AABB"] },
  { name: "for this request", set: { only: "22F1", silent: {} }, steps: ["0 ack "] },
  { name: "silent", set: { silent: {} }, steps: ["0 ack "] },
  { name: "ACK with echo", set: { ack: "echo" }, steps: ["0 ack 22F190", "0 62F190AABB"] },
  { name: "ACK with wrong echo", set: { ack: "wrongEcho" }, steps: ["0 ack DD0E6F", "0 62F190AABB"] },
  { name: "no ACK", set: { ack: "none" }, steps: ["0 62F190AABB"] },
  { name: "ACK twice", set: { ack: "twice" }, steps: ["0 ack ", "0 ack ", "0 62F190AABB"] },
  { name: "answer before ACK", set: { ack: "afterResponse" }, steps: ["0 62F190AABB", "0 ack "] },
  { name: "late ACK", set: { ackDelayMs: 70, delay: 50 }, steps: ["50 62F190AABB", "70 ack "] },
  { name: "NACK", set: { nack: { code: 6 } }, steps: ["0 nack 6"] },
  { name: "NRC 0x21", set: { nrc: { code: 0x21 } }, steps: ["0 ack ", "0 7F2221"] },
  { name: "fixed delay", set: { delay: 30 }, steps: ["0 ack ", "30 62F190AABB"] },
  {
    name: "0x78 ladder and delay",
    set: { pending: { count: 2, intervalMs: 100 }, delay: 10 },
    steps: ["0 ack ", "0 7F2278", "100 7F2278", "210 62F190AABB"],
  },
  {
    name: "0x78 for another service",
    set: { pending: { count: 1, intervalMs: 5, sid: 0x19 } },
    steps: ["0 ack ", "0 7F1978", "5 62F190AABB"],
  },
  { name: "lost", set: { frame: { kind: "lost" } }, steps: ["0 ack "] },
  { name: "doubled", set: { frame: { kind: "doubled" } }, steps: ["0 ack ", "0 62F190AABB", "0 62F190AABB"] },
  { name: "reordered", set: { frame: { kind: "reordered" } }, steps: ["0 ack ", "0 held 62F190AABB"] },
  { name: "wrong DID", set: { frame: { kind: "wrongDid" } }, steps: ["0 ack ", "0 62F191AABB"] },
  {
    name: "wrong SID, then right",
    set: { frame: { kind: "wrongSid", correctAfterMs: 20 } },
    steps: ["0 ack ", "0 63F190AABB", "20 62F190AABB"],
  },
  { name: "truncated", set: { frame: { kind: "truncated" } }, steps: ["0 ack ", "0 62F190AA"] },
  { name: "stray frame", set: { stray: { uds: "7E00" } }, steps: ["0 ack ", "0 7E00", "0 62F190AABB"] },
];
for (const { name, set, steps } of KNOBS) test(`misbehaviour: ${name}`, () => assert.deepEqual(plan(set), steps));

test("counted misbehaviour ends", () => {
  const set: EcuMisbehaviour = { nrc: { code: 0x94, times: 2 } };
  assert.deepEqual(plan(set), ["0 ack ", "0 7F2294"]);
  assert.deepEqual(plan(set), ["0 ack ", "0 7F2294"]);
  assert.deepEqual(plan(set), ["0 ack ", "0 62F190AABB"]);
});

test("a request that is refused or swallowed is not carried out", () => {
  for (const misbehaviour of [{ nack: { code: 3 } }, { nrc: { code: 0x21 } }, { silent: {} }]) {
    planAnswer({ misbehaviour, request: REQUEST, handle: () => assert.fail("carried out"), random: () => 0 });
  }
});

test("the ECU is busy until the last frame", () => {
  const { busyMs } = planAnswer({
    misbehaviour: { pending: { count: 3, intervalMs: 100 }, ackDelayMs: 400 },
    request: REQUEST,
    handle: () => RESPONSE,
    random: () => 0,
  });
  assert.equal(busyMs, 400);
});

test("delay distributions stay in their bounds", () => {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const draws = (delay: Parameters<typeof drawDelay>[0]) =>
    Array.from({ length: 2_000 }, () => drawDelay(delay, random));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const uniform = draws({ kind: "uniform", minMs: 10, maxMs: 20 });
  assert.ok(uniform.every((ms) => ms >= 10 && ms < 20));
  assert.ok(Math.abs(mean(uniform) - 15) < 0.5);
  const normal = draws({ kind: "normal", meanMs: 50, deviationMs: 5 });
  assert.ok(normal.every((ms) => ms >= 0));
  assert.ok(Math.abs(mean(normal) - 50) < 1);
  const weighted = draws({
    kind: "weighted",
    values: [
      { ms: 1, weight: 9 },
      { ms: 100, weight: 1 },
    ],
  });
  assert.deepEqual(
    [...new Set(weighted)].sort((a, b) => a - b),
    [1, 100],
  );
  assert.ok(Math.abs(weighted.filter((ms) => ms === 100).length / 2_000 - 0.1) < 0.03);
});
