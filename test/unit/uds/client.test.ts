import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { CLIENT_DEFAULTS } from "#uds/client.ts";
import type { UdsParams } from "#uds/com-params.ts";
import type { Caller } from "#uds/job.ts";
import { client, hex, outcome, settle } from "./support.ts";

const READ = hex("22F190");
const VIN = "62F1905343";

test("client: answer, then the next request", async () => {
  const { ecu, link, clock } = client();
  const first = outcome(ecu.request(READ));
  const second = outcome(ecu.request(hex("3E00")));
  assert.deepEqual(
    link.sent.map(({ request }) => request),
    ["22F190"],
  );
  link.answer(VIN);
  assert.deepEqual(
    link.sent.map(({ request }) => request),
    ["22F190", "3E00"],
  );
  link.answer("7E00");
  assert.deepEqual(await Promise.all([first, second]), [VIN, "7E00"]);
  clock.advance(CLIENT_DEFAULTS.maxWaitMs);
  assert.equal(clock.timers, 0);
});

test("client: a refusal is an answer", async () => {
  const { ecu, link } = client();
  const request = outcome(ecu.request(READ));
  link.answer("7F2231");
  assert.equal(await request, "7F2231");
});

test("client: a silent ECU is asked 1 + CP_RepeatReqCountApp times, CP_P6Max apart, then Timeout", async () => {
  const { ecu, link, clock } = client({ p6MaxMs: 1_000, repeatReqCountApp: 2 });
  const startMs = clock.now();
  const request = outcome(ecu.request(READ));
  clock.advance(2_999);
  assert.equal(link.sent.length, 3);
  clock.advance(1);
  assert.equal(await request, "notResponding Timeout");
  assert.deepEqual(
    link.sent.map(({ atMs }) => atMs - startMs),
    [0, 1_000, 2_000],
  );
  assert.equal(link.open, undefined);
  assert.equal(clock.timers, 0);
});

test("client: the caller's window takes the place of CP_P6Max", async () => {
  const { ecu, clock } = client({ repeatReqCountApp: 0 });
  const request = outcome(ecu.request(READ, { timeoutMs: 50 }));
  clock.advance(50);
  assert.equal(await request, "notResponding Timeout");
});

test("client: parameters of one request in place of the client's own", async () => {
  const { ecu, clock } = client();
  const request = outcome(ecu.request(READ, { params: { ...ecu.params, p6MaxMs: 10, repeatReqCountApp: 0 } }));
  clock.advance(10);
  assert.equal(await request, "notResponding Timeout");
});

const FOREIGN = ["62F191AA", "6EF190", "7F3178", "7F2E31", "7E00"];
test("client: foreign frames neither end the wait nor extend it", async () => {
  const { ecu, link, clock } = client({ repeatReqCountApp: 0 });
  const request = outcome(ecu.request(READ));
  for (const frame of FOREIGN) {
    clock.advance(190);
    link.answer(frame);
  }
  clock.advance(1_000 - FOREIGN.length * 190);
  assert.equal(await request, "notResponding Timeout");
});

test("client: the right answer behind foreign frames counts", async () => {
  const { ecu, link } = client();
  const request = outcome(ecu.request(READ));
  link.answer(...FOREIGN, VIN);
  assert.equal(await request, VIN);
});

test("client: 0x78 opens a window of CP_P6Star each time", async () => {
  const { ecu, link, clock } = client({ p6MaxMs: 1_000, p6StarMs: 5_000, repeatReqCountApp: 0 });
  const request = outcome(ecu.request(READ));
  for (let pending = 0; pending < 4; pending++) {
    clock.advance(pending === 0 ? 999 : 4_999);
    link.answer("7F2278");
  }
  clock.advance(4_999);
  link.answer(VIN);
  assert.equal(await request, VIN);
  assert.equal(link.sent.length, 1);
});

test("client: after CP_P6Star in silence the request is repeated, with CP_P6Max again", async () => {
  const { ecu, link, clock } = client({ p6MaxMs: 1_000, p6StarMs: 5_000, repeatReqCountApp: 1 });
  const startMs = clock.now();
  const request = outcome(ecu.request(READ));
  link.answer("7F2278");
  clock.advance(6_000);
  assert.equal(await request, "notResponding Timeout");
  assert.deepEqual(
    link.sent.map(({ atMs }) => atMs - startMs),
    [0, 5_000],
  );
});

interface Policy {
  readonly nrc: string;
  readonly handling: "rc21Handling" | "rc78Handling" | "rc94Handling";
  readonly completion: "rc21CompletionTimeoutMs" | "rc78CompletionTimeoutMs" | "rc94CompletionTimeoutMs";
}
const POLICIES: readonly Policy[] = [
  { nrc: "7F2221", handling: "rc21Handling", completion: "rc21CompletionTimeoutMs" },
  { nrc: "7F2278", handling: "rc78Handling", completion: "rc78CompletionTimeoutMs" },
  { nrc: "7F2294", handling: "rc94Handling", completion: "rc94CompletionTimeoutMs" },
];
for (const { nrc, handling, completion } of POLICIES) {
  /** The ECU says the code every 200 ms until `untilMs`, then answers. */
  const run = async (changes: Partial<UdsParams>, untilMs: number) => {
    const { ecu, link, clock } = client({ ...changes, repeatReqCountApp: 0 });
    const startMs = clock.now();
    const request = outcome(ecu.request(READ));
    while (link.open !== undefined || clock.timers > 0) {
      link.answer(clock.now() - startMs < untilMs ? nrc : VIN);
      clock.advance(200);
    }
    return { result: await request, sent: link.sent.length };
  };
  const repeats = handling !== "rc78Handling";

  test(`client: ${handling} Disabled hands ${nrc} to the caller`, async () => {
    assert.deepEqual(await run({ [handling]: "Disabled" }, 1_000), { result: nrc, sent: 1 });
  });

  test(`client: ${handling} ContinueUntilTimeout goes on up to and including ${completion}, then hands ${nrc} on`, async () => {
    const within = await run({ [completion]: 1_000 }, 1_000);
    assert.deepEqual(within, { result: VIN, sent: repeats ? 6 : 1 });
    assert.equal((await run({ [completion]: 1_000 }, 5_000)).result, nrc);
    // At exactly the time the code is still accepted; after it, no more.
    assert.equal((await run({ [completion]: 999 }, 1_200)).result, nrc);
    assert.equal((await run({ [completion]: 1_000 }, 1_200)).result, VIN);
  });

  test(`client: ${handling} ContinueUnlimited goes on past ${completion}`, async () => {
    assert.equal((await run({ [handling]: "ContinueUnlimited", [completion]: 1 }, 60_000)).result, VIN);
  });
}

test("client: 0x21 and 0x94 send again after their own pause and do not count as repeats", async () => {
  const { ecu, link, clock } = client({ rc21RequestTimeMs: 300, rc94RequestTimeMs: 700, repeatReqCountApp: 0 });
  const startMs = clock.now();
  const request = outcome(ecu.request(READ));
  link.answer("7F2221");
  assert.equal(link.open, undefined);
  clock.advance(300);
  link.answer("7F2294");
  clock.advance(700);
  link.answer(VIN);
  assert.equal(await request, VIN);
  assert.deepEqual(
    link.sent.map(({ atMs }) => atMs - startMs),
    [0, 300, 1_000],
  );
});

test("client: suppressed positive response: done when it was taken over", async () => {
  const { ecu, link, clock } = client();
  assert.equal(await outcome(ecu.request(hex("3E80"))), "");
  assert.equal(await outcome(ecu.request(hex("31810301"))), "");
  link.onSend = () => {};
  const pending = outcome(ecu.request(hex("3E80")));
  await settle();
  assert.equal(link.open, "3E80");
  link.handler.onAcknowledged();
  assert.equal(await pending, "");
  assert.equal(clock.timers, 0);
});

test("client: bit 7 of a data identifier suppresses nothing", async () => {
  const { ecu, link } = client();
  const request = outcome(ecu.request(hex("2EF1900102")));
  link.answer("6EF190");
  assert.equal(await request, "6EF190");
});

const FAULTS: readonly { fault: Fault; sends: number }[] = [
  { fault: new Fault("nack", "Received Nack, code=0x06", { code: 6 }), sends: 3 },
  { fault: new Fault("sendFailed", "Sending message failed"), sends: 3 },
  { fault: new Fault("notResponding", "Timeout"), sends: 3 },
  { fault: new Fault("ecuOffline", "Ecu FLXC1000 offline"), sends: 1 },
  { fault: new Fault("requestTimeout", "Request timed out"), sends: 1 },
];
for (const { fault, sends } of FAULTS) {
  test(`client: transport fault ${fault.kind}: ${sends} sends, then that fault`, async () => {
    const { ecu, link } = client({ repeatReqCountApp: 2 });
    link.onSend = () => link.fail(fault);
    assert.equal(await outcome(ecu.request(READ)), `${fault.kind} ${fault.message}`);
    assert.equal(link.sent.length, sends);
  });
}

test("client: a full queue refuses at once", async () => {
  const { ecu, link } = client({}, { maxQueued: 2 });
  const running = outcome(ecu.request(READ));
  const queued = [outcome(ecu.request(hex("22F191"))), outcome(ecu.request(hex("22F192")))];
  assert.match(await outcome(ecu.request(hex("22F193"))), /^overloaded /);
  assert.equal(ecu.queued, 2);
  link.answer(VIN, "62F19101", "62F19201");
  assert.deepEqual(await Promise.all([running, ...queued]), [VIN, "62F19101", "62F19201"]);
});

test("client: 10 s without a turn is a Timeout; the queue keeps its order", async () => {
  const { ecu, link, clock } = client({ p6MaxMs: 20_000, repeatReqCountApp: 0 });
  const running = outcome(ecu.request(READ));
  const waiting = outcome(ecu.request(hex("22F191")));
  clock.advance(9_999);
  assert.equal(ecu.queued, 1);
  clock.advance(1);
  assert.equal(await waiting, "notResponding Timeout");
  assert.equal(ecu.queued, 0);
  link.answer(VIN);
  assert.equal(await running, VIN);
  assert.deepEqual(
    link.sent.map(({ request }) => request),
    ["22F190"],
  );
});

test("client: a deadline ends waiting, sending, receiving and pausing", async () => {
  const passed = client();
  assert.equal(
    await outcome(passed.ecu.request(READ, { deadlineMs: passed.clock.now() })),
    "requestTimeout Request timed out",
  );
  assert.equal(passed.link.sent.length, 0);

  const queued = client({ p6MaxMs: 20_000 });
  void outcome(queued.ecu.request(READ));
  const waiting = outcome(queued.ecu.request(READ, { deadlineMs: queued.clock.now() + 100 }));
  queued.clock.advance(100);
  assert.equal(await waiting, "requestTimeout Request timed out");

  const receiving = client();
  const answer = outcome(receiving.ecu.request(READ, { deadlineMs: receiving.clock.now() + 300 }));
  assert.equal(receiving.link.deadlineMs, receiving.clock.now() + 300);
  receiving.clock.advance(300);
  assert.equal(await answer, "requestTimeout Request timed out");
  assert.equal(receiving.link.sent.length, 1);

  const pausing = client();
  const again = outcome(pausing.ecu.request(READ, { deadlineMs: pausing.clock.now() + 100 }));
  pausing.link.answer("7F2221");
  pausing.clock.advance(100);
  assert.equal(await again, "requestTimeout Request timed out");
  assert.equal(pausing.link.sent.length, 1);
});

/** A caller that counts frames and can take its request back. */
function takenBack() {
  const caller = {
    cancelled: false,
    frames: 0,
    open: undefined as Caller["open"],
    sent: () => {
      caller.frames++;
    },
    takeBack: () => {
      caller.cancelled = true;
      caller.open?.cancel(caller);
    },
  };
  return caller;
}

test("client: the caller hears of every frame that leaves, repeats included, until it has gone", async () => {
  const { ecu, link, clock } = client({ repeatReqCountApp: 1 });
  link.onSend = () => {
    link.handler.onSent();
    link.handler.onAcknowledged();
  };
  const caller = takenBack();
  const running = outcome(ecu.request(READ, { caller }));
  assert.equal(caller.frames, 1);
  clock.advance(1_000);
  assert.equal(caller.frames, 2);
  link.answer(VIN);
  assert.equal(await running, VIN);
  assert.equal(caller.open, undefined);
  const gone = outcome(ecu.request(READ, { caller }));
  assert.equal(caller.frames, 3);
  caller.takeBack();
  link.handler.onSent();
  assert.equal(caller.frames, 3);
  assert.equal(await gone, "requestTimeout Request cancelled");
});

test("client: cancelling takes a waiting request out of the queue", async () => {
  const { ecu, link } = client();
  const caller = takenBack();
  const running = outcome(ecu.request(READ));
  const waiting = outcome(ecu.request(hex("22F191"), { caller }));
  caller.takeBack();
  assert.equal(await waiting, "requestTimeout Request cancelled");
  link.answer(VIN);
  assert.equal(await running, VIN);
  assert.equal(link.sent.length, 1);
  assert.equal(await outcome(ecu.request(READ, { caller })), "requestTimeout Request cancelled");
});

test("client: cancelling a running request frees the caller; the ECU is not asked again", async () => {
  const { ecu, link, clock } = client({ repeatReqCountApp: 5 });
  const caller = takenBack();
  const running = outcome(ecu.request(READ, { caller }));
  caller.takeBack();
  assert.equal(await running, "requestTimeout Request cancelled");
  assert.equal(link.open, "22F190");
  const next = outcome(ecu.request(hex("3E00")));
  clock.advance(1_000);
  assert.deepEqual(
    link.sent.map(({ request }) => request),
    ["22F190", "3E00"],
  );
  link.answer("7E00");
  assert.equal(await next, "7E00");
});

test("client: after the caller has gone 0x21 ends the request instead of repeating it", async () => {
  const { ecu, link, clock } = client();
  const caller = takenBack();
  const running = outcome(ecu.request(READ, { caller }));
  caller.takeBack();
  assert.equal(await running, "requestTimeout Request cancelled");
  link.answer("7F2221");
  assert.equal(link.open, undefined);
  clock.advance(ecu.params.p6MaxMs);
  assert.deepEqual([link.sent.length, clock.timers], [1, 0]);
  const next = outcome(ecu.request(hex("3E00")));
  link.answer("7E00");
  assert.equal(await next, "7E00");
  assert.equal(link.sent.length, 2);
});

test("client: an ECU that is offline fails at once; a lost way fails running and waiting ones", async () => {
  const told: boolean[] = [];
  const { ecu, link, clock } = client({}, { onConnectivity: (connected) => told.push(connected) });
  const running = outcome(ecu.request(READ));
  const waiting = outcome(ecu.request(READ));
  link.disconnect();
  assert.deepEqual(await Promise.all([running, waiting]), Array(2).fill("ecuOffline Ecu FLXC1000 offline"));
  assert.equal(await outcome(ecu.request(READ)), "ecuOffline Ecu FLXC1000 offline");
  assert.deepEqual(told, [false]);
  assert.equal(clock.timers, 0);
});

test("client: many requests that fail at once do not grow the stack", async () => {
  const { ecu, link } = client({}, { maxQueued: 10_000 });
  const running = outcome(ecu.request(READ));
  const waiting = Array.from({ length: 10_000 }, () => outcome(ecu.request(READ)));
  link.onSend = () => link.fail(new Fault("ecuOffline", "x"));
  link.answer(VIN);
  assert.equal(await running, VIN);
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["ecuOffline x"]));
});

test("client: an empty request is refused", async () => {
  const { ecu } = client();
  assert.match(await outcome(ecu.request(new Uint8Array(0))), /^badRequest/);
});

test("client: a late answer to the request before is not taken for this one's", async () => {
  const { ecu, link, clock } = client({ repeatReqCountApp: 0 });
  const first = outcome(ecu.request(READ));
  clock.advance(1_000);
  assert.equal(await first, "notResponding Timeout");
  link.answer(VIN);
  const second = outcome(ecu.request(hex("22F191")));
  link.answer(VIN, "62F19101");
  assert.equal(await second, "62F19101");
});

test("client: close fails what is open and leaves the link", async () => {
  const { ecu, link, clock } = client();
  const requests = [outcome(ecu.request(READ)), outcome(ecu.request(READ))];
  ecu.close();
  assert.deepEqual(await Promise.all(requests), Array(2).fill("ecuOffline Ecu FLXC1000 offline"));
  assert.ok(link.closed);
  assert.equal(clock.timers, 0);
});
