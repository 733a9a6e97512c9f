/** Attacks on TUF metadata (specification 1.4 and 5; Uptane 5.4.4), each with keys made here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultKind } from "#core/errors.ts";
import type { TufFiles } from "#update/software/trust/tuf.ts";
import { manifestOf } from "#update/software/trust/tuf-manifest.ts";
import { fetchTufFiles } from "#update/software/trust/tuf-repository.ts";
import fc from "../../fixtures/properties.ts";
import { EARLIER, kindOf, NOW, type Node, newKeys, nodeOf, repositoryOf, rootOf, sameKey } from "./tuf-support.ts";

const keys = newKeys();
const ROOT = rootOf(keys);
const OTHER = newKeys();
const SEEN = { timestamp: 5, snapshot: 5, targets: 5 };

/** A node that has seen version 5 of all. */
async function experienced(): Promise<Node> {
  const node = nodeOf(ROOT);
  await node.verify(repositoryOf({ keys, versions: SEEN }));
  return node;
}

interface Attack {
  readonly what: string;
  readonly files: TufFiles;
  readonly kind: FaultKind | "ok";
  readonly says?: RegExp;
}

const newer = (more: Partial<Parameters<typeof repositoryOf>[0]> = {}) =>
  repositoryOf({ keys, versions: { timestamp: 6, snapshot: 6, targets: 6 }, ...more });
const mixed = repositoryOf({
  keys,
  versions: { timestamp: 6, snapshot: 6, targets: 6 },
  files: { x: { content: "x" } },
});

const ATTACKS: readonly Attack[] = [
  { what: "none: something newer", files: newer(), kind: "ok" },
  { what: "none: the same again", files: repositoryOf({ keys, versions: SEEN }), kind: "ok" },
  {
    what: "arbitrary software: targets by a stranger",
    files: newer({ by: { targets: OTHER.targets } }),
    kind: "invalidSignature",
    says: /targets was signed by 0\/2/,
  },
  {
    what: "threshold not met: one of two targets keys",
    files: newer({ by: { targets: keys.targets.slice(0, 1) } }),
    kind: "invalidSignature",
    says: /targets was signed by 1\/2/,
  },
  {
    what: "one key twice is one key",
    files: newer({ by: { targets: [keys.targets[0]!, keys.targets[0]!] } }),
    kind: "invalidSignature",
  },
  { what: "timestamp by a stranger", files: newer({ by: { timestamp: OTHER.timestamp } }), kind: "invalidSignature" },
  { what: "snapshot by a stranger", files: newer({ by: { snapshot: OTHER.snapshot } }), kind: "invalidSignature" },
  {
    what: "a key of another role",
    files: newer({ by: { targets: keys.root } }),
    kind: "invalidSignature",
  },
  ...(["timestamp", "snapshot", "targets"] as const).map((role) => ({
    what: `freeze: ${role} expired`,
    files: newer({ expires: { [role]: EARLIER } }),
    kind: "invalidData" as const,
    says: new RegExp(`Freeze: the ${role} expired`),
  })),
  {
    what: "freeze: an expiry that is no time",
    files: newer({ expires: { timestamp: "never" } }),
    kind: "invalidData",
    says: /Freeze/,
  },
  {
    what: "rollback: an older timestamp",
    files: repositoryOf({ keys, versions: { ...SEEN, timestamp: 4 } }),
    kind: "conflict",
    says: /Rollback: version 4 of timestamp is older than 5/,
  },
  {
    what: "rollback: an older snapshot behind a newer timestamp",
    files: repositoryOf({ keys, versions: { ...SEEN, timestamp: 6, snapshot: 4 } }),
    kind: "conflict",
    says: /of snapshot is older/,
  },
  {
    what: "rollback: older targets behind a newer snapshot",
    files: repositoryOf({ keys, versions: { timestamp: 6, snapshot: 6, targets: 4 } }),
    kind: "conflict",
    says: /targets\.json is older/,
  },
  {
    what: "replay of all that was good once",
    files: repositoryOf({ keys, versions: { timestamp: 3, snapshot: 3, targets: 3 } }),
    kind: "conflict",
    says: /Rollback/,
  },
  {
    what: "mix and match: a snapshot from elsewhere",
    files: { ...newer(), snapshot: mixed.snapshot },
    kind: "invalidData",
    says: /Mix and match: the snapshot/,
  },
  {
    what: "mix and match: targets from elsewhere",
    files: { ...newer(), targets: mixed.targets },
    kind: "invalidData",
    says: /Mix and match: the targets/,
  },
  {
    what: "endless data: targets with a tail",
    files: { ...newer(), targets: `${newer().targets}   ` },
    kind: "invalidData",
    says: /longer than/,
  },
  { what: "no metadata at all", files: { root: [], timestamp: "", snapshot: "", targets: "" }, kind: "invalidData" },
  { what: "roles swapped", files: { ...newer(), timestamp: newer().snapshot }, kind: "invalidData" },
  { what: "a root by strangers", files: { ...newer(), root: [rootOf(OTHER, 2)] }, kind: "invalidSignature" },
  {
    what: "a root signed by one of two",
    files: { ...newer(), root: [rootOf(keys, 2, keys.root.slice(0, 1))] },
    kind: "invalidSignature",
  },
  {
    what: "a new root the old keys did not sign",
    files: { ...newer(), root: [rootOf({ ...keys, root: OTHER.root }, 2, OTHER.root)] },
    kind: "invalidSignature",
  },
  {
    what: "a new root its own keys did not sign",
    files: { ...newer(), root: [rootOf({ ...keys, root: OTHER.root }, 2, keys.root)] },
    kind: "invalidSignature",
  },
  {
    what: "a root left out",
    files: { ...newer(), root: [rootOf(keys, 3)] },
    kind: "invalidData",
    says: /Root 2 is missing/,
  },
  {
    what: "an expired root",
    files: { ...newer(), root: [rootOf(keys, 2, keys.root, EARLIER)] },
    kind: "invalidData",
    says: /Freeze: the root expired/,
  },
  {
    what: "one key under two ids in a new root",
    files: {
      ...newer(),
      root: [rootOf({ ...keys, timestamp: [keys.timestamp[0]!, sameKey(keys.timestamp[0]!)] }, 2)],
    },
    kind: "invalidSignature",
    says: /one key under two ids/,
  },
];

for (const { what, files, kind, says = /^/ } of ATTACKS) {
  test(what, async () => {
    const node = await experienced();
    const [found, message] = await kindOf(node.verify(files));
    assert.equal(found, kind, message);
    assert.match(message, says);
    const [after] = await kindOf(node.verify(newer({ versions: { timestamp: 7, snapshot: 7, targets: 7 } })));
    assert.equal(after, /root expired/.test(message) ? "invalidData" : "ok", "it can be updated again");
  });
}

test("keys change: the new root is signed by the old and the new; what the old keys saw may go back no further", async () => {
  const node = await experienced();
  const second = { ...OTHER, targets: keys.targets };
  const roots = [rootOf(second, 2, [...keys.root, ...second.root]), rootOf(second, 3)];
  // the old timestamp key was stolen and drove the version up: with the new keys it begins again
  const files = { ...repositoryOf({ keys: second, versions: { timestamp: 1, snapshot: 1, targets: 1 } }), root: roots };
  assert.equal((await node.verify(files)).targets.version, 1);
  assert.equal(await node.verifier.rootVersion(), 3);
  assert.deepEqual(node.verifier.roots, roots);
  const [kind] = await kindOf(node.verify(newer()));
  assert.equal(kind, "invalidSignature", "the old keys are worth nothing now");
  const behind = nodeOf(ROOT);
  await behind.verify({ ...files, root: node.verifier.roots });
  assert.equal(await behind.verifier.rootVersion(), 3, "a node that was away learns all roots from the one that leads");
});

test("a clock that is set back brings nothing to life; one far ahead spoils nothing", async () => {
  const clock = { nowMs: NOW };
  const node = nodeOf(ROOT, clock);
  const files = repositoryOf({ keys });
  await node.verify(files);
  clock.nowMs = Date.parse("2031-01-01T00:00:00Z");
  assert.match((await kindOf(node.verify(files)))[1], /Freeze/);
  clock.nowMs = Date.parse("2030-05-15T00:00:00Z");
  const stale = repositoryOf({ keys, versions: { timestamp: 2 }, expires: { timestamp: "2030-05-20T00:00:00Z" } });
  assert.match((await kindOf(node.verify(stale)))[1], /Freeze/, "it had expired when it was last looked at");
  assert.equal((await kindOf(node.verify(repositoryOf({ keys, versions: { timestamp: 2 } }))))[0], "ok");
});

test("a newer root of the operator's takes the place of the kept one", async () => {
  const node = await experienced();
  const replaced = nodeOf(rootOf(OTHER, 2));
  replaced.state = node.state;
  assert.equal((await kindOf(replaced.verify(repositoryOf({ keys: OTHER }))))[0], "ok");
});

test("garbage is refused by name, never by a crash", async () => {
  const good = newer();
  const files = fc.oneof(
    fc.record({
      root: fc.array(fc.oneof(fc.string(), fc.json()), { maxLength: 3 }),
      timestamp: fc.json(),
      snapshot: fc.json(),
      targets: fc.json(),
    }),
    fc
      .tuple(fc.constantFrom("timestamp", "snapshot", "targets"), fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([role, at, byte]): TufFiles => {
        const bytes = Buffer.from(good[role as "targets"]);
        bytes[at % bytes.length] = byte;
        return { ...good, [role]: bytes.toString("latin1") };
      }),
  );
  await fc.assert(
    fc.asyncProperty(files, async (each) => {
      const [kind] = await kindOf(nodeOf(ROOT).verify(each));
      assert.ok(["ok", "invalidData", "invalidSignature", "conflict"].includes(kind));
    }),
    { numRuns: 150 },
  );
});

const custom = (more: object) => ({ components: ["/components/BCM"], ...more });
const manifest = async (files: NonNullable<Parameters<typeof repositoryOf>[0]["files"]>, id = "fw-1") => {
  const believed = await nodeOf(ROOT).verify(repositoryOf({ keys, files }));
  return manifestOf(believed, id, ({ path }) => `targets/${path}`);
};

test("targets become the manifest of one update", async () => {
  const about = custom({ hardware_ids: ["r1", "r2"], release_counter: 7, version: "2.0", update: "FW-1" });
  const { targets, id } = await manifest({
    "bcm.bin": { content: "abc", custom: about },
    "other.bin": { content: "abc", custom: custom({ update: "fw-2" }) },
    "readme.txt": { content: "abc" },
  });
  assert.equal(id, "fw-1");
  const { sha512, ...bcm } = targets.bcm ?? {};
  assert.equal(sha512?.length, 128);
  assert.deepEqual(bcm, {
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    length: 3,
    uri: "targets/bcm.bin",
    version: "2.0",
    hardware_ids: ["r1", "r2"],
    release_counter: 7,
  });
  assert.deepEqual(Object.keys(targets), ["bcm"]);
  const twice = await manifest({ a: { content: "a", custom: { components: ["/components/BCM", "bcm"] } } });
  assert.deepEqual(Object.keys(twice.targets), ["bcm"], "one file that names a component by id and by path");
  await assert.rejects(
    manifest({ a: { content: "a", custom: custom({}) }, b: { content: "b", custom: custom({}) } }),
    /two files for component bcm/,
  );
  await assert.rejects(manifest({ a: { content: "a", custom: { components: "bcm" } } }), /custom data of target a/);
});

test("a repository is asked for roots one by one, then for the versions that are named", async () => {
  const { timestamp, snapshot, targets } = newer();
  const there: Record<string, string> = {
    "2.root.json": "second",
    "3.root.json": "third",
    "timestamp.json": timestamp,
    "6.snapshot.json": snapshot,
    "targets.json": targets,
  };
  const asked: string[] = [];
  const files = await fetchTufFiles(1, async (path) => {
    asked.push(path);
    return there[path];
  });
  assert.deepEqual(files, { root: ["second", "third"], timestamp, snapshot, targets, delegated: {} });
  assert.deepEqual(asked, [
    ...["2.root.json", "3.root.json", "4.root.json", "timestamp.json"],
    ...["6.snapshot.json", "6.targets.json", "targets.json"],
  ]);
  await assert.rejects(
    fetchTufFiles(1, async () => undefined),
    /no timestamp\.json/,
  );
  const endless = await fetchTufFiles(1, async (path) => (path.endsWith("root.json") ? "x" : "{}"));
  assert.equal(endless.root.length, 64);
});
