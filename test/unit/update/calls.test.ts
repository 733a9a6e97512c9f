/** What is asked before anything is written anywhere, and again before the new software is started. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { test } from "node:test";
import type { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { type CallsOptions, createCalls } from "#update/software/campaign/calls.ts";
import type { CampaignRecord, Member } from "#update/software/campaign/states.ts";
import { canonical } from "#update/software/canonical.ts";
import { BUCKETS } from "#update/software/journal/chain.ts";
import { Journal } from "#update/software/journal/journal.ts";
import type { TargetFacts, TargetFault, UpdateProvider } from "#update/software/provider.ts";

const NOW = Date.parse("2030-06-01T00:00:00Z");
const RUN = { progress: () => undefined, signal: new AbortController().signal };
const IMAGE = { component: "bcm", category: "c", id: "i", complete: true, size: 10, sha256: "a".repeat(64) };
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

interface World {
  facts: Record<string, Partial<TargetFacts>>;
  holds: boolean;
  image: typeof IMAGE | undefined;
  faults: readonly TargetFault[];
  resetReason: string | undefined;
  silent: readonly string[];
  nowMs: number;
}

/** A node with components bcm and hud; what it did to them is in `done`. */
async function nodeOf(world: Partial<World> = {}, options: Partial<CallsOptions> = {}) {
  const now: World = {
    facts: {},
    holds: true,
    image: IMAGE,
    faults: [],
    resetReason: undefined,
    silent: [],
    nowMs: NOW,
    ...world,
  };
  const done: string[] = [];
  /** Names that were searched for, call by call. */
  const searches: string[] = [];
  const persistence = createMemoryPersistence();
  const journal = new Journal({ persistence, nowMs: () => now.nowMs, maxRecords: 100 });
  await journal.open();
  const provider = {
    kind: "test",
    describe: async (component: string) => ({ supportsRollback: true, supportsTrial: true, ...now.facts[component] }),
    prepare: async ({ component }: { component: string }) => void done.push(`prepare ${component}`),
    execute: async ({ component }: { component: string }) => void done.push(`execute ${component}`),
    verify: async () => undefined,
    faults: async () => now.faults,
    rollback: async ({ component }: { component: string }) => void done.push(`rollback ${component}`),
    speaksTo: (component: string) => [`${component}-gateway`, "group"],
  } as unknown as UpdateProvider;
  let signedMs = 0;
  const calls = createCalls({
    journal,
    bulk: { find: () => now.image, artifact: (image: typeof IMAGE) => image } as never,
    staging: {
      claim: async ({ manifest, signatures }: { manifest: unknown; signatures: unknown }) => ({ manifest, signatures }),
      locate: () => undefined,
      image: async () => now.image,
    } as never,
    clock: systemClock,
    nowMs: () => now.nowMs,
    gate: { bootTimeoutMs: 1, intervalMs: 1, soakMs: 0, minPolls: 1, maxFaults: 0, maxSeverity: 0 },
    trust: {
      mode: "optional",
      keys: [publicKey],
      tuf: undefined,
      nowMs: () => now.nowMs,
      signedTime: {
        read: () => signedMs,
        async write(timeMs) {
          signedMs = timeMs;
        },
      },
    },
    allowDowngrade: false,
    allowExpired: false,
    verdictMs: 1_000,
    providerOf: (component) => (component === "ghost" ? undefined : provider),
    silent: () => now.silent,
    holds: async () => now.holds,
    searched: async (names) => {
      searches.push(`${names.join(" ")} before ${done.length}`);
    },
    resetReason: () => (now.resetReason === undefined ? undefined : Promise.resolve(now.resetReason)),
    log: () => undefined,
    ...options,
  });
  return { now, done, searches, calls, journal, persistence };
}

const memberOf = (component: string): Member => ({ component, state: "preparing", supportsTrial: true, restarts: 0 });

function recordOf(more: object = {}, components: readonly string[] = ["bcm", "hud"], attempt = 1): CampaignRecord {
  return {
    id: "fw",
    attempt,
    members: components.map(memberOf),
    package: { id: "fw", updated_components: components, rollback_policy: "coordinated", ...more },
  } as unknown as CampaignRecord;
}

const saysOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "ok",
    (error: Fault) => error.message,
  );

const target = (more: object = {}) => ({ sha256: IMAGE.sha256, length: IMAGE.size, ...more });
const manifest = (hud: object = {}, more: object = {}) => ({
  "x-manifest": { id: "fw", targets: { bcm: target(), hud: target(hud) }, ...more },
});
const NO_ROLLBACK = { hud: { supportsRollback: false } };
const FLOOR = { update: "old", at: "", version: "2.0", floor: "2.0", counter: 5 };

interface Row {
  readonly what: string;
  readonly world?: Partial<World>;
  readonly package?: object;
  readonly components?: readonly string[];
  readonly says: RegExp;
}

const REFUSED: readonly Row[] = [
  { what: "nothing is wrong", says: /^ok$/ },
  { what: "a component that takes no updates", components: ["bcm", "ghost"], says: /No update provider .* ghost$/ },
  {
    what: "a component that may be behind a server that is silent",
    world: { silent: ["https://camera/api/v1: certificate has expired"] },
    components: ["bcm", "ghost"],
    says: /ghost; .*do not answer: https:\/\/camera\/api\/v1: certificate has expired$/,
  },
  {
    what: "other hardware",
    world: { facts: { hud: { hardwareId: "hud-r2" } } },
    package: manifest({ hardware_id: "hud-r3" }),
    says: /for hardware hud-r3, hud is hud-r2/,
  },
  { what: "unknown hardware", package: manifest({ hardware_ids: ["a", "b"] }), says: /a, b, hud is unknown/ },
  { what: "no way back", world: { facts: NO_ROLLBACK }, says: /hud could not go back/ },
  {
    what: "no way back, allowed, but with a trial and so not last",
    world: { facts: NO_ROLLBACK },
    package: { "x-allow-no-rollback": ["hud"] },
    says: /hud could not go back/,
  },
  {
    what: "no way back, allowed for the last one",
    world: { facts: { hud: { supportsRollback: false, supportsTrial: false } } },
    package: { "x-allow-no-rollback": ["hud"] },
    says: /^ok$/,
  },
  {
    what: "no way back, where each decides for itself",
    world: { facts: NO_ROLLBACK },
    package: { rollback_policy: "independent" },
    says: /^ok$/,
  },
  {
    what: "no room",
    world: { facts: { hud: { freeBytes: 9 } } },
    package: manifest(),
    says: /room for 9 bytes, the image has 10/,
  },
  { what: "just room", world: { facts: { hud: { freeBytes: 10 } } }, package: manifest(), says: /^ok$/ },
  {
    what: "a watchdog shorter than the way of a verdict",
    world: { facts: { hud: { verdictTimeoutMs: 999 } } },
    says: /hud waits 999 ms for a verdict, which may take 1000 ms/,
  },
  { what: "a watchdog that is long enough", world: { facts: { hud: { verdictTimeoutMs: 1_000 } } }, says: /^ok$/ },
  {
    what: "a precondition",
    world: { holds: false },
    package: { "x-preconditions": [{ component: "bcm", data: "Speed", max: 0 }] },
    says: /Precondition not met .*bcm\/Speed/,
  },
  {
    what: "a version below the installed one",
    world: { facts: { hud: { version: "9" } } },
    package: manifest({ version: "8" }),
    says: /8 is older than 9/,
  },
  {
    what: "no image for one",
    package: { "x-manifest": { id: "fw", targets: { bcm: target() } } },
    says: /no image for component hud/,
  },
  {
    what: "a signature by nobody",
    package: { ...manifest(), "x-signature": Buffer.alloc(64).toString("base64") },
    says: /No trusted key/,
  },
];

for (const { what, world, package: more, components, says } of REFUSED) {
  test(`before anything is written on any component: ${what}`, async () => {
    const { calls, done } = await nodeOf(world);
    const record = recordOf(more, components);
    const ends = await Promise.all(record.members.map((member) => saysOf(calls.prepare(record, member, RUN))));
    const refused = ends.filter((end) => end !== "ok");
    assert.match(refused.at(-1) ?? "ok", says);
    assert.deepEqual(done, refused.length === 0 ? record.members.map(({ component }) => `prepare ${component}`) : []);
    if (refused.length === 0) return;
    assert.equal(refused.length, ends.length, "nothing is staged where another cannot be updated");
    const others = refused.filter((end) => end.startsWith("nothing is staged, because"));
    assert.ok(others.length < refused.length, "one names its own reason");
  });
}

test("another package under the id of one that was deleted is judged by itself", async () => {
  const { calls, persistence } = await nodeOf();
  await persistence.set(BUCKETS.installed, "hud", JSON.stringify(FLOOR));
  const [good, old] = ["2.1", "1.9"].map((version) => recordOf(manifest({ version, release_counter: 5 })));
  // deleted before the other member had its turn
  assert.equal(await saysOf(calls.prepare(good!, good!.members[0]!, RUN)), "ok");
  assert.match(await saysOf(calls.prepare(old!, old!.members[1]!, RUN)), /1\.9 is older than 2\.0/);
});

test("a new attempt asks anew", async () => {
  const { calls, now, done } = await nodeOf({ facts: NO_ROLLBACK });
  const [bcm] = recordOf().members as [Member];
  assert.match(await saysOf(calls.prepare(recordOf(), bcm, RUN)), /because hud cannot be updated/);
  now.facts = {};
  assert.equal(await saysOf(calls.prepare(recordOf({}, undefined, 2), bcm, RUN)), "ok");
  assert.deepEqual(done, ["prepare bcm"]);
});

const FLOORS: readonly [what: string, more: object, says: RegExp][] = [
  ["the same version", manifest({ version: "2.0" }), /counter/],
  ["the same version and counter", manifest({ version: "2.0", release_counter: 5 }), /^ok$/],
  ["an older version", manifest({ version: "1.9", release_counter: 6 }), /1\.9 is older than 2\.0/],
  ["a lower counter", manifest({ version: "2.1", release_counter: 4 }), /counter 4 is below 5/],
  ["no version at all", manifest({ release_counter: 6 }), /proves no version/],
  ["a version beside an unsigned manifest", { ...manifest({ release_counter: 6 }), target_version: "3.0" }, /^ok$/],
];
for (const [what, more, says] of FLOORS) {
  test(`no way below what was installed: ${what}`, async () => {
    const { calls, persistence } = await nodeOf();
    await persistence.set(BUCKETS.installed, "hud", JSON.stringify(FLOOR));
    const record = recordOf(more);
    assert.match(await saysOf(calls.prepare(record, record.members[1]!, RUN)), says);
  });
}

function signed(more: object, key: KeyObject = privateKey): Record<string, unknown> {
  const made = { id: "fw", targets: { bcm: target(), hud: target() }, ...more };
  return { "x-manifest": made, "x-signature": sign(null, Buffer.from(canonical(made)), key).toString("base64") };
}

test("beside a signature only what is signed counts", async () => {
  const { calls, persistence } = await nodeOf();
  await persistence.set(BUCKETS.installed, "hud", JSON.stringify({ ...FLOOR, counter: undefined }));
  const replayed = recordOf({ ...signed({}), target_version: "99.0" });
  assert.match(await saysOf(calls.prepare(replayed, replayed.members[1]!, RUN)), /proves no version/);
});

test("any byte of a signature, any word of what it is over: changed, it is refused before anything is staged", async () => {
  const body = signed({ version: "1.0" });
  const signature = Buffer.from(String(body["x-signature"]), "base64");
  const flipped = [...signature.keys()].map((at) => {
    const bytes = Uint8Array.from(signature, (byte, i) => (i === at ? byte ^ 1 : byte));
    return { ...body, "x-signature": Buffer.from(bytes).toString("base64") };
  });
  const made = body["x-manifest"] as Record<string, object>;
  const words = [
    { ...made, version: "1.1" },
    { ...made, expires: "2099-01-01T00:00:00Z" },
    { ...made, targets: { ...made.targets, bcm: target({ sha256: "b".repeat(64) }) } },
    { ...made, targets: { ...made.targets, bcm: target({ length: 11 }) } },
    { ...made, targets: { ...made.targets, bcm: target({ hardware_id: "any" }) } },
    { ...made, targets: { ...made.targets, bcm: target({ release_counter: 99 }) } },
  ].map((manifest) => ({ ...body, "x-manifest": manifest }));
  const { calls, done } = await nodeOf();
  for (const [attempt, more] of [...flipped, ...words].entries()) {
    const record = recordOf(more, undefined, attempt + 1);
    assert.match(await saysOf(calls.prepare(record, record.members[0]!, RUN)), /No trusted key/, JSON.stringify(more));
  }
  assert.deepEqual(done, []);
});

test("a clock that was set back brings no expired manifest to life; nor does a stranger's word move it", async () => {
  const { calls, now } = await nodeOf();
  const prepare = (more: object, attempt: number) => {
    const record = recordOf(more, undefined, attempt);
    return saysOf(calls.prepare(record, record.members[0]!, RUN));
  };
  const old = signed({ issued: "2029-01-01T00:00:00Z", expires: "2030-01-01T00:00:00Z" });
  const { "x-manifest": far } = signed({ issued: "2040-01-01T00:00:00Z" });
  assert.match(await prepare(old, 1), /expired at 2030/);
  now.nowMs = Date.parse("2029-06-01T00:00:00Z");
  assert.equal(await prepare({ "x-manifest": far }, 2), "ok");
  assert.equal(await prepare(old, 3), "ok", "nothing signed has told that it is later");
  assert.equal(await prepare(signed({ issued: "2030-05-01T00:00:00Z" }), 4), "ok");
  assert.match(await prepare(old, 5), /expired at 2030/);
});

test("before the switch: conditions, floor, and the very image that was verified", async () => {
  const more = { "x-preconditions": [{ component: "bcm", data: "Speed", max: 0 }] };
  const prepared: Member = { ...memberOf("bcm"), toVersion: "2.0", toCounter: 5, sha256: IMAGE.sha256 };
  const execute = async (change: (now: World, disk: Awaited<ReturnType<typeof nodeOf>>["persistence"]) => unknown) => {
    const { calls, now, done, persistence } = await nodeOf();
    await calls.prepare(recordOf(more), memberOf("bcm"), RUN);
    done.length = 0;
    await change(now, persistence);
    return [await saysOf(calls.execute(recordOf(more), prepared, RUN)), done.length] as const;
  };
  assert.deepEqual(await execute(() => undefined), ["ok", 1]);
  const refusals = [
    execute((now) => Object.assign(now, { holds: false })),
    execute((now) => Object.assign(now, { image: { ...IMAGE, sha256: "b".repeat(64) } })),
    execute((now) => Object.assign(now, { image: undefined })),
    execute((_, disk) => disk.set(BUCKETS.installed, "bcm", JSON.stringify({ ...FLOOR, floor: "2.1" }))),
    execute((_, disk) => disk.set(BUCKETS.installed, "bcm", JSON.stringify({ ...FLOOR, counter: 6 }))),
  ];
  const says = [
    /Precondition not met/,
    /no longer the one that was verified/,
    /no longer the one/,
    /older than 2\.1/,
    /counter 5 is below 6/,
  ];
  for (const [i, refusal] of refusals.entries()) {
    const [message, started] = await refusal;
    assert.match(message, says[i]!);
    assert.equal(started, 0);
  }
});

test("what a target was like is noted when it executes first, and health samples go on record", async () => {
  const record = recordOf();
  const member = memberOf("bcm");
  const { calls, now, journal } = await nodeOf({ resetReason: "power on" });
  await calls.prepare(record, member, RUN);
  now.faults = [{ code: "B", active: true }];
  await calls.execute(record, { ...member, sha256: IMAGE.sha256 }, RUN);
  await calls.gate(record, member, RUN);
  now.faults = [...now.faults, { code: "N", active: true }];
  await calls.execute(record, { ...member, sha256: IMAGE.sha256 }, RUN);
  assert.match(await saysOf(calls.gate(record, member, RUN)), /new faults N/);
  const samples = [...journal.records()].map(({ event, component, result }) => [event, component, result]);
  assert.deepEqual(samples, [
    ["gateSample", "bcm", "faults B, reset reason power on"],
    ["gateSample", "bcm", "faults B, N, reset reason power on"],
  ]);
  assert.ok(journal.verify().whole);
});

test("right after a start, what a call speaks to is searched for before anything is asked", async () => {
  const { calls, searches, done } = await nodeOf();
  const record = recordOf({ "x-preconditions": [{ component: "ESP", data: "Speed", max: 0 }] });
  const [bcm] = record.members as [Member];
  await Promise.all(record.members.map((member) => calls.prepare(record, member, RUN)));
  const all = "bcm bcm-gateway group hud hud-gateway group ESP before 0";
  assert.deepEqual(searches.splice(0), [all, all], "all are described before any is staged");
  for (const call of ["execute", "gate", "rollback"] as const) await calls[call](record, bcm, RUN);
  assert.deepEqual(searches, ["bcm bcm-gateway group ESP before 2", "bcm before 3", "bcm bcm-gateway group before 3"]);
  assert.deepEqual(done.slice(-2), ["execute bcm", "rollback bcm"]);
});
