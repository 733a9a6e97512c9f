import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import type { UdsParams } from "#uds/com-params.ts";
import { TesterPresent, testerPresentMessage } from "#uds/tester-present.ts";
import { client, hex, ManualClock, outcome, uds } from "./support.ts";

function keepAlive(changes: Partial<UdsParams> = {}, lock: "ecu" | "group" = "ecu") {
  const clock = new ManualClock();
  const startMs = clock.now();
  const physical = client(changes, { clock });
  const functional = client(changes, { clock, name: "group", addressing: "functional" });
  const problems: string[] = [];
  const state = { online: true };
  const task = new TesterPresent({
    clock,
    ...(lock === "ecu" ? { physical: physical.ecu } : {}),
    functional: functional.ecu,
    isOnline: () => state.online,
    onProblem: (message) => problems.push(message),
  });
  const times = (link: (typeof physical)["link"]) =>
    link.sent.map(({ atMs, request }) => `${atMs - startMs} ${request}`);
  return { clock, physical, functional, problems, state, task, times };
}

const MESSAGES: readonly (readonly [Partial<UdsParams>, string])[] = [
  [{}, "3E80"],
  [{ testerPresentReqResp: true }, "3E00"],
  [{ testerPresentMessage: [0x3e, 0x01], testerPresentReqResp: false }, "3E81"],
  [{ testerPresentMessage: [0x3e], testerPresentReqResp: false }, "3E"],
];
for (const [changes, message] of MESSAGES) {
  test(`tester present: message ${message} of ${JSON.stringify(changes)}`, () => {
    assert.equal(toHex(testerPresentMessage(uds(changes).uds)), message);
  });
}

test("tester present: 3E 80 at once, then every 2 s, by default", async () => {
  const { clock, physical, functional, task, times } = keepAlive();
  assert.ok(task.start());
  assert.equal(task.start(), false);
  await clock.advanceAsync(6_000);
  assert.deepEqual(times(physical.link), ["0 3E80", "2000 3E80", "4000 3E80", "6000 3E80"]);
  assert.equal(functional.link.sent.length, 0);
  task.stop();
  await clock.advanceAsync(10_000);
  assert.equal(physical.link.sent.length, 4);
  assert.equal(clock.timers, 0);
});

test("tester present: other traffic does not shift the fixed period, but puts off OnIdle", async () => {
  for (const [type, expected] of [
    ["FixedPeriod", ["0 3E80", "1500 22F190", "2000 3E80", "4000 3E80"]],
    ["OnIdle", ["0 3E80", "1500 22F190", "3500 3E80"]],
  ] as const) {
    const { clock, physical, task, times } = keepAlive({ testerPresentSendType: type });
    task.start();
    await clock.advanceAsync(1_500);
    const read = outcome(physical.ecu.request(hex("22F190")));
    physical.link.answer("62F19001");
    await read;
    await clock.advanceAsync(2_500);
    assert.deepEqual(times(physical.link), expected, type);
    task.stop();
  }
});

test("tester present: switched off by CP_TesterPresentHandling", () => {
  const { task, physical, clock } = keepAlive({ testerPresentHandling: false });
  assert.equal(task.start(), false);
  assert.equal(physical.link.sent.length, 0);
  assert.equal(clock.timers, 0);
});

test("tester present: skipped while the ECU is not online, goes on by itself", async () => {
  const { clock, physical, state, task, times } = keepAlive();
  task.start();
  await clock.advanceAsync(1_000);
  state.online = false;
  await clock.advanceAsync(5_000);
  state.online = true;
  await clock.advanceAsync(2_000);
  assert.deepEqual(times(physical.link), ["0 3E80", "8000 3E80"]);
  task.stop();
});

test("tester present: with an expected response it is awaited and judged, and goes on whatever comes", async () => {
  const { clock, physical, problems, task } = keepAlive({ testerPresentReqResp: true });
  const answers = ["7E00", "7F3E12", "7E01"];
  physical.link.onSend = () => {
    physical.link.handler.onAcknowledged();
    physical.link.answer(...answers.splice(0, 1));
  };
  task.start();
  await clock.advanceAsync(6_000);
  assert.deepEqual(problems, ["tester present refused: 7F3E12", "tester present for FLXC1000: Request timed out"]);
  assert.ok(physical.link.sent.length > 3);
  task.stop();
});

test("tester present: a message that cannot be sent within the period delays the next, none are bunched", async () => {
  const { clock, physical, problems, task, times } = keepAlive({ p6MaxMs: 20_000, repeatReqCountApp: 0 });
  const long = outcome(physical.ecu.request(hex("31010301")));
  task.start();
  await clock.advanceAsync(5_000);
  assert.deepEqual(times(physical.link), ["0 31010301"]);
  assert.deepEqual(problems, Array(2).fill("tester present for FLXC1000: Request timed out"));
  assert.equal(physical.ecu.queued, 1);
  physical.link.answer("71010301");
  assert.equal(await long, "71010301");
  await clock.advanceAsync(1_000);
  assert.deepEqual(times(physical.link), ["0 31010301", "5000 3E80", "6000 3E80"]);
  task.stop();
});

test("tester present: a group lock is functional; CP_TesterPresentAddrMode makes an ECU lock so", async () => {
  for (const [changes, lock] of [
    [{}, "group"],
    [{ testerPresentReqResp: true }, "group"],
    [{ testerPresentAddrMode: "Functional" }, "ecu"],
  ] as const) {
    const { clock, physical, functional, problems, task, times } = keepAlive(changes, lock);
    task.start();
    await clock.advanceAsync(2_000);
    const message = "testerPresentReqResp" in changes ? "3E00" : "3E80";
    assert.deepEqual(times(functional.link), [`0 ${message}`, `2000 ${message}`]);
    assert.equal(physical.link.sent.length, 0);
    assert.deepEqual(problems, []);
    task.stop();
  }
});

test("tester present: stopped while a message is under way, it does not come back", async () => {
  const { clock, physical, task } = keepAlive();
  physical.link.onSend = () => {};
  task.start();
  task.stop();
  physical.link.handler.onAcknowledged();
  await clock.advanceAsync(10_000);
  assert.equal(physical.link.sent.length, 1);
  assert.equal(clock.timers, 0);
});
