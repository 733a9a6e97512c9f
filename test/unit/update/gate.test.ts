/** The health gate: what makes a target unwell, and what does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { type GateRun, runGate } from "#update/software/campaign/gate.ts";
import type { TargetFault, UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { faultOf } from "#update/software/providers/sovd-fault.ts";
import { JumpClock, turn } from "./software-model.ts";

const SETTINGS = { bootTimeoutMs: 50, intervalMs: 1, soakMs: 0, minPolls: 3, maxFaults: 0, maxSeverity: 0 };
const JOB = {
  component: "bcm",
  signal: new AbortController().signal,
  progress: () => undefined,
} as unknown as UpdateJob;

/** Runs the gate on a clock on which time passes only between its polls. */
async function ended(run: Omit<GateRun, "job" | "clock">): Promise<string> {
  const clock = new JumpClock();
  let end: string | undefined;
  void runGate({ ...run, job: JOB, clock }).then(
    () => {
      end = "well";
    },
    (error: Fault) => {
      end = error.message;
    },
  );
  for (; end === undefined; await turn()) clock.jump();
  return end;
}

async function gate(faults: readonly TargetFault[], before: TargetFault, settings: object): Promise<string> {
  const provider = { verify: async () => undefined, faults: async () => faults } as unknown as UpdateProvider;
  return ended({ provider, baseline: { faults: [before] }, settings: { ...SETTINGS, ...settings } });
}

const fault = (code: string, more: Partial<TargetFault> = {}): TargetFault => ({ code, active: true, ...more });
const BEFORE = fault("B");
const ROWS: readonly [
  what: string,
  faults: readonly TargetFault[],
  before: TargetFault,
  settings: object,
  says: RegExp,
][] = [
  ["no faults", [], BEFORE, {}, /^well$/],
  ["a fault that is not active", [fault("N", { active: false })], BEFORE, {}, /^well$/],
  ["what was there before", [fault("B")], BEFORE, {}, /^well$/],
  ["a new fault", [fault("N")], BEFORE, {}, /new faults N/],
  ["as many as are let pass", [fault("N")], BEFORE, { maxFaults: 1 }, /^well$/],
  ["one that is not severe enough", [fault("N", { severity: 3 })], BEFORE, { maxSeverity: 2 }, /^well$/],
  ["one that is just severe enough", [fault("N", { severity: 2 })], BEFORE, { maxSeverity: 2 }, /new faults N/],
  ["one that does not say how severe it is", [fault("N")], BEFORE, { maxSeverity: 1 }, /new faults N/],
  [
    "an old one that became more severe",
    [fault("B", { severity: 1 })],
    fault("B", { severity: 3 }),
    {},
    /became worse: B/,
  ],
  ["an old one that became milder", [fault("B", { severity: 3 })], fault("B", { severity: 1 }), {}, /^well$/],
  [
    "an old one that is confirmed now",
    [fault("B", { confirmed: true })],
    fault("B", { confirmed: false }),
    {},
    /became worse: B/,
  ],
  [
    "an old one that was confirmed then",
    [fault("B", { confirmed: true })],
    fault("B", { confirmed: true }),
    {},
    /^well$/,
  ],
];
for (const [what, faults, before, settings, says] of ROWS) {
  test(what, async () => assert.match(await gate(faults, before, settings), says));
}

/** One answer a poll: "well", "silent", or a reset reason; the last one repeats. */
async function polled(answers: readonly string[], before?: string): Promise<{ end: string; samples: string[] }> {
  let poll = -1;
  const at = () => answers[Math.min(poll, answers.length - 1)]!;
  const samples: string[] = [];
  const provider = {
    async verify() {
      poll++;
      if (at() === "silent") throw new Fault("notResponding", "no answer");
    },
  } as unknown as UpdateProvider;
  const end = await ended({
    provider,
    baseline: { faults: [], ...(before === undefined ? {} : { resetReason: before }) },
    settings: SETTINGS,
    ...(answers.includes("well") ? {} : { resetReason: async () => at() }),
    onSample: (seen) => samples.push(seen),
  });
  return { end, samples };
}

const TWICE = /reset twice for the same reason/;
const RESETS: readonly [what: string, answers: readonly string[], before: string | undefined, says: RegExp][] = [
  ["no reset", ["power on"], "power on", /^well$/],
  ["the reset of the update itself", ["software"], "power on", /^well$/],
  ["the update's, and one more for another reason", ["software", "silent", "watchdog"], "power on", /^well$/],
  ["two by the watchdog", ["software", "silent", "watchdog", "silent", "watchdog"], "power on", TWICE],
  ["two by the watchdog, another in between", ["watchdog", "software", "watchdog"], "power on", TWICE],
  ["the same reason behind a silence, as before the update", ["silent", "power on"], "power on", /^well$/],
  ["and again", ["silent", "power on", "silent", "power on"], "power on", TWICE],
];
for (const [what, answers, before, says] of RESETS) {
  test(`resets: ${what}`, async () => assert.match((await polled(answers, before)).end, says));
}

test("silence is not health: a break begins the count of clean answers anew", async () => {
  const { end, samples } = await polled(["well", "well", "silent", "well", "well", "silent", "well"]);
  assert.equal(end, "well");
  assert.deepEqual(samples, ["no faults", "silent: no answer", "no faults", "silent: no answer", "no faults"]);
});

test("a target that comes and goes does not fill the record", async () => {
  const { samples } = await polled([...Array.from({ length: 100 }, (_, i) => (i % 2 ? "silent" : "well")), "well"]);
  assert.equal(samples.length, 32);
});

test("silence is not health: a target that never answers fails when its time is up", async () => {
  let polls = 0;
  const provider = {
    verify: async () => {
      polls++;
      throw new Fault("notResponding", "no answer");
    },
  } as unknown as UpdateProvider;
  assert.equal(await ended({ provider, baseline: { faults: [] }, settings: SETTINGS }), "no answer");
  assert.equal(polls, 1 + SETTINGS.bootTimeoutMs / SETTINGS.intervalMs);
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
