import assert from "node:assert/strict";
import { test } from "node:test";
import { createHealth, foldHealth, HEALTH_STATUSES, type HealthStatus } from "#telemetry/health.ts";

/** sovd-api §17.1. */
const FOLDS: [statuses: HealthStatus[], whole: HealthStatus][] = [
  [[], "Starting"],
  [["Up"], "Up"],
  [["Up", "Up"], "Up"],
  [["Up", "Starting"], "Starting"],
  [["Up", "Pending"], "Starting"],
  [["Pending"], "Starting"],
  [["Failed"], "Failed"],
  [["Up", "Failed", "Starting"], "Failed"],
];
for (const [statuses, whole] of FOLDS) {
  test(`health of ${statuses.join(", ") || "nothing"} is ${whole}`, () => assert.equal(foldHealth(statuses), whole));
}

test("one Failed part makes the whole Failed, whatever the others are", () => {
  for (const other of HEALTH_STATUSES) assert.equal(foldHealth([other, "Failed"]), "Failed");
});

test("parts appear with their first state, in a fixed order, with their details", () => {
  const health = createHealth();
  assert.deepEqual(health.snapshot(), { status: "Starting", components: [] });
  const details = { broken: ["a.mdd"] };
  health.set("database", "Failed", details);
  health.set("main", "Up");
  assert.deepEqual(health.snapshot(), {
    status: "Failed",
    components: [
      { name: "main", status: "Up" },
      { name: "database", status: "Failed", details },
    ],
  });
  health.set("database", "Up");
  assert.equal(health.snapshot().status, "Up");
});

test("listeners hear changes only, until they leave", () => {
  const health = createHealth();
  const heard: HealthStatus[] = [];
  const leave = health.onChange(({ status }) => heard.push(status));
  health.set("main", "Starting");
  health.set("main", "Starting");
  health.set("main", "Up");
  leave();
  health.set("main", "Failed");
  assert.deepEqual(heard, ["Starting", "Up"]);
  assert.equal(health.snapshot(), health.snapshot());
});
