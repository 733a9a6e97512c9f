/** Locks: the matrix of §5.1 as a table, expiry, effects, the check on use. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, type FaultKind } from "#core/errors.ts";
import { LOCK_MATRIX, LockRegistry, type LockScope } from "#sovd/locks.ts";
import { ManualClock, V, vehicle } from "./harness.ts";

interface Registry {
  readonly locks: LockRegistry;
  readonly clock: ManualClock;
  readonly effects: string[];
}

const MEMBERS: Readonly<Record<string, readonly string[]>> = { all: ["a", "b"], some: ["b"] };
const START = Date.UTC(2026, 0, 1);

function registry(more: { lockStatus?: "cda" | "iso"; restoreEcuLocks?: boolean } = {}): Registry {
  const clock = new ManualClock();
  const effects: string[] = [];
  const note = (name: string) => (entity: string) => effects.push(`${name} ${entity}`);
  const locks = new LockRegistry({
    clock,
    wallClock: () => START + clock.time,
    members: (group) => MEMBERS[group] ?? [],
    effects: {
      ecuAcquired: note("+ecu"),
      ecuReleased: note("-ecu"),
      groupAcquired: note("+group"),
      groupReleased: note("-group"),
      vehicleReleased: () => effects.push("-vehicle"),
    },
    lockStatus: "cda",
    restoreEcuLocks: false,
    maxExpirationS: 1_000_000,
    ...more,
  });
  return { locks, clock, effects };
}

function kindOf(work: () => unknown): FaultKind | "ok" {
  try {
    work();
    return "ok";
  } catch (error) {
    assert.ok(error instanceof Fault);
    return error.kind;
  }
}

/** Wanted lock, standing lock, its owner, what happens (sovd-api §5.1). */
const MATRIX: readonly [LockScope, string, LockScope, string, "own" | "other", FaultKind | "ok"][] = [
  ["ecu", "a", "vehicle", "", "other", "forbidden"],
  ["ecu", "a", "vehicle", "", "own", "ok"],
  ["ecu", "a", "group", "all", "own", "conflict"],
  ["ecu", "a", "group", "all", "other", "conflict"],
  ["ecu", "a", "group", "some", "other", "conflict"],
  ["ecu", "a", "ecu", "a", "other", "forbidden"],
  ["ecu", "a", "ecu", "b", "other", "ok"],
  ["ecu", "a", "ecu", "a", "own", "ok"],
  ["group", "all", "vehicle", "", "other", "forbidden"],
  ["group", "all", "vehicle", "", "own", "ok"],
  ["group", "all", "group", "some", "other", "ok"],
  ["group", "all", "group", "all", "other", "forbidden"],
  ["group", "all", "group", "all", "own", "ok"],
  ["group", "all", "ecu", "b", "other", "conflict"],
  ["group", "some", "ecu", "a", "other", "ok"],
  ["group", "all", "ecu", "b", "own", "ok"],
  ["vehicle", "", "vehicle", "", "other", "forbidden"],
  ["vehicle", "", "vehicle", "", "own", "ok"],
  ["vehicle", "", "group", "all", "other", "forbidden"],
  ["vehicle", "", "group", "all", "own", "ok"],
  ["vehicle", "", "ecu", "a", "other", "forbidden"],
  ["vehicle", "", "ecu", "a", "own", "ok"],
];

for (const [scope, entity, heldScope, held, holder, expected] of MATRIX) {
  test(`${scope} ${entity} against ${holder} ${heldScope} ${held}: ${expected}`, () => {
    const { locks } = registry();
    locks.acquire(heldScope, held, holder === "own" ? "me" : "you", 60);
    assert.equal(
      kindOf(() => locks.acquire(scope, entity, "me", 60)),
      expected,
    );
    if (expected === "forbidden") {
      const iso = registry({ lockStatus: "iso" }).locks;
      iso.acquire(heldScope, held, "you", 60);
      assert.equal(
        kindOf(() => iso.acquire(scope, entity, "me", 60)),
        "conflict",
      );
    }
  });
}

test("the matrix names every pair of scopes", () => {
  const scopes: LockScope[] = ["ecu", "group", "vehicle"];
  for (const wanted of scopes) {
    for (const standing of scopes) assert.deepEqual(Object.keys(LOCK_MATRIX[wanted][standing]), ["own", "other"]);
  }
});

test("asking again prolongs the same lock and sends nothing", () => {
  const { locks, effects } = registry();
  const first = locks.acquire("ecu", "a", "me", 60);
  assert.equal(first.expiration, "2026-01-01T00:01:00Z");
  const again = locks.acquire("ecu", "a", "me", 120);
  assert.equal(again.id, first.id);
  assert.equal(locks.get("ecu", "a")?.expiration, "2026-01-01T00:02:00Z");
  assert.deepEqual(effects, ["+ecu a"]);
});

test("0 seconds is refused and leaves the lock's end alone", () => {
  const { locks, clock, effects } = registry();
  const { id } = locks.acquire("ecu", "a", "me", 10);
  for (const work of [() => locks.acquire("ecu", "a", "me", 0), () => locks.extend("ecu", "a", id, "me", 0)]) {
    assert.throws(work, { kind: "badRequest", message: "Expiration date is in the past" });
  }
  clock.advance(10_000);
  assert.equal(locks.get("ecu", "a"), undefined);
  assert.deepEqual(effects, ["+ecu a", "-ecu a"]);
});

test("who may not is told so before how long is looked at", () => {
  const { locks } = registry();
  const { id } = locks.acquire("ecu", "a", "you", 10);
  const REFUSED: readonly [() => unknown, string][] = [
    [() => locks.acquire("ecu", "a", "me", 0), "forbidden"],
    [() => locks.acquire("group", "all", "me", 0), "conflict"],
    [() => locks.extend("ecu", "a", id, "me", 0), "forbidden"],
    [() => locks.extend("ecu", "b", id, "me", 0), "conflict"],
  ];
  for (const [work, kind] of REFUSED) assert.equal(kindOf(work), kind);
});

test("of several locks in the way the vehicle's is named", () => {
  const { locks } = registry();
  locks.acquire("group", "all", "you", 10);
  locks.acquire("vehicle", "", "you", 10);
  assert.throws(() => locks.acquire("ecu", "a", "me", 10), { kind: "forbidden", message: /^vehicle lock/ });
});

test("a huge expiry is capped", () => {
  const { locks } = registry();
  const lock = locks.acquire("ecu", "a", "me", 2 ** 64);
  assert.equal(lock.expiration, new Date(START + 1_000_000_000).toISOString().replace(".000", ""));
});

test("locks end in order, by one timer", () => {
  const { locks, clock, effects } = registry();
  locks.acquire("ecu", "b", "me", 20);
  locks.acquire("ecu", "a", "me", 10);
  assert.equal(clock.timers, 1);
  clock.advance(9_999);
  assert.equal(locks.size, 2);
  clock.advance(1);
  assert.equal(locks.size, 1);
  clock.advance(10_000);
  assert.deepEqual(effects, ["+ecu b", "+ecu a", "-ecu a", "-ecu b"]);
  assert.equal(clock.timers, 0);
});

test("a life longer than a timer's reach ends when it should", () => {
  const { locks, clock } = registry();
  locks.acquire("vehicle", "", "me", 1_000_000);
  locks.extend("vehicle", "", locks.get("vehicle", "")!.id, "me", 1_000_000);
  clock.advance(999_999_000);
  assert.equal(locks.size, 1);
  clock.advance(1_000);
  assert.equal(locks.size, 0);
});

test("only the owner extends and releases, by the right id", () => {
  const { locks } = registry();
  assert.throws(() => locks.extend("ecu", "a", "x", "me", 1), { kind: "conflict", message: "No lock found" });
  assert.throws(() => locks.release("ecu", "a", "x", "me"), { kind: "notFound", message: "No lock found" });
  const { id } = locks.acquire("ecu", "a", "me", 60);
  for (const [wrongId, owner] of [
    ["x", "me"],
    [id, "you"],
  ] as const) {
    assert.throws(() => locks.extend("ecu", "a", wrongId, owner, 1), { kind: "forbidden" });
    assert.throws(() => locks.release("ecu", "a", wrongId, owner), { kind: "forbidden" });
  }
  locks.release("ecu", "a", id, "me");
  assert.equal(locks.size, 0);
});

test("a group lock ends own component locks of its members first, and gives them back only by choice", () => {
  for (const restoreEcuLocks of [false, true]) {
    const { locks, effects } = registry({ restoreEcuLocks });
    const ecuLock = locks.acquire("ecu", "a", "me", 60);
    const group = locks.acquire("group", "all", "me", 30);
    assert.equal(locks.get("ecu", "a"), undefined);
    assert.deepEqual(effects, ["+ecu a", "-ecu a", "+group all"]);
    locks.release("group", "all", group.id, "me");
    assert.equal(locks.get("ecu", "a")?.id, restoreEcuLocks ? ecuLock.id : undefined);
    assert.deepEqual(effects.slice(3), restoreEcuLocks ? ["-group all", "+ecu a"] : ["-group all"]);
  }
});

test("a component lock that ran out meanwhile is not given back", () => {
  const { locks, clock } = registry({ restoreEcuLocks: true });
  locks.acquire("ecu", "a", "me", 10);
  locks.acquire("group", "all", "me", 30);
  clock.advance(30_000);
  assert.equal(locks.size, 0);
});

test("the vehicle lock takes all others with it", () => {
  const { locks, effects } = registry();
  const ended: string[] = [];
  locks.onReleased((lock) => ended.push(`${lock.scope} ${lock.entity}`));
  const { id } = locks.acquire("vehicle", "", "me", 60);
  locks.acquire("ecu", "a", "me", 60);
  locks.acquire("group", "some", "me", 60);
  locks.release("vehicle", "", id, "me");
  assert.equal(locks.size, 0);
  assert.deepEqual(effects.slice(2), ["-vehicle", "-group some"]);
  assert.deepEqual(ended, ["ecu a", "group some", "vehicle "]);
});

test("on use only the target's lock and the vehicle's count", () => {
  const { locks } = registry();
  assert.throws(() => locks.require("ecu", "a", "me"), { kind: "forbidden", message: "Required ECU lock is missing" });
  assert.throws(() => locks.require("group", "all", "me"), {
    message: "Required functional group lock is missing",
  });
  assert.throws(() => locks.require("vehicle", "", "me"), { message: "No Lock: Vehicle lock is missing" });
  locks.acquire("ecu", "b", "you", 60);
  const { id } = locks.acquire("ecu", "a", "me", 60);
  locks.require("ecu", "a", "me");
  assert.throws(() => locks.require("ecu", "b", "me"), { message: "lock validation failed" });
  locks.release("ecu", "a", id, "me");
  locks.release("ecu", "b", locks.get("ecu", "b")!.id, "you");
  locks.acquire("vehicle", "", "me", 60);
  locks.require("ecu", "a", "me");
  locks.require("vehicle", "", "me");
  assert.throws(() => locks.require("ecu", "a", "you"), { kind: "forbidden" });
});

test("locks of what is no more are forgotten, the vehicle's stays", () => {
  const { locks, clock } = registry();
  locks.acquire("vehicle", "", "me", 60);
  locks.acquire("ecu", "a", "me", 60);
  locks.retain(() => false);
  assert.equal(locks.size, 1);
  locks.close();
  assert.equal(clock.timers, 0);
});

test("over HTTP: owned, other owners, bodies", async () => {
  const car = vehicle();
  const path = `${V}/components/flxc1000/locks`;
  const { json } = await car.request("POST", path, { json: { lock_expiration: 60 } });
  assert.equal(json.owned, true);
  assert.deepEqual((await car.request("GET", path, { as: "you" })).json, { items: [{ id: json.id, owned: false }] });
  assert.equal((await car.request("DELETE", `${path}/${json.id}`, { as: "you" })).status, 403);
  assert.equal((await car.request("GET", `${path}/nope`)).json.message, "no lock found with id nope");
  for (const body of [{}, { lock_expiration: -1 }, { lock_expiration: "x" }]) {
    const bad = await car.request("POST", path, { json: body });
    assert.equal(bad.status, 400);
    assert.match(bad.json.message, /lock_expiration/);
  }
  assert.equal((await car.request("POST", path, { bytes: Buffer.from("{}") })).status, 400);
  assert.deepEqual(car.fleet.names, ["lockAcquired"]);
  await car.request("DELETE", `${path}/${json.id}`);
  assert.deepEqual(car.fleet.names, ["lockAcquired", "lockReleased"]);
});

test("what is looked at first, the body or the lock", async () => {
  const car = vehicle();
  const E = `${V}/components/flxc1000`;
  const ORDER: readonly [string, string, unknown, number][] = [
    ["PUT", `${E}/modes/session`, {}, 400],
    ["PUT", `${E}/modes/session`, { value: "x" }, 403],
    ["PUT", `${V}/functions/functionalgroups/all/modes/commctrl`, {}, 400],
    ["POST", `${E}/operations/o/executions`, { parameters: 1 }, 403],
    ["GET", `${E}/modes/security`, undefined, 403],
  ];
  for (const [method, path, json, status] of ORDER) {
    assert.equal((await car.request(method, path, json === undefined ? {} : { json })).status, status, path);
  }
});
