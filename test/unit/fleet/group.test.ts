import assert from "node:assert/strict";
import test from "node:test";
import { mergeOutcomes } from "#fleet/group.ts";
import type { PartialError, Reply } from "#fleet/messages.ts";

const reply = (results: Record<string, string>, errors: readonly PartialError[] = []): Reply => ({
  status: 200,
  meta: { group: { results, errors } },
});
const dead = { kind: "workerLost", message: "gone" } as const;

test("results and errors of all shards stand in one outcome", () => {
  const refusal: PartialError = { path: "/c", fault: { kind: "ecuRefused", message: "no" } };
  const { outcome } = mergeOutcomes([
    { members: ["a", "c"], reply: reply({ a: "{}" }, [refusal]) },
    { members: ["b"], reply: reply({ b: "{}" }) },
  ]);
  assert.deepEqual(outcome, { results: { a: "{}", b: "{}" }, errors: [refusal] });
});

test("a shard that failed beside one that answered is one error for each of its members", () => {
  const { outcome } = mergeOutcomes([
    { members: ["a", "c"], fault: dead },
    { members: ["b"], reply: reply({ b: "{}" }) },
  ]);
  assert.deepEqual(outcome, {
    results: { b: "{}" },
    errors: [
      { path: "/a", fault: dead },
      { path: "/c", fault: dead },
    ],
  });
});

test("when no shard answered the fault is the answer", () => {
  assert.throws(() => mergeOutcomes([{ members: ["a"], fault: dead }]), { kind: "workerLost", message: "gone" });
  assert.throws(() => mergeOutcomes([]), { kind: "internal" });
});
