/** Flashing by a recipe: an ECU of one memory that is disturbed at every step, and what goes over the wire then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { Fault, type FaultKind } from "#core/errors.ts";
import { CURRENT_IMAGE } from "#update/software/provider.ts";
import { checkedRecipe, checkFits, requestDownload, segmentsOf } from "#update/software/providers/uds-recipe.ts";
import { bcmJob, Ecu, IMAGE, MAX_BLOCK, provider, STEPS } from "./uds-support.ts";

const isErase = (entry: string) => entry === "3101ff00";
const downloads = (ecu: Ecu) => ecu.log.filter((entry) => entry.startsWith("34"));

test("the sequence of seed 002, 3.4.1, step by step; done once", async () => {
  const ecu = new Ecu();
  const notes = new Map<string, string>();
  await provider(ecu).provider.execute(bcmJob(notes));
  assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
  assert.deepEqual(ecu.log, [
    "all groupLockAcquired",
    "BCM lockAcquired",
    "all dtcsetting off",
    "1002",
    "2707",
    "27080102",
    "3101ff00",
    "3400440000000000100000",
    "37",
    "3101ff01",
    "1101",
    "all dtcsetting on",
    "BCM lockReleased",
    "all groupLockReleased",
  ]);
  ecu.log.length = 0;
  await provider(ecu).provider.execute(bcmJob(notes));
  assert.deepEqual(ecu.log, [], "what is flashed is not flashed again");
});

/** Each request that can be disturbed, and what it begins with. */
const HARMLESS = ["1002", "2707", "2708"];
const CUTS = [...HARMLESS, "3101ff00", "34", "36", "37", "3101ff01", "1101"];
/** What is sent after a failure: an ECU of which nothing was changed leaves its session. */
const afterFailure = (cut: string) => [
  "all dtcsetting on",
  ...(HARMLESS.includes(cut) ? [cut === "1002" ? "1001" : "1101"] : []),
  "BCM lockReleased",
  "all groupLockReleased",
];
const TROUBLES: Readonly<Record<string, () => Uint8Array | Fault>> = {
  "is refused": () => Uint8Array.of(0x7f, 0x10, 0x22),
  "has no way to the ECU": () => new Fault("ecuOffline", "Ecu BCM offline"),
  "gets a wrong answer": () => Uint8Array.of(0x41),
};
for (const cut of CUTS) {
  for (const [what, trouble] of Object.entries(TROUBLES)) {
    test(`${cut} ${what}: it stops there, and DTCs are on again`, async () => {
      const ecu = new Ecu();
      ecu.disturb = (request) => (Buffer.from(request).toString("hex").startsWith(cut) ? trouble() : undefined);
      const notes = new Map<string, string>();
      const steps = STEPS.map((step) => ("download" in step ? { ...step, timeout_ms: 200 } : step));
      const done = provider(ecu, steps).provider.execute(bcmJob(notes));
      await assert.rejects(
        done,
        (error) => error instanceof Fault && ["ecuRefused", "ecuOffline"].includes(error.kind),
      );
      const expected = afterFailure(cut);
      assert.deepEqual(ecu.log.slice(-expected.length), expected);
      assert.equal(notes.get("flashed"), undefined);
      assert.equal(notes.get("touched"), HARMLESS.includes(cut) ? undefined : "yes");
      assert.equal(ecu.log.filter((entry) => entry === "all dtcsetting on").length, 1);
    });
  }
}

for (const cut of CUTS) {
  test(`${cut}: cancelled in it, nothing follows but DTCs on`, async () => {
    const ecu = new Ecu();
    const stop = new AbortController();
    const at: number[] = [];
    ecu.disturb = (request) => {
      if (!Buffer.from(request).toString("hex").startsWith(cut)) return undefined;
      at.push(ecu.log.length);
      stop.abort(new Fault("conflict", "cancelled"));
      return new Fault("conflict", "cancelled");
    };
    const notes = new Map<string, string>();
    await assert.rejects(provider(ecu).provider.execute({ ...bcmJob(notes), signal: stop.signal }), /cancelled/);
    assert.equal(at.length, 1);
    assert.deepEqual(ecu.log.slice(at[0]), afterFailure(cut));
    assert.equal(notes.get("touched"), HARMLESS.includes(cut) ? undefined : "yes");
  });
}

for (const nrc of [0x71, 0x72, 0x73, 0x24, 0x31]) {
  test(`a block refused with NRC 0x${nrc.toString(16)} ends the transfer and does not count`, async () => {
    const ecu = new Ecu();
    let blocks = 0;
    ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 7 ? Uint8Array.of(0x7f, 0x36, nrc) : undefined);
    const told: number[] = [];
    const job = { ...bcmJob(), progress: ({ percent }: { percent: number }) => void told.push(percent) };
    await assert.rejects(
      provider(ecu).provider.execute(job),
      new RegExp(`block 7 at byte ${6 * 0x1000}: refused with NRC 0x${nrc.toString(16)} \\(\\w`),
    );
    assert.equal(blocks, 7);
    assert.ok(!ecu.log.includes("37"));
    assert.equal(told.at(-1), Math.floor((100 * (4 + (6 * 0x1000) / IMAGE.length)) / STEPS.length));
  });
}

for (const kind of ["notResponding", "ecuOffline", "workerLost"] satisfies FaultKind[]) {
  for (const afterwards of [false, true]) {
    test(`a block whose ${afterwards ? "answer" : "request"} is lost (${kind}) goes again with the same counter`, async () => {
      const ecu = new Ecu();
      ecu.afterwards = afterwards;
      let blocks = 0;
      ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 200 ? new Fault(kind, "lost") : undefined);
      await provider(ecu).provider.execute(bcmJob());
      assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
      assert.deepEqual(
        ecu.counters,
        Array.from({ length: 256 }, (_, i) => (i + 1) & 0xff),
      );
      assert.equal(blocks, 257);
      assert.equal(ecu.log.filter(isErase).length, 1);
    });
  }
}

const END = () => new Fault("internal", "The program ends");

for (const resumable of [true, false]) {
  test(`cut in the middle of a transfer: ${resumable ? "goes on behind the last note, nothing erased" : "begins anew"}`, async () => {
    const steps = STEPS.map((step) => (step.download ? { ...step, download: { ...step.download, resumable } } : step));
    const ecu = new Ecu();
    let blocks = 0;
    ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 150 ? END() : undefined);
    const notes = new Map<string, string>();
    await assert.rejects(provider(ecu, steps).provider.execute(bcmJob(notes)), /program ends/);
    ecu.log.length = 0;
    await provider(ecu, steps).provider.execute(bcmJob(notes));
    assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
    assert.equal(ecu.log.filter(isErase).length, resumable ? 0 : 1);
    assert.deepEqual(downloads(ecu), [resumable ? "34004400080000" + "00080000" : "34004400000000" + "00100000"]);
  });
}

test("an ECU that does not go on where it was gets all of it anew", async () => {
  const ecu = new Ecu();
  let blocks = 0;
  ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 150 ? END() : undefined);
  const notes = new Map<string, string>();
  await assert.rejects(provider(ecu).provider.execute(bcmJob(notes)), /program ends/);
  ecu.disturb = (request) => (request[0] === 0x34 && request[4] !== 0 ? Uint8Array.of(0x7f, 0x34, 0x31) : undefined);
  ecu.memory.fill(0);
  ecu.log.length = 0;
  await provider(ecu).provider.execute(bcmJob(notes));
  assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
  assert.equal(ecu.log.filter(isErase).length, 1);
  assert.equal(downloads(ecu).length, 2);
});

const SEGMENTS = [
  { address: 0x1000, offset: 16, length: 0x6_0000 },
  { address: 0x10_0000, length: 0x5_0000 },
  { address: 0x18_0000 },
];

test("several segments, each erased and checked; a cut one goes on in its own", async () => {
  const steps = [
    { request: "31 01 FF 00 44 {address} {size}", each_segment: true, skip_on_resume: true },
    { download: { max_block_bytes: MAX_BLOCK, resumable: true } },
    { request: "31 01 02 02 {address} {crc32}", each_segment: true },
  ];
  const { provider: flasher } = provider(new Ecu(), steps, { segment: SEGMENTS });
  assert.ok(flasher);
  const ecu = new Ecu();
  let blocks = 0;
  ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 0x60 + 0x42 ? END() : undefined);
  const notes = new Map<string, string>();
  await assert.rejects(provider(ecu, steps, { segment: SEGMENTS }).provider.execute(bcmJob(notes)), /program ends/);
  await provider(ecu, steps, { segment: SEGMENTS }).provider.execute(bcmJob(notes));
  const hex = (value: number) => value.toString(16).padStart(8, "0");
  const last = IMAGE.length - 16 - 0xb_0000;
  const parts = [
    [0x1000, 16, 0x6_0000],
    [0x10_0000, 16 + 0x6_0000, 0x5_0000],
    [0x18_0000, 16 + 0xb_0000, last],
  ] as const;
  for (const [address, offset, length] of parts) {
    assert.ok(ecu.memory.subarray(address, address + length).equals(IMAGE.subarray(offset, offset + length)));
    const sum = crc32(IMAGE.subarray(offset, offset + length));
    assert.ok(ecu.log.includes(`31010202${hex(address)}${hex(sum)}`));
    assert.equal(ecu.log.filter((entry) => entry === `3101ff0044${hex(address)}${hex(length)}`).length, 1);
  }
  assert.deepEqual(downloads(ecu), [
    `340044${hex(0x1000)}${hex(0x6_0000)}`,
    `340044${hex(0x10_0000)}${hex(0x5_0000)}`,
    `340044${hex(0x14_0000)}${hex(0x1_0000)}`,
    `340044${hex(0x18_0000)}${hex(last)}`,
  ]);
});

test("formats of RequestDownload; what does not fit is found before anything is sent", () => {
  const bytes = (download: object, address: number, size: number) =>
    Buffer.from(requestDownload(download, address, size)).toString("hex");
  assert.equal(bytes({}, 0x8000, 0x10), "3400440000800000000010");
  assert.equal(bytes({ data_format: 0x21, address_and_length_format: 0x23 }, 0x12_3456, 0x789a), "342123123456789a");
  assert.equal(bytes({ address_and_length_format: 0x51 }, 7, 2 ** 32), "340051070100000000");
  assert.throws(() => requestDownload({ address_and_length_format: 0x12 }, 0, 256), { kind: "invalidConfig" });
  const recipe = checkedRecipe({ segment: SEGMENTS, step: [{ request: "2E F1 95 {version}" }, { download: {} }] }, "t");
  const versions = { version: "1", previous: undefined };
  checkFits(recipe, 1 << 20, versions);
  assert.throws(() => checkFits(recipe, 0x6_0000, versions), { kind: "invalidData" });
  assert.throws(() => checkFits(recipe, 1 << 20, { ...versions, version: undefined }), /version, which is not known/);
  const compressed = { download: { data_format: 0x10, resumable: true } };
  assert.throws(() => checkedRecipe({ step: [compressed] }, "t"), /not resumable/);
  const packed = checkedRecipe({ segment: [{ address: 0, memory_bytes: 4096 }], step: [{ download: {} }] }, "t");
  assert.deepEqual(segmentsOf(packed, 100), [{ address: 0, offset: 0, length: 100, memoryBytes: 4096 }]);
});

test("an ECU that may answer nothing, and one that counts down before it gives a seed", async () => {
  const ecu = new Ecu();
  let early = 2;
  ecu.disturb = (request) => {
    if (request[0] === 0x11) return new Fault("notResponding", "gone");
    if (request[0] === 0x27 && request[1] === 7 && early-- > 0) return Uint8Array.of(0x7f, 0x27, 0x37);
    if (request[0] === 0x28) return new Uint8Array(0);
    if (request[0] === 0x14) return Uint8Array.of(0x7f, 0x14, 0x22);
    return undefined;
  };
  await provider(ecu, [
    { request: "28 81 01", ecu: "tcu" },
    { security: 7 },
    { request: "11 01", ignore_silence: true },
    { wait_ms: 1 },
    { request: "14 FF FF FF", ignore_refusal: true },
  ]).provider.execute(bcmJob());
  assert.deepEqual(ecu.log.slice(2, -2), ["TCU 288101", "2707", "2707", "2707", "27080102", "1101", "14ffffff"]);
  ecu.disturb = ([sid, sub]) => (sid === 0x27 && sub === 8 ? Uint8Array.of(0x7f, 0x27, 0x35) : undefined);
  ecu.log.length = 0;
  await assert.rejects(provider(ecu, [{ security: 7 }, { request: "10 02" }]).provider.execute(bcmJob()), /0x35/);
  assert.ok(!ecu.log.includes("1002"));
});

test("rollback flashes the kept image, over a cut of its own; without one nothing is written", async () => {
  const ecu = new Ecu();
  const { provider: flasher, bulk } = provider(ecu);
  const old = Buffer.alloc(600_000, "old!");
  const key = { component: "bcm", category: CURRENT_IMAGE, id: "old" };
  const whole = async function* () {
    yield old;
  };
  await bulk.write({ ...key, name: "old.bin", mimetype: "application/octet-stream" }, 0, whole(), true);
  const notes = new Map<string, string>();
  await flasher.prepare(bcmJob(notes));
  await flasher.execute(bcmJob(notes));
  let blocks = 0;
  ecu.disturb = ([sid]) => (sid === 0x36 && ++blocks === 120 ? END() : undefined);
  await assert.rejects(flasher.rollback(bcmJob(notes)), /program ends/);
  ecu.log.length = 0;
  await flasher.rollback(bcmJob(notes));
  assert.ok(ecu.memory.subarray(0, old.length).equals(old));
  assert.equal(ecu.log.filter(isErase).length, 0, "goes on where it was");
  ecu.log.length = 0;
  await flasher.rollback(bcmJob(notes));
  assert.deepEqual(ecu.log, [], "once is enough");

  const gone = new Map<string, string>();
  await flasher.prepare(bcmJob(gone));
  await bulk.remove(key);
  await assert.rejects(flasher.execute(bcmJob(gone)), { kind: "conflict" });
  assert.deepEqual([ecu.log, gone.get("touched")], [[], undefined]);
  await flasher.rollback(bcmJob(gone));
  assert.deepEqual(ecu.log, [], "nothing was changed");
  const touched = new Map([["touched", "yes"]]);
  await assert.rejects(flasher.rollback(bcmJob(touched)), { kind: "conflict" });
  assert.deepEqual(ecu.log, ["all dtcsetting on"], "what can be made good is");
  ecu.memory.fill(0);
  await bulk.write({ ...key, name: "old.bin", mimetype: "application/octet-stream" }, 0, whole(), true);
  await flasher.rollback(bcmJob(touched));
  assert.ok(ecu.memory.subarray(0, old.length).equals(old), "by what an operator brings later");
});

test("an image that was deleted before the close leaves none to go back to, rather than one that is not on the ECU", async () => {
  const { provider: flasher, bulk } = provider(new Ecu());
  const key = { component: "bcm", category: CURRENT_IMAGE, id: "old" };
  await bulk.write({ ...key, name: "old", mimetype: "x/y" }, 0, (async function* () {})(), true);
  await flasher.close({ ...bcmJob(), artifact: undefined });
  assert.deepEqual(bulk.list("bcm", CURRENT_IMAGE), []);
});

test("a boot loader that does not know its version can be described, but is not what was wanted", async () => {
  const ecu = new Ecu();
  const { provider: flasher } = provider(ecu, STEPS, { version: { request: "22 F1 95" } });
  const signal = new AbortController().signal;
  assert.equal((await flasher.describe("bcm", signal)).version, "");
  ecu.disturb = () => Uint8Array.of(0x7f, 0x22, 0x31);
  assert.equal((await flasher.describe("bcm", signal)).version, undefined);
  await assert.rejects(flasher.verify({ ...bcmJob(), toVersion: "2.0" }), { kind: "ecuRefused" });
});

test("requests that find no room beside those of clients go again", async () => {
  const ecu = new Ecu();
  let full = 3;
  ecu.disturb = () => (full-- > 0 ? new Fault("overloaded", "Too many requests are waiting for BCM") : undefined);
  await provider(ecu).provider.execute(bcmJob());
  assert.ok(ecu.memory.subarray(0, IMAGE.length).equals(IMAGE));
  assert.equal(ecu.log.filter(isErase).length, 1);
});
