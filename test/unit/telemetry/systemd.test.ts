import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { createHealth, type HealthStatus } from "#telemetry/health.ts";
import { noticesFor, type Standing, startNotifier, watchdogPeriodMs } from "#telemetry/systemd.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";

const CHANGES: [before: string, now: string, notices: string[]][] = [
  ["- Starting", "Starting Starting", []],
  ["Starting Starting", "Up Starting", ["READY=1"]],
  ["Up Starting", "Up Up", []],
  ["Starting Starting", "Up Up", ["READY=1"]],
  ["Up Up", "Up Up", []],
  ["Up Up", "Up Failed", ["WATCHDOG=trigger"]],
  ["Up Up", "Failed Failed", ["WATCHDOG=trigger"]],
  ["Up Up", "Up Starting", []],
  ["Starting Starting", "Starting Failed", []],
  ["Starting Failed", "Up Failed", ["READY=1"]],
  ["Failed Failed", "Up Up", ["READY=1"]],
];
for (const [before, now, notices] of CHANGES) {
  test(`systemd: main and whole from ${before} to ${now}`, () => {
    assert.deepEqual(noticesFor(standing(before), standing(now)), notices);
  });
}

function standing(words: string): Standing {
  const [main, whole] = words.split(" ") as [HealthStatus | "-", HealthStatus];
  return { main: main === "-" ? undefined : main, whole };
}

const WATCHDOGS: [env: Record<string, string>, periodMs: number | undefined][] = [
  [{}, undefined],
  [{ WATCHDOG_USEC: "10000000" }, 5_000],
  [{ WATCHDOG_USEC: "10000000", WATCHDOG_PID: "7" }, 5_000],
  [{ WATCHDOG_USEC: "10000000", WATCHDOG_PID: "8" }, undefined],
  [{ WATCHDOG_USEC: "0" }, undefined],
  [{ WATCHDOG_USEC: "soon" }, undefined],
  [{ WATCHDOG_USEC: "1" }, 1],
];
for (const [env, periodMs] of WATCHDOGS) {
  test(`watchdog ${JSON.stringify(env)}`, () => assert.equal(watchdogPeriodMs(env, 7), periodMs));
}

test("without a socket nobody is told", async () => {
  assert.equal(await startNotifier(createHealth(), { env: {} }), undefined);
});

test("ready with main, fed at half the watchdog's time, silent after stopping", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const sent: string[] = [];
  const health = createHealth();
  const env = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "2000000" };
  const channel = { send: (text: string) => void sent.push(text), close: () => {} };
  const notifier = await startNotifier(health, { env, channel });
  health.set("main", "Starting");
  health.set("database", "Failed");
  health.set("main", "Up");
  t.mock.timers.tick(2_000);
  notifier?.stopping();
  health.set("main", "Failed");
  t.mock.timers.tick(2_000);
  assert.deepEqual(sent, ["READY=1\nSTATUS=Failed", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]);
});

test("a part that fails after all were up ends the feeding; once all are up again it goes on", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const sent: string[] = [];
  const health = createHealth();
  const env = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "2000000" };
  await startNotifier(health, { env, channel: { send: (text: string) => void sent.push(text), close: () => {} } });
  health.set("main", "Up");
  health.set("doip", "Failed");
  t.mock.timers.tick(1_000);
  health.set("main", "Up", { still: true });
  t.mock.timers.tick(1_000);
  health.set("doip", "Up");
  t.mock.timers.tick(1_000);
  assert.deepEqual(sent, ["READY=1\nSTATUS=Up", "WATCHDOG=trigger\nSTATUS=Failed", "WATCHDOG=1"]);
});

test("a reload is told with the time it began, and only of a program that is ready", async () => {
  const sent: string[] = [];
  const health = createHealth();
  const channel = { send: (text: string) => void sent.push(text), close: () => {} };
  const notifier = await startNotifier(health, { env: { NOTIFY_SOCKET: "/x" }, channel });
  health.set("main", "Starting");
  notifier?.reloading();
  notifier?.reloaded();
  assert.deepEqual(sent, []);
  health.set("main", "Up");
  const earliest = process.hrtime.bigint() / 1_000n;
  notifier?.reloading();
  notifier?.reloaded();
  notifier?.close();
  const [ready, reloading, again] = sent;
  assert.deepEqual([ready, again], ["READY=1\nSTATUS=Up", "READY=1\nSTATUS=Up"]);
  const usec = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading ?? "")?.[1];
  assert.ok(usec !== undefined && BigInt(usec) >= earliest && BigInt(usec) <= process.hrtime.bigint() / 1_000n);
});

test("a real socket hears it", async (t) => {
  const { DgramSocket } = await import("node-unix-socket").catch(() => ({ DgramSocket: undefined }));
  if (DgramSocket === undefined) return t.skip("node-unix-socket is not installed");
  const folder = scratchFolder("notify");
  const listener = new DgramSocket();
  cleanup(t, () => listener.close());
  listener.bind(join(folder, "s"));
  const heard = once(listener, "data");
  const health = createHealth();
  health.set("main", "Up");
  const notifier = await startNotifier(health, { env: { NOTIFY_SOCKET: join(folder, "s") } });
  cleanup(t, () => notifier?.close());
  const [bytes] = await heard;
  assert.equal(String(bytes), "READY=1\nSTATUS=Up");
});

test("a socket that is not there is a problem, not the end", async (t) => {
  const health = createHealth();
  health.set("main", "Up");
  let tell: (message: string) => void = () => {};
  const problem = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const notifier = await startNotifier(health, { env: { NOTIFY_SOCKET: "/nowhere/s" }, onProblem: tell });
  cleanup(t, () => notifier?.close());
  assert.match(await problem, /systemd cannot be told|does not load/);
});
