/** Delegated targets (TUF specification 1.0.31, 5.6.7): whose answer counts, and attacks by suppliers and by whoever stands between. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { FaultKind } from "#core/errors.ts";
import type { TufFiles } from "#update/software/trust/tuf.ts";
import { manifestOf, wantsOf } from "#update/software/trust/tuf-manifest.ts";
import { fetchTufFiles } from "#update/software/trust/tuf-repository.ts";
import fc from "../../fixtures/properties.ts";
import {
  EARLIER,
  type FileStates,
  kindOf,
  LATER,
  NOW,
  newKey,
  newKeys,
  nodeOf,
  type RepositoryState,
  type RoleState,
  repositoryOf,
  rootOf,
  sameKey,
  WRITTEN,
} from "./tuf-support.ts";

const keys = newKeys();
const ROOT = rootOf(keys);
const [ACME, LAB, STRANGER, SECOND] = [newKey(), newKey(), newKey(), newKey()];
const PATH = "acme/camera/fw.bin";
const WANTED = { id: "fw-1", components: ["camera"] };

const files = (content: string, custom: object = {}, path = PATH): FileStates => ({
  [path]: { content, custom: { components: ["camera"], ...custom } },
});
const numbered = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n));
/** A supplier's role, trusted with its folder. */
const acme = (more: Partial<RoleState> = {}): RoleState => ({
  keys: [ACME],
  paths: ["acme/*/*"],
  files: files("acme"),
  ...more,
});
const lab = (more: Partial<RoleState> = {}): RoleState => ({ ...acme({ keys: [LAB], files: files("lab") }), ...more });
const repository = (roles: Record<string, RoleState>, more: Partial<RepositoryState> = {}) =>
  repositoryOf({ keys, roles, ...more });

async function manifest(metadata: TufFiles, node = nodeOf(ROOT)) {
  const believed = await node.verify(metadata, wantsOf(WANTED));
  return { ...manifestOf(believed, WANTED.id, ({ path }) => path), roles: Object.keys(believed.delegated.roles) };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Whose file is the camera's; undefined: there is none. */
const ANSWERS: Readonly<Record<string, readonly [metadata: TufFiles, content: string | undefined, asked: string[]]>> = {
  "a supplier's own file": [repository({ acme: acme() }), "acme", ["acme"]],
  "what a supplier has another one sign": [
    repository({ acme: acme({ files: {}, to: ["lab"] }), lab: lab() }, { to: ["acme"] }),
    "lab",
    ["acme", "lab"],
  ],
  "the top-level role before all": [repository({ acme: acme() }, { files: files("own", { version: "1" }) }), "own", []],
  "of two the first, in the order of the delegations": [repository({ lab: lab(), acme: acme() }), "lab", ["lab"]],
  "depth before breadth": [
    repository({ first: acme({ files: {}, to: ["lab"] }), second: acme(), lab: lab() }, { to: ["first", "second"] }),
    "lab",
    ["first", "lab"],
  ],
  "behind one that has nothing the next is asked": [
    repository({ lab: lab({ files: {} }), acme: acme() }),
    "acme",
    ["lab", "acme"],
  ],
  "behind a terminating one nobody is": [
    repository({ lab: lab({ files: {}, terminating: true }), acme: acme() }),
    undefined,
    ["lab"],
  ],
  "nor behind one further down": [
    repository(
      { first: acme({ files: {}, to: ["lab"] }), lab: lab({ files: {}, terminating: true }), acme: acme() },
      { to: ["first", "acme"] },
    ),
    undefined,
    ["first", "lab"],
  ],
  "a terminating one that is not trusted with the path ends nothing": [
    repository({ lab: lab({ files: {}, paths: ["lab/*/*"], terminating: true }), acme: acme() }),
    "acme",
    ["acme"],
  ],
  "a cycle is walked once": [
    repository(
      { first: acme({ files: {}, to: ["lab"] }), lab: lab({ files: {}, to: ["first"] }), acme: acme() },
      { to: ["first", "acme"] },
    ),
    "acme",
    ["first", "lab", "acme"],
  ],
  "by the hash of the path": [
    repository({ lab: lab({ prefixes: ["0", "1"] }), acme: acme({ prefixes: [sha256(PATH).slice(0, 3)] }) }),
    sha256(PATH)[0]! < "2" ? "lab" : "acme",
    [sha256(PATH)[0]! < "2" ? "lab" : "acme"],
  ],
  "roles whose names are an object's own": [
    repository({ constructor: lab({ files: {} }), toString: acme() }),
    "acme",
    ["constructor", "toString"],
  ],
  "outside the paths a role was given": [repository({ acme: acme({ paths: ["acme/radar/*"] }) }), undefined, []],
  "outside the paths of the one who delegated": [
    repository({ acme: acme({ paths: ["acme/radar/*"], files: {}, to: ["lab"] }), lab: lab() }, { to: ["acme"] }),
    undefined,
    [],
  ],
  "for a component that the path does not name": [
    repository({ acme: acme({ files: files("acme", {}, "acme/radar/fw.bin") }) }),
    undefined,
    [],
  ],
  "for a component that only the file's name names": [
    repository({ acme: acme({ paths: ["acme/*"], files: files("acme", {}, "acme/camera") }) }),
    undefined,
    [],
  ],
  "for another update": [repository({ acme: acme({ files: files("acme", { update: "fw-2" }) }) }), undefined, []],
  "custom data that is none": [
    repository({ acme: acme({ files: files("acme", { components: "camera" }) }) }),
    undefined,
    [],
  ],
  "by a role that nobody delegates to": [repository({ acme: acme() }, { to: [] }), undefined, []],
  "a supplier whose metadata expired keeps nobody else from an update": [
    repository({ acme: acme(), radar: acme({ expires: EARLIER, paths: ["acme/radar/*"] }) }),
    "acme",
    ["acme"],
  ],
  "nor one whose metadata is none": [
    { ...repository({ acme: acme() }), delegated: { ...repository({ acme: acme() }).delegated, radar: "{" } },
    "acme",
    ["acme"],
  ],
};
for (const [what, [metadata, content, asked]] of Object.entries(ANSWERS)) {
  test(`whose file: ${what}`, async () => {
    const { targets, roles } = await manifest(metadata);
    assert.equal(targets.camera?.sha256, content === undefined ? undefined : sha256(content));
    if (content !== undefined) assert.deepEqual(roles, asked, "what is handed on is what was asked");
    const again = Object.fromEntries(roles.map((name) => [name, metadata.delegated![name]!]));
    assert.deepEqual((await manifest({ ...metadata, delegated: again })).targets, targets, "and is enough");
  });
}

const many = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`r${i}`, acme({ files: {} })] as const));
const better = repository({ acme: acme({ files: files("better") }) });
const withTail = repository({ acme: acme() });
const newer = { versions: { timestamp: 2, snapshot: 2, targets: 2 } };

const ATTACKS: Readonly<Record<string, readonly [metadata: TufFiles, kind: FaultKind, says: RegExp]>> = {
  "nobody signed": [repository({ acme: acme({ by: [] }) }), "invalidSignature", /acme was signed by 0\/1/],
  "a stranger signed": [repository({ acme: acme({ by: [STRANGER] }) }), "invalidSignature", /signed by 0\/1/],
  "another supplier signed": [
    repository({ acme: acme({ by: [LAB] }), lab: lab({ paths: ["lab/*/*"] }) }),
    "invalidSignature",
    /acme was signed by 0\/1/,
  ],
  "the keys of the top-level targets signed": [
    repository({ acme: acme({ by: keys.targets }) }),
    "invalidSignature",
    /signed by 0\/1/,
  ],
  "threshold not met": [
    repository({ acme: acme({ keys: [ACME, SECOND], by: [ACME] }) }),
    "invalidSignature",
    /signed by 1\/2/,
  ],
  "one key twice": [
    repository({ acme: acme({ keys: [ACME, SECOND], by: [ACME, ACME] }) }),
    "invalidSignature",
    /signed by 1\/2/,
  ],
  ...Object.fromEntries(
    Object.entries(WRITTEN).map(([how, write]) => [
      `one key under two ids, ${how}`,
      [
        repository({ acme: acme({ keys: [ACME, sameKey(ACME, write)] }) }),
        "invalidSignature",
        /one key under two ids/,
      ] as const,
    ]),
  ),
  "one key under two ids": [
    repository({ acme: acme({ keys: [ACME, sameKey(ACME)] }) }),
    "invalidSignature",
    /one key under two ids/,
  ],
  expired: [repository({ acme: acme({ expires: EARLIER }) }), "invalidData", /Freeze: the delegated role acme expired/],
  "mix and match: the role's metadata from elsewhere": [
    { ...repository({ acme: acme() }), delegated: better.delegated },
    "invalidData",
    /Mix and match: the delegated role acme has not the sha256/,
  ],
  "mix and match: another version of it": [
    {
      ...repository({ acme: acme({ version: 2 }) }, { bare: true }),
      delegated: repository({ acme: acme({ version: 1 }) }).delegated,
    },
    "invalidData",
    /Mix and match: delegated role acme has version 1, version 2 is named/,
  ],
  "endless data: a tail": [
    { ...withTail, delegated: { acme: `${withTail.delegated.acme}  ` } },
    "invalidData",
    /acme is longer than/,
  ],
  "the snapshot does not name it": [
    repository({ acme: acme() }, { unnamed: ["acme"] }),
    "invalidData",
    /The snapshot names no delegated role acme/,
  ],
  "left out, so that the next one's answer would count": [
    { ...repository({ lab: lab(), acme: acme() }), delegated: repository({ acme: acme() }).delegated },
    "invalidData",
    /delegated role lab is missing/,
  ],
  "replaced by garbage, so that the next one's answer would count": [
    {
      ...repository({ lab: lab(), acme: acme() }, { bare: true }),
      delegated: { ...repository({ acme: acme() }).delegated, lab: "{}" },
    },
    "invalidData",
    /metadata is none/,
  ],
  "too many roles": [repository({ ...many(32), acme: acme() }), "invalidData", /more than 32 delegated roles/],
  "more paths and patterns than anyone compares": [
    repository(
      {
        acme: acme({
          files: Object.assign({}, ...numbered(200, (n) => files("x", {}, `acme/camera/${n}`))),
          to: ["lab"],
        }),
        other: acme({ files: {}, to: ["lab"] }),
        lab: lab({ files: {}, paths: numbered(200, (n) => `acme/*a*${n}/*`) }),
      },
      { to: ["other", "acme"] },
    ),
    "invalidData",
    /more paths and patterns than 16384/,
  ],
  "hash bins": [repository({ acme: acme() }, { succinct: true }), "invalidData", /succinct roles/],
  ...Object.fromEntries(
    ["{a,b}/*/*", "+(a)/*/*", "[ab]/*/*", "!(x)/*/*", "*a*b*c/*/*", `${"a".repeat(300)}/*/*`].map((pattern) => [
      `the pattern ${pattern.slice(0, 12)}`,
      [repository({ acme: acme({ paths: [pattern] }) }), "invalidData", /path pattern .* is not supported/] as const,
    ]),
  ),
};
for (const [what, [metadata, kind, says]] of Object.entries(ATTACKS)) {
  test(`delegated: ${what}`, async () => {
    const node = nodeOf(ROOT);
    const [found, message] = await kindOf(manifest(metadata, node));
    assert.equal(found, kind, message);
    assert.match(message, says);
    const named = Object.keys(metadata.delegated ?? {}).map((name) => [name, lab({ version: 3 })] as const);
    const good = { lab: lab({ version: 3 }), ...Object.fromEntries(named), acme: acme({ version: 3 }) };
    const { delegated, ...after } = repository(good, { ...newer, to: ["acme"] });
    const { targets } = await manifest({ ...after, delegated: { acme: delegated.acme! } }, node);
    assert.equal(targets.camera?.sha256, sha256("acme"), "it can be updated again");
  });
}

test("garbage is refused by name, or is nobody's file, never a crash", async () => {
  const good = repository({ lab: lab({ files: {}, to: ["acme"] }), acme: acme() }, { bare: true });
  const flipped = fc.tuple(fc.constantFrom("lab", "acme"), fc.nat(), fc.integer({ min: 0, max: 255 }));
  const texts = fc.oneof(
    fc.dictionary(fc.constantFrom("lab", "acme", "__proto__", "x"), fc.oneof(fc.json(), fc.string())),
    flipped.map(([role, at, byte]) => {
      const bytes = Buffer.from(good.delegated[role]!);
      bytes[at % bytes.length] = byte;
      return { ...good.delegated, [role]: bytes.toString("latin1") };
    }),
  );
  await fc.assert(
    fc.asyncProperty(texts, async (delegated) => {
      const [kind] = await kindOf(manifest({ ...good, delegated }));
      assert.ok(["ok", "invalidData", "invalidSignature"].includes(kind), kind);
    }),
    { numRuns: 150 },
  );
});

test("rollback: a version of a role that was seen counts, also when its files were not wanted; it does not vanish either", async () => {
  const node = nodeOf(ROOT);
  await node.verify(repository({ acme: acme({ version: 5 }) }));
  const older = repository({ acme: acme({ version: 4 }) }, newer);
  assert.match((await kindOf(manifest(older, node)))[1], /Rollback: version 4 of acme\.json is older than 5/);
  const gone = repository({ acme: acme() }, { ...newer, unnamed: ["acme"] });
  assert.match((await kindOf(manifest(gone, node)))[1], /Rollback: the snapshot no longer names acme\.json/);
});

test("metadata of a role that was asked may expire before the update starts", async () => {
  const clock = { nowMs: NOW };
  const { verifier, verify } = nodeOf(ROOT, clock);
  const soon = new Date(NOW + 60_000).toISOString();
  const metadata = repository({ acme: acme({ expires: soon }), lab: lab({ expires: EARLIER }) });
  const { delegated } = await verify(metadata, wantsOf(WANTED));
  const kept = { ...metadata, delegated: delegated.roles };
  await verifier.requireFresh(kept);
  clock.nowMs += 120_000;
  await assert.rejects(verifier.requireFresh(kept), /Freeze: the delegated role acme expired/);
  assert.ok(Date.parse(LATER) > clock.nowMs);
});

test("a repository is asked for the roles that are delegated to, level by level, no more than 32", async () => {
  const roles = { "a/../b": acme({ to: ["lab"] }), lab: lab({ version: 7 }), absent: lab(), unnamed: lab() };
  const made = repository(roles, { to: ["a/../b", "absent", "unnamed"], unnamed: ["unnamed"] });
  const there: Record<string, string | undefined> = {
    "timestamp.json": made.timestamp,
    "1.snapshot.json": made.snapshot,
    "1.targets.json": made.targets,
    "1.a%2F..%2Fb.json": made.delegated["a/../b"],
    "lab.json": made.delegated.lab,
  };
  const asked: string[] = [];
  const fetchText = async (path: string) => {
    asked.push(path);
    return there[path];
  };
  const { delegated } = await fetchTufFiles(1, fetchText);
  assert.deepEqual(delegated, { "a/../b": made.delegated["a/../b"], lab: made.delegated.lab });
  assert.deepEqual(asked.slice(4), ["1.a%2F..%2Fb.json", "1.absent.json", "absent.json", "7.lab.json", "lab.json"]);
  const crowd = repository(many(100));
  const all: Record<string, string> = { "timestamp.json": crowd.timestamp, "1.snapshot.json": crowd.snapshot };
  const found = await fetchTufFiles(1, async (path) => {
    if (path === "1.targets.json") return crowd.targets;
    return all[path] ?? (/^1\.r\d+\.json$/.test(path) ? "{}" : undefined);
  });
  assert.equal(Object.keys(found.delegated ?? {}).length, 32);
});
