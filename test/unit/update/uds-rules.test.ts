/** What a recipe may say and what becomes of it when something fails: rules of ISO 14229-1 that a flash must keep. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { CURRENT_IMAGE } from "#update/software/provider.ts";
import { checkedRecipe, checkFits } from "#update/software/providers/uds-recipe.ts";
import { turn } from "./software-model.ts";
import { bcmJob, Ecu, IMAGE, provider } from "./uds-support.ts";

const hexOf = (request: Uint8Array) => Buffer.from(request).toString("hex");
/** The ECU refuses what begins so. */
const refusing = (start: string) => (request: Uint8Array) =>
  hexOf(request).startsWith(start) ? Uint8Array.of(0x7f, request[0]!, 0x22) : undefined;
const OTHERS_ON = [
  { request: "28 00 01", ecu: "tcu", always: true },
  { request: "31 01 02 05 {size}", always: true },
];
const PARTS = { segment: [{ address: 0x1000, offset: 0, length: 0x8_0000 }, { address: 0x10_0000 }] };

test("steps that make good are done whatever the segments are, with the image and without one", async () => {
  const ecu = new Ecu();
  ecu.disturb = refusing("3101ff00");
  const { provider: flasher } = provider(ecu, [{ request: "31 01 FF 00" }, ...OTHERS_ON], PARTS);
  await assert.rejects(flasher.execute(bcmJob()), { kind: "ecuRefused" });
  assert.deepEqual(ecu.log.slice(-4, -2), ["TCU 280001", "3101020500100000"]);
  ecu.log.length = 0;
  await assert.rejects(flasher.rollback(bcmJob(new Map([["touched", "yes"]]))), { kind: "conflict" });
  assert.deepEqual(ecu.log, ["TCU 280001", "3101020500000000"]);
});

for (const [what, step, touched] of [
  ["a routine that is said to be harmless", { request: "31 01 02 03", harmless: true }, undefined],
  ["any other routine", { request: "31 01 02 03" }, "yes"],
  ["reading of memory", { request: "23 44 {address} {size}" }, undefined],
] as const) {
  test(`${what} is refused: ${touched === undefined ? "nothing is flashed back" : "the old image again"}`, async () => {
    const ecu = new Ecu();
    ecu.disturb = refusing(step.request.slice(0, 2));
    const notes = new Map<string, string>();
    const steps = [{ request: "10 03" }, step, { download: {} }];
    await assert.rejects(provider(ecu, steps).provider.execute(bcmJob(notes)), { kind: "ecuRefused" });
    assert.equal(notes.get("touched"), touched);
    assert.equal(ecu.log.includes("1001"), touched === undefined, "an ECU that is as it was leaves its session");
  });
}

for (const [session, leaves] of [
  ["10 03", "1001"],
  ["10 E0", "1001"],
  ["10 60", "1001"],
  ["1082", "1101"],
] as const) {
  test(`session ${session} is left by ${leaves}`, async () => {
    const ecu = new Ecu();
    ecu.disturb = refusing("22");
    await assert.rejects(
      provider(ecu, [{ request: session, ignore_refusal: true }, { request: "22 F1 90" }]).provider.execute(bcmJob()),
      {
        kind: "ecuRefused",
      },
    );
    assert.ok(ecu.log.includes(leaves), ecu.log.join());
  });
}

for (const [what, keyOfSeed, error] of [
  ["gives no bytes", () => "0102" as never, { kind: "misconfigured", message: /gives no bytes/ }],
  ["fails", () => Promise.reject(new Error("no HSM")), /no HSM/],
  ["does not answer", () => new Promise<never>(() => undefined), { kind: "requestTimeout" }],
] as const) {
  test(`a key module that ${what}: no key is sent`, async () => {
    const ecu = new Ecu();
    const steps = [{ security: 7, timeout_ms: 50 }, { request: "31 01 FF 00" }];
    await assert.rejects(provider(ecu, steps, {}, { keyOfSeed }).provider.execute(bcmJob()), error);
    assert.ok(!ecu.log.some((entry) => entry.startsWith("2708") || entry.startsWith("31")));
  });
}

test("a cancel does not wait for a key module that does not answer", async () => {
  const stop = new AbortController();
  const keyOfSeed = () => {
    void turn().then(() => stop.abort(new Fault("conflict", "cancelled")));
    return new Promise<never>(() => undefined);
  };
  const { provider: flasher } = provider(new Ecu(), [{ security: 7 }], {}, { keyOfSeed });
  await assert.rejects(flasher.execute({ ...bcmJob(), signal: stop.signal }), /cancelled/);
});

for (const [what, outcome, ignored, error] of [
  ["nobody is there", { results: {}, errors: [] }, "ignore_silence", /no ECU of the group is there/],
  [
    "all are silent",
    { results: {}, errors: [{ fault: { kind: "notResponding", message: "x" } }] },
    "ignore_silence",
    /: x/,
  ],
  ["all refuse", { results: {}, errors: [{ fault: { kind: "ecuRefused", message: "x" } }] }, "ignore_refusal", /: x/],
  [
    "one has done it",
    { results: { tcu: "{}" }, errors: [{ fault: { kind: "ecuRefused", message: "x" } }] },
    undefined,
    undefined,
  ],
] as const) {
  test(`a mode of a group, ${what}: ${error === undefined ? "done" : "it fails, unless that is ignored"}`, async () => {
    const ecu = new Ecu();
    ecu.fleet.callGroup = (async () => ({ outcome })) as never;
    const step = { group: "all", mode: "dtcsetting", value: "off" };
    const run = (more: object) => provider(ecu, [{ ...step, ...more }]).provider.execute(bcmJob());
    if (error !== undefined) await assert.rejects(run({}), error);
    await run(ignored === undefined ? {} : { [ignored]: true });
  });
}

test("found in prepare: ECUs and groups that no database describes, and addresses that do not fit where they go", async () => {
  const ecu = new Ecu();
  ecu.fleet.ecu = ((name: string) => (name === "ghost" ? undefined : { name })) as never;
  ecu.fleet.group = (name) => (name === "all" ? name : undefined);
  const steps = [
    { request: "28 01 01", ecu: "tcu" },
    { request: "28 01 01", ecu: "ghost" },
    { group: "ALL", mode: "session", value: "extended" },
    { group: "crew", mode: "session", value: "extended" },
  ];
  await assert.rejects(provider(ecu, steps).provider.prepare(bcmJob()), {
    kind: "misconfigured",
    message: /no database describes: ghost, crew$/,
  });
  await provider(ecu, [steps[0]!, steps[2]!]).provider.prepare(bcmJob());
  const versions = { version: "1", previous: "0" };
  for (const [address, each_segment, fits] of [
    [0xffff_ffff, false, true],
    [0x1_0000_0000, false, false],
    [0x10_0000_0000, true, false],
  ] as const) {
    const recipe = checkedRecipe(
      { segment: [{ address }], step: [{ request: "31 01 FF 00 {address}", each_segment }] },
      "test",
    );
    const check = () => checkFits(recipe, IMAGE.length, versions);
    if (fits) check();
    else assert.throws(check, { kind: "invalidConfig", message: /needs more than 4 bytes/ });
  }
  assert.throws(() => checkedRecipe({ step: [{ security: 8 }] }, "test"), /odd sub-function/);
});

test("somebody else's lock is a refusal before anything was changed, and no reason to give up an ECU that is half-written", async () => {
  const ecu = new Ecu();
  let locked = true;
  const hold = async () => {
    if (locked) throw new Fault("forbidden", "ECU lock is held by a different user");
    return () => undefined;
  };
  const { provider: flasher, bulk } = provider(ecu, undefined, {}, { hold });
  const bytes = async function* () {
    yield IMAGE;
  };
  const key = { component: "bcm", category: CURRENT_IMAGE, id: "old" };
  await bulk.write({ ...key, name: "old", mimetype: "x/y" }, 0, bytes(), true);
  await assert.rejects(flasher.execute(bcmJob()), { kind: "forbidden" });
  const touched = new Map([["touched", "yes"]]);
  for (const call of ["execute", "rollback"] as const)
    await assert.rejects(flasher[call](bcmJob(touched)), { kind: "notReady", message: /held by a different user/ });
  assert.deepEqual(ecu.log, []);
  locked = false;
  await flasher.rollback(bcmJob(touched));
  assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
});

test("each step has a name that is shown", async () => {
  const ecu = new Ecu();
  const shown: (string | undefined)[] = [];
  const job = { ...bcmJob(), progress: ({ step }: { step?: string }) => void shown.push(step) };
  await provider(ecu).provider.execute(job);
  assert.deepEqual(
    [...new Set(shown)],
    ["dtcsetting off", "10 02", "security access", "erase", "transfer", "check", "11 01", "detection", "dtcsetting on"],
  );
});
