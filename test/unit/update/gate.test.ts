/** The health gate: what makes a target unwell, and what does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { runGate } from "#update/software/gate.ts";
import type { TargetFault, UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { faultOf } from "#update/software/providers/uds-flash.ts";

const SETTINGS = { bootTimeoutMs: 50, intervalMs: 1, soakMs: 0, minPolls: 3, maxFaults: 0, maxSeverity: 0 };
const JOB = {
  component: "bcm",
  signal: new AbortController().signal,
  progress: () => undefined,
} as unknown as UpdateJob;

async function gate(faults: readonly TargetFault[], more: object = {}, settings: object = {}): Promise<string> {
  const provider = { verify: async () => undefined, faults: async () => faults } as unknown as UpdateProvider;
  const run = {
    provider,
    job: JOB,
    baseline: ["B"],
    settings: { ...SETTINGS, ...settings },
    clock: systemClock,
    ...more,
  };
  return runGate(run).then(
    () => "well",
    (error: Fault) => error.message,
  );
}

const fault = (code: string, more: Partial<TargetFault> = {}): TargetFault => ({ code, active: true, ...more });
const ROWS: readonly [what: string, faults: readonly TargetFault[], more: object, settings: object, says: RegExp][] = [
  ["no faults", [], {}, {}, /^well$/],
  ["a fault that is not active", [fault("N", { active: false })], {}, {}, /^well$/],
  ["what was there before", [fault("B")], {}, {}, /^well$/],
  ["a new fault", [fault("N")], {}, {}, /new faults N/],
  ["as many as are let pass", [fault("N")], {}, { maxFaults: 1 }, /^well$/],
  ["one that is not severe enough", [fault("N", { severity: 3 })], {}, { maxSeverity: 2 }, /^well$/],
  ["one that is just severe enough", [fault("N", { severity: 2 })], {}, { maxSeverity: 2 }, /new faults N/],
  ["one that does not say how severe it is", [fault("N")], {}, { maxSeverity: 1 }, /new faults N/],
  [
    "an old one that became more severe",
    [fault("B", { severity: 1 })],
    { baselineRanks: { B: { severity: 3 } } },
    {},
    /became worse: B/,
  ],
  [
    "an old one that became milder",
    [fault("B", { severity: 3 })],
    { baselineRanks: { B: { severity: 1 } } },
    {},
    /^well$/,
  ],
  [
    "an old one that is confirmed now",
    [fault("B", { confirmed: true })],
    { baselineRanks: { B: { confirmed: false } } },
    {},
    /became worse: B/,
  ],
  [
    "an old one that was confirmed then",
    [fault("B", { confirmed: true })],
    { baselineRanks: { B: { confirmed: true } } },
    {},
    /^well$/,
  ],
];
for (const [what, faults, more, settings, says] of ROWS) {
  test(what, async () => assert.match(await gate(faults, more, settings), says));
}

test("silence is not health: a target that never answers fails when its time is up", async () => {
  const provider = {
    verify: async () => {
      throw new Fault("notResponding", "no answer");
    },
  } as unknown as UpdateProvider;
  const run = { provider, job: JOB, baseline: [], settings: SETTINGS, clock: systemClock };
  await assert.rejects(runGate(run), /no answer/);
});

test("faults in either spelling", () => {
  assert.deepEqual(faultOf({ code: "A", severity: 2, status: { confirmedDTC: "1" } }), {
    code: "A",
    severity: 2,
    active: true,
    confirmed: true,
  });
  assert.deepEqual(faultOf({ code: "A", status: { testFailed: true, confirmedDTC: false } }), {
    code: "A",
    active: true,
    confirmed: false,
  });
  assert.deepEqual(faultOf({ code: "A", status: { aggregatedStatus: "passive" } }), { code: "A", active: false });
});
