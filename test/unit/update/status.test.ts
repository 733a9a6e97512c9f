/** The status body of a campaign: weighted progress, results by entity, the words of both interfaces. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CampaignRecord, CampaignState, Member, MemberState } from "#update/software/campaign/states.ts";
import { errorOf, overallProgress, statusOf } from "#update/software/views/status.ts";

function recordOf(state: CampaignState, members: readonly Partial<Member>[], more: object = {}): CampaignRecord {
  return {
    id: "fw",
    policy: "coordinated",
    state,
    attempt: 1,
    thenExecute: false,
    members: members.map((member, i) => ({ component: "abc"[i], supportsTrial: true, restarts: 0, ...member })),
    ...more,
  } as unknown as CampaignRecord;
}

const at = (percent: number) => () => ({ percent });

test("progress is weighted by bytes", () => {
  const members = [
    { state: "trial", sizeBytes: 100 },
    { state: "executing", sizeBytes: 900 },
  ] as const;
  // 100 × (70 + 15 × 50 %) + 900 × (70 × 50 %), of 1 000
  assert.equal(overallProgress(recordOf("executing", members), at(50)), 39);
  assert.equal(overallProgress(recordOf("executing", members), at(0)), 7);
});

test("a member's progress does not fall on its way, whatever its calls say of themselves", () => {
  const way: readonly (readonly [CampaignState, MemberState])[] = [
    ["executing", "prepared"],
    ["executing", "executing"],
    ["trial", "trial"],
    ["trial", "healthy"],
    ["committing", "committing"],
    ["committing", "committed"],
    ["closing", "closing"],
    ["completed", "closed"],
  ];
  let last = 0;
  for (const [state, member] of way) {
    for (const percent of [0, 100]) {
      const now = overallProgress(recordOf(state, [{ state: member }]), at(percent));
      assert.ok(now >= last, `${state}: ${now} after ${last}`);
      last = now;
    }
  }
  assert.equal(last, 100);
});

test("what was shown is not taken back, also when all goes back", () => {
  const back = recordOf("rollingBack", [{ state: "rollingBack" }]);
  assert.equal(statusOf(back, at(0), 85, false).progress, 85);
});

test("each entity with its own result; the error in both spellings", () => {
  const error = { kind: "conflict", message: "Health check: new faults N" } as const;
  const record = recordOf(
    "partial",
    [
      { state: "closed", toVersion: "2" },
      { state: "rolledBack", error },
    ],
    { policy: "independent", error: { ...error, component: "b" } },
  );
  const iso = statusOf(record, () => undefined, 0, false);
  const entities = iso.subprogress as { entity: string; status: string; error?: { message: string } }[];
  assert.deepEqual(
    entities.map(({ entity, status, error: told }) => [entity, status, told?.message]),
    [
      ["a", "completed", undefined],
      ["b", "failed", error.message],
    ],
  );
  assert.deepEqual(iso.error, { error_code: "update-execution-failed", message: `b: ${error.message}.` });
  assert.equal(statusOf(record, () => undefined, 0, true).error, `b: ${error.message}.`);
});

for (const [message, component, told] of [
  ["It broke", "b", "b: It broke."],
  ["It broke.", "b", "b: It broke."],
  ["b reports version 1", "b", "b reports version 1."],
  ["b: it broke", "b", "b: it broke."],
  ["bolts are loose", "b", "b: bolts are loose."],
  ["There is no file ../../x", "b", "b: There is no file ../../x."],
  ["It broke", undefined, "It broke."],
] as const) {
  test(`the error in words: ${told}`, () => {
    const error = { kind: "conflict", message, ...(component === undefined ? {} : { component }) };
    assert.equal(errorOf(recordOf("failed", [{ state: "failed" }], { error })).message, told);
  });
}
