import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { UdsParams } from "#uds/com-params.ts";
import { type FunctionalResult, functionalRequest, SUPPRESSED_WINDOW_MS } from "#uds/functional.ts";
import { client, hex, ManualClock, outcome, settle, uds } from "./support.ts";

/** A group of three ECUs behind one gateway. */
function group(changes: Partial<UdsParams> = {}) {
  const clock = new ManualClock();
  const functional = client(changes, { clock, name: "group", addressing: "functional" });
  const members = ["A", "B", "C"].map((name) => client(changes, { clock, name }));
  const send = (request: string, deadlineMs?: number) =>
    functionalRequest({
      group: functional.ecu,
      members: members.map(({ ecu }) => ecu),
      request: hex(request),
      params: uds(changes).uds,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
  return { clock, functional, members, links: members.map(({ link }) => link), send };
}

function words(results: readonly FunctionalResult[]): string[] {
  return results.map((result) => {
    if (result === undefined) return "silent";
    return result instanceof Fault ? `${result.kind} ${result.message}` : toHex(result);
  });
}

test("functional: sent once, answers of all members in their order", async () => {
  const { functional, links, send, clock } = group();
  const request = send("22F190");
  await settle();
  assert.deepEqual(
    functional.link.sent.map(({ request }) => request),
    ["22F190"],
  );
  assert.ok(links.every((link) => link.sent.length === 0 && link.open === "22F190"));
  links[2]!.answer("62F19003");
  links[0]!.answer("7E00", "62F191FF", "62F19001");
  links[1]!.answer("7F2231");
  assert.deepEqual(words(await request), ["62F19001", "7F2231", "62F19003"]);
  assert.equal(clock.timers, 0);
  assert.ok(links.every((link) => link.open === undefined));
});

test("functional: the silent ones are told apart after CP_P6Max", async () => {
  const { links, send, clock } = group({ p6MaxMs: 1_000 });
  const request = send("22F190");
  await settle();
  links[1]!.answer("62F19002");
  await clock.advanceAsync(1_000);
  assert.deepEqual(words(await request), ["notResponding Timeout", "62F19002", "notResponding Timeout"]);
});

test("functional: 0x78 keeps one member's window open, up to CP_P6Star; 0x21 and 0x94 are returned", async () => {
  const { links, send, clock } = group({ p6MaxMs: 1_000, p6StarMs: 5_000 });
  const request = send("22F190");
  await settle();
  links[0]!.answer("7F2278");
  links[1]!.answer("7F2221");
  links[2]!.answer("7F2294");
  await clock.advanceAsync(4_999);
  links[0]!.answer("7F2278");
  await clock.advanceAsync(4_999);
  links[0]!.answer("62F19001");
  assert.deepEqual(words(await request), ["62F19001", "7F2221", "7F2294"]);
});

test("functional: 0x78 past its completion time, or when its handling is off, is the answer", async () => {
  const off = group({ rc78Handling: "Disabled" });
  const refused = off.send("22F190");
  await settle();
  for (const link of off.links) link.answer("7F2278");
  assert.deepEqual(words(await refused), ["7F2278", "7F2278", "7F2278"]);
  const late = group({ rc78CompletionTimeoutMs: 800 });
  const request = late.send("22F190");
  await settle();
  await late.clock.advanceAsync(900);
  for (const link of late.links) link.answer("7F2278");
  assert.deepEqual(words(await request), ["7F2278", "7F2278", "7F2278"]);
});

test("functional: with the suppress bit silence is no fault, refusals within 500 ms count", async () => {
  const { links, send, clock } = group();
  const request = send("28810100");
  await settle();
  links[1]!.answer("7F2822");
  await clock.advanceAsync(SUPPRESSED_WINDOW_MS);
  assert.deepEqual(words(await request), ["silent", "7F2822", "silent"]);
});

test("functional: an answer that comes before the acknowledgement counts", async () => {
  const { functional, links, send } = group();
  functional.link.onSend = () => {
    for (const link of links) link.answer("62F19009");
    functional.link.handler.onAcknowledged();
  };
  assert.deepEqual(words(await send("22F190")), Array(3).fill("62F19009"));
});

test("functional: a 0x78 that comes before the acknowledgement opens CP_P6Star", async () => {
  const { functional, links, send, clock } = group({ p6MaxMs: 1_000, p6StarMs: 5_000 });
  functional.link.onSend = () => {
    for (const link of links) link.answer("7F2278");
    functional.link.handler.onAcknowledged();
  };
  const request = send("22F190");
  await clock.advanceAsync(4_999);
  for (const link of links) link.answer("62F19009");
  assert.deepEqual(words(await request), Array(3).fill("62F19009"));
});

test("functional: members that are offline or lost on the way fail alone", async () => {
  const { links, send, clock } = group();
  links[0]!.connected = false;
  const request = send("22F190");
  await settle();
  links[1]!.disconnect();
  links[2]!.answer("62F19003");
  assert.deepEqual(words(await request), ["ecuOffline Ecu A offline", "ecuOffline Ecu B offline", "62F19003"]);
  assert.equal(clock.timers, 0);
});

test("functional: nothing sent is a fault, and every turn is given back", async () => {
  const { functional, members, links, send } = group({ repeatReqCountApp: 0 });
  functional.link.onSend = () => functional.link.fail(new Fault("nack", "Received Nack, code=0x06"));
  assert.equal(await outcome(send("22F190")), "nack Received Nack, code=0x06");
  const next = outcome(members[0]!.ecu.request(hex("3E00")));
  links[0]!.answer("7E00");
  assert.equal(await next, "7E00");
});

test("functional: waits for an ECU's running request, and later requests wait for it", async () => {
  const { functional, members, links, send } = group();
  const before = outcome(members[1]!.ecu.request(hex("22F100")));
  const request = send("22F190");
  const after = outcome(members[1]!.ecu.request(hex("22F101")));
  await settle();
  assert.equal(functional.link.sent.length, 0);
  links[1]!.answer("62F10001");
  assert.equal(await before, "62F10001");
  await settle();
  assert.equal(functional.link.sent.length, 1);
  assert.equal(links[1]!.sent.length, 1);
  for (const link of links) link.answer("62F19001");
  await request;
  links[1]!.answer("62F10101");
  assert.equal(await after, "62F10101");
});

test("functional: two at once do not block each other", async () => {
  const { links, send } = group();
  const requests = [send("22F190"), send("22F191")];
  await settle();
  for (const link of links) link.answer("62F19001");
  await settle();
  for (const link of links) link.answer("62F19102");
  assert.deepEqual((await Promise.all(requests)).map(words), [Array(3).fill("62F19001"), Array(3).fill("62F19102")]);
});

test("functional: the deadline cuts the windows", async () => {
  const { send, clock } = group({ p6MaxMs: 10_000 });
  const request = send("22F190", clock.now() + 200);
  await clock.advanceAsync(200);
  assert.deepEqual(words(await request), Array(3).fill("notResponding Timeout"));
});
