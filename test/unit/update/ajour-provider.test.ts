/** Campaigns over a device: the process dies at each report of it, and the same call comes again. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { AjourDevice, type AjourFlash, createFlash } from "#sim/ajour-device.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Assignments } from "#update/ajour/assignments.ts";
import { encodeStatus } from "#update/ajour/codec.ts";
import { Desk } from "#update/ajour/desk.ts";
import { Images } from "#update/ajour/images.ts";
import { AjourProvider } from "#update/ajour/provider.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import type { Artifact, UpdateJob } from "#update/software/provider.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const IDENTITY = { device: "bms-1", application: "default" };
const LIMITS = { defaultBlockBytes: 64, minBlockBytes: 16, maxBlockBytes: 64, pollS: 1, gatePollS: 1 };
const IMAGE_BYTES = 300;

interface Process {
  readonly desk: Desk;
  readonly assignments: Assignments;
  readonly provider: AjourProvider;
}

/** A node whose process can die: what is in the store stays. */
class Node {
  readonly #persistence = createMemoryPersistence();
  readonly #storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 16 << 20 });
  readonly bulk = new Bulk(this.#storage, new StorageBulkWriter(this.#storage, { maxBytes: 1 << 20, maxFiles: 100 }));
  process: Process = this.#start();
  #alive = new AbortController();
  #reports = 0;
  #diesAt = Number.POSITIVE_INFINITY;

  answer(report: Uint8Array): Uint8Array {
    const answer = this.process.desk.answer(IDENTITY, report);
    if (++this.#reports === this.#diesAt) this.die();
    return answer;
  }

  dieAfter(reports: number): void {
    this.#diesAt = this.#reports + reports;
  }

  die(): void {
    this.process = this.#start();
    this.#alive.abort(new Fault("notReady", "The program ends"));
    this.#alive = new AbortController();
  }

  /** A call, made again as often as the process dies in it. */
  async call(work: (provider: AjourProvider, signal: AbortSignal) => Promise<void>): Promise<void> {
    for (;;) {
      const { signal } = this.#alive;
      try {
        await work(this.process.provider, signal);
        return;
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  #start(): Process {
    const images = new Images(this.bulk, 2);
    const assignments = new Assignments(this.#persistence);
    const desk = new Desk({
      desired: () => assignments.get("bms-1@default"),
      images,
      clock: systemClock,
      limits: LIMITS,
      maxReportsPerS: 1_000,
      maxDevices: 10,
      onReport: () => {},
    });
    const provider = new AjourProvider({
      desk,
      assignments,
      images,
      clock: systemClock,
      configured: () => undefined,
      targets: { bms: { device: "bms-1@default", hardwareId: "r3" } },
      // nobody is silent here but by a stall of the machine
      offlineMs: 60_000,
      trialSilenceMs: 60_000,
      maxRefusals: 2,
      collect: () => images.keepOnly((sha256) => assignments.images.has(sha256)),
    });
    return { desk, assignments, provider };
  }
}

function artifactOf(bytes: Uint8Array): Artifact {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    name: "app.bin",
    sizeBytes: bytes.length,
    sha256,
    async *read(offset = 0) {
      yield bytes.subarray(offset);
    },
  };
}

function jobOf(bytes: Uint8Array, version: string, signal: AbortSignal): UpdateJob {
  return {
    campaign: `fw-${version}`,
    attempt: 1,
    component: "bms",
    artifact: artifactOf(bytes),
    toVersion: version,
    fromVersion: undefined,
    package: {},
    memory: { get: () => undefined, set: async () => {} },
    progress: ({ percent }) => assert.ok(percent >= 0 && percent <= 100),
    log: () => {},
    signal,
  };
}

function startDevice(t: TestContext, node: Node, flash: AjourFlash, boots = (_: string) => true): AjourDevice {
  const link = { ask: async (report: Uint8Array) => node.answer(report), close: async () => {} };
  const pace = { blockBytes: 64, backoffMs: 0, retryMs: 0, maxPollMs: 1 };
  const device = new AjourDevice(flash, { link, ...pace, boots });
  cleanup(t, () => device.stop());
  device.start();
  return device;
}

async function install(node: Node, bytes: Uint8Array, version: string): Promise<void> {
  await node.call(async (provider, signal) => provider.describe("bms", signal).then(() => undefined));
  await node.call((provider, signal) => provider.prepare(jobOf(bytes, version, signal)));
  await node.call((provider, signal) => provider.execute(jobOf(bytes, version, signal)));
}

async function keep(node: Node, bytes: Uint8Array, version: string): Promise<void> {
  await node.call((provider, signal) => provider.commit(jobOf(bytes, version, signal)));
  await node.call((provider, signal) => provider.close(jobOf(bytes, version, signal)));
}

const settled = (device: AjourDevice, node: Node): Promise<void> =>
  node.process.desk.until("bms-1@default", AbortSignal.timeout(60_000), () => !device.onTrial);

test("a campaign that loses its process at any report ends all new", async (t) => {
  const bytes = randomBytes(IMAGE_BYTES);
  for (let dies = 1; dies <= 12; dies++) {
    const node = new Node();
    const device = startDevice(t, node, createFlash("1.0"));
    node.dieAfter(dies);
    await install(node, bytes, "1.1");
    assert.equal(device.version, "1.1", `died at report ${dies}`);
    assert.equal(device.onTrial, true, "it is good only after the verdict");
    await keep(node, bytes, "1.1");
    await settled(device, node);
    assert.deepEqual(device.flash.active.image, bytes);
    await device.stop();
  }
});

test("a way back that loses its process at any report ends all old", async (t) => {
  const old = randomBytes(IMAGE_BYTES);
  const bytes = randomBytes(IMAGE_BYTES);
  for (let dies = 1; dies <= 12; dies++) {
    const node = new Node();
    const device = startDevice(t, node, createFlash("1.0"));
    await install(node, old, "1.1");
    await keep(node, old, "1.1");
    await settled(device, node);
    await install(node, bytes, "1.2");
    node.dieAfter(dies);
    await node.call((provider, signal) => provider.rollback(jobOf(bytes, "1.2", signal)));
    assert.equal(device.version, "1.1", `died at report ${dies}`);
    assert.deepEqual(device.flash.active.image, old);
    await node.call((provider, signal) => provider.rollback(jobOf(bytes, "1.2", signal)));
    assert.equal(node.bulk.list("x-ajour", "images").length, 1, "only what runs is kept");
    await device.stop();
  }
});

test("what a device is to an update", async (t) => {
  const node = new Node();
  const never = AbortSignal.timeout(10);
  await assert.rejects(node.process.provider.describe("bms", never));
  await assert.rejects(node.process.provider.describe("stranger", never), { kind: "misconfigured" });
  const device = startDevice(t, node, createFlash("1.0"));
  const signal = new AbortController().signal;
  const facts = { hardwareId: "r3", serial: "bms-1@default", supportsTrial: true };
  const before = await node.process.provider.describe("bms", signal);
  assert.deepEqual(before, { ...facts, version: "1.0", supportsRollback: false });
  const bytes = randomBytes(IMAGE_BYTES);
  await install(node, bytes, "1.1");
  await keep(node, bytes, "1.1");
  await settled(device, node);
  const after = await node.process.provider.describe("bms", signal);
  assert.deepEqual(after, { ...facts, version: "1.1", supportsRollback: true });
});

test("before execute nothing is swapped, and a way back changes nothing", async (t) => {
  const node = new Node();
  const device = startDevice(t, node, createFlash("1.0"));
  const bytes = randomBytes(IMAGE_BYTES);
  await node.call((provider, signal) => provider.describe("bms", signal).then(() => undefined));
  await node.call((provider, signal) => provider.prepare(jobOf(bytes, "1.1", signal)));
  for (let reports = 0; reports < 3; reports++) await settled(device, node);
  assert.equal(device.version, "1.0");
  await node.call((provider, signal) => provider.rollback(jobOf(bytes, "1.1", signal)));
  assert.equal(node.process.assignments.get("bms-1@default"), undefined);
  assert.equal(node.bulk.list("x-ajour", "images").length, 0);
  await assert.rejects(
    node.call((provider, signal) => provider.execute(jobOf(bytes, "1.1", signal))),
    { kind: "conflict" },
  );
});

test("an update that is deleted is offered no more; one that the device is on its way with goes on", async (t) => {
  const node = new Node();
  const device = startDevice(t, node, createFlash("1.0"));
  const bytes = randomBytes(IMAGE_BYTES);
  const left = () => [node.process.assignments.get("bms-1@default")?.gate, node.bulk.list("x-ajour", "images").length];
  const forget = (attempt: number) =>
    node.call((provider, signal) => provider.forget({ ...jobOf(bytes, "1.1", signal), attempt }));
  const prepare = () => node.call((provider, signal) => provider.prepare(jobOf(bytes, "1.1", signal)));
  await node.call((provider, signal) => provider.describe("bms", signal).then(() => undefined));
  await prepare();
  await forget(2);
  assert.deepEqual(left(), ["download", 1], "another update's is not touched");
  await forget(1);
  assert.deepEqual(left(), [undefined, 0]);
  await settled(device, node);
  assert.equal(device.version, "1.0");
  await prepare();
  await node.call((provider, signal) => provider.execute(jobOf(bytes, "1.1", signal)));
  await forget(1);
  assert.deepEqual(left(), ["trial", 1]);
});

test("a device that drops the image again fails, and is not sent it without end", async (t) => {
  const node = new Node();
  const device = startDevice(t, node, createFlash("1.0"), (version) => version !== "1.1");
  const bytes = randomBytes(IMAGE_BYTES);
  await assert.rejects(install(node, bytes, "1.1"), { kind: "conflict", message: /did not take/ });
  await node.call((provider, signal) => provider.rollback(jobOf(bytes, "1.1", signal)));
  assert.equal(device.version, "1.0");
});

test("a device that does not wait for an answer was told nothing", async () => {
  const node = new Node();
  const { desk, provider } = node.process;
  const bytes = randomBytes(IMAGE_BYTES);
  const job = jobOf(bytes, "1.1", new AbortController().signal);
  const report = (version: string, offset?: number) =>
    encodeStatus(
      {
        version: Buffer.from(version),
        update: offset === undefined ? undefined : { version: Buffer.from("1.1"), offset },
      },
      "packed",
    );
  desk.hear(IDENTITY, report("1.0"));
  const prepared = provider.prepare(job);
  await until(() => node.process.assignments.get("bms-1@default") !== undefined);
  desk.hear(IDENTITY, report("1.0", IMAGE_BYTES));
  await prepared;
  await Promise.all([
    provider.execute(job),
    until(() => isReleased(node)).then(() => desk.hear(IDENTITY, report("1.1"))),
  ]);
  let good = false;
  const committed = provider.commit(job).then(() => {
    good = true;
  });
  await until(() => node.process.assignments.get("bms-1@default")?.gate === "open");
  desk.hear(IDENTITY, report("1.1"));
  await new Promise(setImmediate);
  assert.equal(good, false, "sync was not sent");
  node.answer(report("1.1"));
  await committed;
});

const isReleased = (node: Node): boolean => node.process.assignments.get("bms-1@default")?.released === true;
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

test("images that the protocol cannot carry are refused before anything is stored", async (t) => {
  const node = new Node();
  startDevice(t, node, createFlash("1.0"));
  const job = jobOf(randomBytes(1), "1.1", new AbortController().signal);
  const { provider } = node.process;
  await assert.rejects(provider.prepare({ ...job, artifact: undefined }), { kind: "unprocessable" });
  const empty = { ...artifactOf(new Uint8Array(0)) };
  await assert.rejects(provider.prepare({ ...job, artifact: empty }), { kind: "unprocessable" });
  const wrong = { ...artifactOf(randomBytes(5)), sha256: "0".repeat(64) };
  await provider.describe("bms", job.signal);
  await assert.rejects(provider.prepare({ ...job, artifact: wrong }), { kind: "invalidData" });
  assert.equal(node.process.assignments.get("bms-1@default"), undefined);
  assert.equal(node.bulk.list("x-ajour", "images").length, 0);
});

test("an image that is not on record yet is removed by nobody, and one on its way out is stored again", async () => {
  const { bulk } = new Node();
  const images = new Images(bulk, 2);
  const bytes = randomBytes(IMAGE_BYTES);
  const artifact = artifactOf(bytes);
  const content = () => ({ name: artifact.name, sha256: artifact.sha256, read: (from: number) => artifact.read(from) });
  let wanted = false;
  const collect = () => images.keepOnly(() => wanted);
  const size = await images.put(content(), async (sizeBytes) => {
    await collect();
    wanted = true;
    return sizeBytes;
  });
  assert.equal(size, IMAGE_BYTES);
  assert.equal(images.sizeOf(artifact.sha256), IMAGE_BYTES);
  wanted = false;
  // two at once: neither fails because the other was first
  const removals = [collect(), collect()];
  assert.equal(await images.put(content(), (sizeBytes) => sizeBytes), IMAGE_BYTES);
  await Promise.all(removals);
  assert.equal(images.sizeOf(artifact.sha256), IMAGE_BYTES);
  assert.deepEqual(images.read(artifact.sha256, 0, IMAGE_BYTES), bytes);
});
