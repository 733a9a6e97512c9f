/** The hub between any transport and any installer: order of messages, bounds, each object by itself, time limits. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { Budget } from "#update/skybrush/budget.ts";
import { type Body, readMessage } from "#update/skybrush/envelope.ts";
import { Hub, type HubOptions } from "#update/skybrush/hub.ts";
import { Operations } from "#update/skybrush/operations.ts";
import type { UploadState } from "#update/skybrush/port.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

type Message = { readonly refs?: string; readonly body: Body };

const TARGET = "dev.edge.firmware.app";
const RUNNING: UploadState = { state: "running", percent: 0, step: "prepare" };

/** A hub over installations that do what the test says; one client with what it received. */
function start(more: Partial<HubOptions> = {}) {
  const states = new Map<string, UploadState>();
  const watchers = new Map<string, () => void>();
  const calls: string[] = [];
  const received: Message[] = [];
  /** While set, no registration ends. */
  let gate: Promise<void> = Promise.resolve();
  const hub = new Hub({
    port: {
      objects: () => ["app", "bcm", "hud"],
      targets: () => [{ id: TARGET, name: "App" }],
      supports: (object) => object !== "hud",
      async register({ object }) {
        await gate;
        if (object === "app") throw new Fault("noSpaceLeft", "The disk is full");
        states.set(object, RUNNING);
        return object;
      },
      async start(upload) {
        // the client has its receipt by now
        calls.push(`start ${upload} after ${received.length}`);
      },
      state: (upload) => states.get(upload) ?? RUNNING,
      watch(upload, changed) {
        watchers.set(upload, changed);
        return () => watchers.delete(upload);
      },
      async cancel(upload, _actor, reason) {
        calls.push(`cancel ${upload}`);
        states.set(upload, { state: "failed", error: reason });
        watchers.get(upload)?.();
      },
      async forget(upload) {
        calls.push(`forget ${upload}`);
      },
    },
    clock: systemClock,
    // nothing runs out by itself: where it is to, time is turned by hand
    timeoutMs: 600_000,
    keepMs: 600_000,
    maxOperations: 10,
    maxBlobBytes: 64,
    maxPending: 1_000,
    budget: new Budget(8),
    authenticate: undefined,
    ports: () => ({ tcp: 5_001 }),
    nowMs: () => 1_700_000_000_000,
    onProblem: () => undefined,
    ...more,
  });
  const session = hub.connect("test", (message) => received.push(message as Message));
  const send = (id: string, body: object) => session.receive(readMessage({ "$fw.version": "1.0", id, body }));
  const answer = (id: string) => received.find(({ refs }) => refs === id)?.body;
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    hub,
    session,
    received,
    calls,
    send,
    answer,
    settled,
    hold() {
      let release = () => {};
      gate = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    become(upload: string, state: UploadState) {
      states.set(upload, state);
      watchers.get(upload)?.();
    },
  };
}

const upload = (ids: readonly string[], blob = "AAAA") => ({ type: "FW-UPLOAD", ids, target: TARGET, blob });

test("each object has exactly one outcome; the receipt goes out before anything begins", async (t) => {
  const h = start();
  cleanup(t, () => h.hub.close());
  h.send("q1", upload(["bcm", "app", "hud", "no", "bcm"]));
  await h.settled();
  const { receipt, ...rest } = h.answer("q1") as Body & { receipt: Record<string, string> };
  assert.deepEqual(rest, {
    type: "FW-UPLOAD",
    error: {
      app: "The disk is full",
      hud: "This firmware update target is not supported.",
      no: "No such object",
    },
  });
  assert.deepEqual(Object.keys(receipt), ["bcm"]);
  assert.equal(h.received[0]?.refs, "q1");
  assert.deepEqual(h.calls, ["start bcm after 1"]);
  h.become("bcm", { state: "running", percent: 40, step: "prepare" });
  h.become("bcm", { state: "running", percent: 40, step: "prepare" });
  h.become("bcm", { state: "done" });
  h.become("bcm", { state: "running", percent: 50, step: "execute" });
  const id = receipt.bcm;
  assert.deepEqual(
    h.received.slice(1).map(({ body }) => body),
    [
      { type: "ASYNC-ST", id, progress: { percentage: 0, message: "prepare" } },
      { type: "ASYNC-ST", id, progress: { percentage: 40, message: "prepare" } },
      { type: "ASYNC-RESP", id, result: true },
    ],
  );
});

test("a thousand messages at once are answered, each by its id; more are refused", async (t) => {
  const h = start();
  cleanup(t, () => h.hub.close());
  for (let i = 0; i <= 1_000; i++) h.send(`q${i}`, { type: "FW-OBJECT-LIST" });
  await h.settled();
  assert.equal(h.received.length, 1_001);
  for (let i = 0; i < 1_000; i++) assert.equal(h.answer(`q${i}`)?.type, "FW-OBJECT-LIST");
  assert.deepEqual(h.answer("q1000"), { type: "ACK-NAK", reason: "Too many messages are being taken" });
  h.send("later", { type: "FW-OBJECT-LIST" });
  await h.settled();
  assert.equal(h.answer("later")?.type, "FW-OBJECT-LIST");
});

test("blobs of all connections together are bounded", async (t) => {
  const h = start();
  cleanup(t, () => h.hub.close());
  const other: Message[] = [];
  const second = h.hub.connect("other", (message) => other.push(message as Message));
  const release = h.hold();
  h.send("q1", upload(["bcm"], "AAAAAAAA"));
  second.receive(readMessage({ "$fw.version": "1.0", id: "q2", body: upload(["app"]) }));
  await h.settled();
  assert.deepEqual(other[0]?.body, { type: "FW-UPLOAD", error: { app: "Too many uploads are being taken" } });
  release();
  await h.settled();
  assert.ok(h.answer("q1")?.receipt);
  h.send("q3", upload(["app"], "AAAAAAAAAAAA"));
  await h.settled();
  assert.deepEqual(
    h.answer("q3")?.error,
    { app: "The disk is full" },
    "one upload is always taken, once all are through",
  );
});

test("progress renews the time limit; without it the operation ends, is taken back, and is forgotten later", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  cleanup(t, () => mock.timers.reset());
  const h = start({ timeoutMs: 1_000, keepMs: 5_000 });
  h.send("q1", upload(["bcm"]));
  await h.settled();
  const { bcm: id } = h.answer("q1")!.receipt as Record<string, string>;
  mock.timers.tick(900);
  h.become("bcm", { state: "running", percent: 10, step: "prepare" });
  mock.timers.tick(900);
  assert.equal(h.received.at(-1)?.body.type, "ASYNC-ST");
  mock.timers.tick(100);
  assert.deepEqual(h.received.at(-1)?.body, { type: "ASYNC-TIMEOUT", ids: [id] });
  assert.equal(h.calls.at(-1), "cancel bcm");
  await h.settled();
  assert.equal(h.received.at(-1)?.body.type, "ASYNC-TIMEOUT", "nothing more is told");
  mock.timers.tick(5_000);
  assert.equal(h.calls.at(-1), "forget bcm");
  h.send("q2", { type: "ASYNC-RESUME", ids: [id] });
  await h.settled();
  assert.deepEqual(h.answer("q2")?.error, { [String(id)]: "No such receipt" });
});

test("a client hears of an operation in which nothing moves; a trial has its own limit", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  cleanup(t, () => mock.timers.reset());
  const h = start({ timeoutMs: 30_000 });
  h.send("q1", upload(["bcm"]));
  await h.settled();
  const { bcm: id } = h.answer("q1")!.receipt as Record<string, string>;
  h.become("bcm", { state: "running", percent: 85, step: "trial", limited: true });
  const before = h.received.length;
  for (let i = 0; i < 6; i++) mock.timers.tick(10_000);
  const heard = h.received.slice(before).map(({ body }) => body);
  assert.deepEqual(
    heard,
    Array.from({ length: 6 }, () => ({ type: "ASYNC-ST", id, progress: { percentage: 85, message: "trial" } })),
  );
  h.become("bcm", { state: "running", percent: 90, step: "committing" });
  for (let i = 0; i < 3; i++) mock.timers.tick(10_000);
  assert.deepEqual(h.received.at(-1)?.body, { type: "ASYNC-TIMEOUT", ids: [id] });
});

test("only the client that asked is told, until another takes the receipt up", async (t) => {
  const h = start();
  cleanup(t, () => h.hub.close());
  const other: Message[] = [];
  const second = h.hub.connect("other", (message) => other.push(message as Message));
  h.send("q1", upload(["bcm"]));
  await h.settled();
  const { bcm: id } = h.answer("q1")!.receipt as Record<string, string>;
  assert.equal(other.length, 0);
  h.session.close();
  h.become("bcm", { state: "failed", error: "no power" });
  second.receive(
    readMessage({ "$fw.version": "1.0", id: "q2", body: { type: "ASYNC-RESUME", ids: [id], values: {} } }),
  );
  await h.settled();
  assert.deepEqual(
    other.map(({ body }) => body),
    [
      { type: "ASYNC-RESUME", success: [id] },
      { type: "ASYNC-RESP", id, error: "no power" },
    ],
  );
});

test("an upload that begins while the service ends leaves no timer behind", async () => {
  const timers = new Set<object>();
  let begun = (): void => undefined;
  const operations = new Operations({
    port: {
      ...{ objects: () => [], targets: () => [], supports: () => true, register: async () => "" },
      ...{ cancel: async () => undefined, forget: async () => undefined, state: () => RUNNING },
      start: () => new Promise<void>((resolve) => (begun = resolve)),
      watch: () => () => undefined,
    },
    clock: {
      now: () => 0,
      setTimeout: () => {
        const handle = {};
        timers.add(handle);
        return handle as never;
      },
      clearTimeout: (handle) => timers.delete(handle),
    },
    ...{ timeoutMs: 1_000, keepMs: 1_000, maxOperations: 1, onProblem: assert.ifError },
  });
  operations.claim("app");
  const client = { actor: "", caller: undefined, notify: () => undefined };
  operations.start(operations.open("app", "upload", client));
  assert.equal(timers.size, 1);
  operations.close();
  begun();
  await new Promise(setImmediate);
  assert.equal(timers.size, 0);
});
