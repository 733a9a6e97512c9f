/** What a primary handed on to a secondary does not stay for ever: nobody else tidies up there. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { dropRelayed, dropSpare, oldestRelayed, RELAYED, roomForRelayed } from "#update/software/campaign/relayed.ts";
import { Staging } from "#update/software/campaign/staging.ts";
import { type CampaignRecord, type CampaignState, freshMember } from "#update/software/campaign/states.ts";
import { Updates } from "#update/software/updates.ts";
import { freshPersistence, JumpClock, startProcess, World } from "./software-model.ts";

const NOW = Date.now();
/** Bytes that the store has left. */
const ROOM = 1_000;

function update(id: string, state: CampaignState, createdAtMs: number, more: object = {}): CampaignRecord {
  return {
    id,
    policy: "coordinated",
    state,
    attempt: 1,
    thenExecute: false,
    members: [freshMember("hud", "idle")],
    auditSeq: 0,
    changedAtMs: createdAtMs,
    createdAtMs,
    package: { id, "x-relay": "1:", artifact_uri: `/components/hud/bulk-data/${RELAYED}/${id}`, ...more },
  };
}

async function storeWith(...ids: readonly string[]) {
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 1 << 20 });
  const writer = new StorageBulkWriter(storage, { maxBytes: 1 << 20, maxFiles: 20 });
  const bulk = new Bulk(storage, writer, undefined, () => ROOM);
  const put = async (id: string, category: string) => {
    const chunks = (async function* () {
      yield Buffer.from(id);
    })();
    await bulk.write({ component: "hud", category, id, name: id, mimetype: "x/y" }, 0, chunks, true);
  };
  for (const id of ids) await put(id, RELAYED);
  await put("mine", "firmware-artifacts");
  return {
    bulk,
    left: () =>
      bulk
        .list("hud", RELAYED)
        .map(({ id }) => id)
        .sort(),
  };
}

const LATER = NOW + 60_000;

for (const [what, ended, others, left] of [
  ["a success takes its own and what was before it", update("a", "completed", LATER), [], []],
  ["so does an update that went back", update("a", "rolledBack", LATER), [], []],
  ["a failed one keeps its own for the next attempt", update("a", "failed", LATER), [], ["a"]],
  ["one under way keeps its image", update("a", "completed", LATER), [update("b", "trial", NOW)], ["b"]],
  ["so does one in need of service", update("a", "completed", LATER), [update("b", "needsService", NOW)], ["b"]],
  [
    "one prepared before is void, as its place was taken",
    update("a", "completed", LATER),
    [update("b", "prepared", NOW)],
    [],
  ],
  ["one registered since stays", update("a", "completed", LATER), [update("b", "registered", LATER + 1)], ["b"]],
  ["what was brought since stays", update("a", "completed", NOW - 60_000), [], ["b"]],
  [
    "one that has begun anew meanwhile keeps its own",
    update("a", "rolledBack", LATER),
    [update("a", "preparing", LATER)],
    ["a"],
  ],
  [
    "one that was registered anew meanwhile too",
    update("a", "rolledBack", LATER),
    [update("a", "registered", LATER + 1)],
    ["a"],
  ],
  [
    "of the same image",
    update("a", "completed", LATER),
    [update("c", "executing", NOW, { artifact_uri: `/components/hud/bulk-data/${RELAYED}/a` })],
    ["a"],
  ],
  [
    "of the same image, also where it was only prepared",
    update("a", "completed", LATER),
    [update("c", "prepared", NOW, { artifact_uri: `/components/hud/bulk-data/${RELAYED}/a` })],
    ["a"],
  ],
  [
    "what clients registered removes nothing",
    update("a", "completed", LATER, { "x-relay": undefined }),
    [],
    ["a", "b"],
  ],
] as const) {
  test(`images handed on: ${what}`, async () => {
    const { bulk, left: ids } = await storeWith("a", "b");
    await dropRelayed(bulk, [ended, ...others], ended);
    assert.deepEqual(ids(), left);
    assert.equal(bulk.list("hud", "firmware-artifacts").length, 1, "uploads are their owner's");
    await dropRelayed(bulk, [ended, ...others], ended);
    assert.deepEqual(ids(), left);
  });
}

test("images handed on: a deleted update leaves none, whatever it was", async () => {
  const { bulk, left } = await storeWith("a");
  await dropRelayed(bulk, [], update("a", "failed", LATER), true);
  assert.deepEqual(left(), []);
});

test("images handed on: the next one takes the room of those that nobody needs, and of no other", async () => {
  const { bulk, left } = await storeWith("failed", "cut", "staged", "running");
  const records = [update("failed", "failed", 1), update("staged", "prepared", 1), update("running", "trial", 1)];
  assert.equal(roomForRelayed(bulk, records, "hud"), ROOM + ["failed", "cut", "staged"].join("").length);
  const next = { component: "hud", category: RELAYED, id: "failed" };
  await dropSpare(bulk, records, { ...next, category: "firmware-artifacts" });
  assert.equal(left().length, 4, "an upload of a client takes nothing away");
  await dropSpare(bulk, records, next);
  assert.deepEqual(left(), ["failed", "running"], "the same image again goes on where it was");
  await dropSpare(bulk, records, { ...next, id: "new" });
  assert.deepEqual(left(), ["running"]);
  assert.equal(roomForRelayed(bulk, records, "hud"), ROOM);
});

test("the update that gives way is the oldest that was handed on and is over", () => {
  const records = [
    update("own", "completed", 1, { "x-relay": undefined }),
    update("busy", "trial", 2),
    update("staged", "prepared", 3),
    update("late", "rolledBack", 5),
    update("early", "completed", 4),
  ];
  assert.equal(oldestRelayed(records)?.id, "early");
  assert.equal(oldestRelayed(records.slice(0, 3)), undefined);
});

test("an update that begins anew while its image is being removed is asked to hand it on again", async () => {
  const { bulk, left } = await storeWith("own", "older");
  const key = { component: "hud", category: RELAYED, id: "own" };
  const ended = update("own", "completed", LATER);
  const dropped = dropRelayed(bulk, [ended], ended);
  assert.equal(bulk.find(key), undefined, "at once, not when it is gone");
  const bytes = (async function* () {
    yield Buffer.from("again");
  })();
  const info = await bulk.write({ ...key, name: "own", mimetype: "x/y" }, 0, bytes, true);
  await dropped;
  assert.equal(info.complete, true);
  assert.deepEqual(left(), ["own"], "the upload waits for the removal");
  assert.equal(bulk.find(key)?.size, 5);
});

test("an image that is still being written, by whomever, keeps no other from being handed on", async () => {
  const { bulk, left } = await storeWith("cut");
  const key = { component: "hud", category: RELAYED, id: "dead" };
  const connection = new EventEmitter();
  const bytes = (async function* () {
    yield Buffer.from("half");
    connection.emit("silent");
    await once(connection, "close");
  })();
  const silent = once(connection, "silent");
  const written = bulk.write({ ...key, name: "dead", mimetype: "x/y" }, 0, bytes, true);
  await silent;
  await dropSpare(bulk, [], { ...key, id: "new" });
  assert.deepEqual(left(), ["dead"]);
  connection.emit("close");
  await written;
});

test("updates that are handed on at once each find one that gives way", async () => {
  const { bulk } = await storeWith();
  const world = new World([], [], []);
  const { campaigns, journal } = await startProcess(freshPersistence(), world, new JumpClock());
  for (const id of ["old", "older"]) await campaigns.register(update(id, "completed", 1), "primary");
  const updates = new Updates({
    journal,
    campaigns,
    bulk,
    staging: new Staging({ bulk, repository: undefined, timeoutMs: 1 }),
    role: "secondary",
    verdictTimeoutMs: 1,
    ownComponents: ["hud"],
    implicitPrepare: false,
    maxPackages: 2,
    maxSubscribers: 1,
    providerOf: () => undefined,
    knows: () => true,
    discover: async () => {},
    describeTimeoutMs: 1,
    forget: () => async () => {},
  });
  const body = (id: string) => ({ id, updated_components: ["hud"], "x-relay": "1:" });
  await Promise.all(["new", "newer"].map((id) => updates.register(body(id), "primary")));
  assert.deepEqual(updates.list({}), ["new", "newer"]);
  await campaigns.stop();
});
