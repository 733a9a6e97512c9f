import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BACKUP, CURRENT, FLATBUFFER_PART, NEXT, writeDatabase } from "#store/databases.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Storage } from "#store/storage.ts";
import { applyUpdate, beginPending, cleanupUpdate, readExecution, rollbackUpdate } from "#store/update-set.ts";

/** A source of numbers that is the same for the same seed: the whole run can be repeated. */
export function randomFrom(seed: number): (below: number) => number {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return (below) => Math.floor(next() * below);
}

/** Key → seed of the content. */
type DatabaseSet = Map<string, number>;

/** What the store should hold. */
export interface Model {
  current?: DatabaseSet;
  next?: DatabaseSet;
  backup?: DatabaseSet;
  execution?: string;
  persisted: Map<string, string>;
}

/** One durable change: what it does to the model and to the store. */
export interface Operation {
  readonly name: string;
  readonly model: (before: Model) => Model;
  readonly run: (store: OpenedStore) => Promise<unknown>;
}

export interface OpenedStore {
  readonly storage: Storage;
  readonly persistence: Persistence;
}

const KEYS = ["fcm.mdd", "rear.mdd", "gateway.mdd"] as const;
const LARGEST_BYTES = Number(process.env.CRASH_LARGEST_BYTES ?? Number.POSITIVE_INFINITY);
/** Contents that fill one page, several, or several chunks. A run that need not have the large ones says so. */
const SIZES = [20, 5_000, 70_000, 300_000, 1_100_000, 4_800_000].filter((size) => size <= LARGEST_BYTES);

/** Content of a seed: a container and its description, of sizes that fill one page or several chunks. */
export function contentOf(seed: number): { container: Buffer; flatbuffer: Buffer } {
  const random = randomFrom(seed);
  const fill = (length: number) => {
    const bytes = Buffer.alloc(length, createHash("sha512").update(`${seed} ${length}`).digest());
    bytes.writeUInt32LE(seed, 0);
    return bytes;
  };
  return {
    container: fill(SIZES[random(SIZES.length)] ?? 20),
    flatbuffer: fill((SIZES[random(SIZES.length)] ?? 20) + 7),
  };
}

/** Operation number `index` of a run, always possible in the state it meets. */
export function operationAt(seed: number, index: number, before: Model): Operation {
  const random = randomFrom(seed * 1_000_003 + index);
  const id = `execution-${index}`;
  const step = { id, time: index, completes: true, records: { "audit/last": id } };
  const choices: Operation[] = [upload(random), persist(random, index), dropPersisted(random)];
  if (before.next !== undefined) {
    choices.push(apply(step), remove(random, before.next));
    if (before.next.size > 0) choices.push(apply(step));
  }
  if ((before.backup?.size ?? 0) > 0) choices.push(rollback(step));
  if (before.next !== undefined || before.backup !== undefined) choices.push(cleanup(step));
  return choices[random(choices.length)] as Operation;
}

function upload(random: (below: number) => number): Operation {
  const files = KEYS.filter(() => random(2) === 0).map((key) => [key, random(1_000_000)] as const);
  return {
    name: `upload of ${files.length}`,
    model: (before) => ({
      ...before,
      current: before.current ?? new Map(),
      next: new Map([...pendingOf(before), ...files]),
    }),
    run: ({ storage }) =>
      storage.transaction(async (tx) => {
        beginPending(tx);
        for (const [key, seed] of files) {
          const { container, flatbuffer } = contentOf(seed);
          await writeDatabase(tx, NEXT, key, container, {
            ecuName: key,
            revision: `${seed}`,
            flatbuffer,
            chunks: [],
            metadata: {},
          });
        }
      }),
  };
}

const pendingOf = (model: Model): DatabaseSet => model.next ?? model.current ?? new Map();

function remove(random: (below: number) => number, next: DatabaseSet): Operation {
  const key = [...next.keys()].sort()[random(next.size)];
  return {
    name: `removal of ${key}`,
    model: (before) => ({ ...before, next: new Map([...pendingOf(before)].filter(([name]) => name !== key)) }),
    run: ({ storage }) =>
      storage.transaction((tx) => {
        if (key !== undefined) tx.delete(NEXT, key);
      }),
  };
}

type Step = Parameters<typeof applyUpdate>[1];

const apply = (step: Step): Operation => ({
  name: "apply",
  model: ({ next, ...before }) => ({
    ...before,
    current: next ?? new Map(),
    backup: before.current ?? new Map(),
    execution: step.id,
  }),
  run: ({ storage }) => applyUpdate(storage, step),
});

const rollback = (step: Step): Operation => ({
  name: "rollback",
  model: ({ next: _, ...before }) => ({
    ...before,
    current: before.backup ?? new Map(),
    backup: new Map(),
    execution: step.id,
  }),
  run: ({ storage }) => rollbackUpdate(storage, step),
});

const cleanup = (step: Step): Operation => ({
  name: "cleanup",
  model: ({ next: _, ...before }) => ({
    ...before,
    ...(before.backup === undefined ? {} : { backup: new Map() }),
    execution: step.id,
  }),
  run: ({ storage }) => cleanupUpdate(storage, step),
});

function persist(random: (below: number) => number, index: number): Operation {
  const key = `key-${random(5)}`;
  const value = `${index} `.repeat(1 + random(300));
  return {
    name: `set of ${key}`,
    model: (before) => ({ ...before, persisted: new Map([...before.persisted, [key, value]]) }),
    run: ({ persistence }) => persistence.set("crash", key, value),
  };
}

function dropPersisted(random: (below: number) => number): Operation {
  const key = `key-${random(5)}`;
  return {
    name: `delete of ${key}`,
    model: (before) => ({ ...before, persisted: new Map([...before.persisted].filter(([name]) => name !== key)) }),
    run: async ({ persistence }) => {
      if (persistence.contains("crash", key)) await persistence.delete("crash", key);
    },
  };
}

/** Throws when the store holds anything else than the model says. Contents are known by their hashes, which a check has verified. */
export function compare({ storage, persistence }: OpenedStore, model: Model): void {
  for (const [collection, set] of [
    [CURRENT, model.current],
    [NEXT, model.next],
    [BACKUP, model.backup],
  ] as const) {
    assert.equal(storage.has(collection), set !== undefined, `${collection} is there`);
    if (set === undefined) continue;
    assert.deepEqual(storage.list(collection), [...set.keys()].sort(), collection);
    for (const [key, seed] of set) {
      const info = storage.metadata(collection, key);
      const { container, flatbuffer } = contentOf(seed);
      assert.equal(info.sha256, sha256(container), `${collection}/${key}`);
      assert.equal(info.parts[FLATBUFFER_PART]?.sha256, sha256(flatbuffer), `${collection}/${key}`);
    }
  }
  assert.equal(readExecution(storage)?.id, model.execution, "execution");
  assert.equal(storage.record("audit/last"), model.execution, "audit");
  const keys = [...model.persisted.keys()].sort();
  assert.deepEqual(keys.length === 0 ? [] : persistence.listKeys("crash"), keys, "persisted keys");
  for (const [key, value] of model.persisted) assert.equal(persistence.get("crash", key), value, key);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
