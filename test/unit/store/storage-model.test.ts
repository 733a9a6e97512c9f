import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { checkEnvironment } from "#store/check.ts";
import type { Environment } from "#store/lmdb-env.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import type { Storage, StorageTransaction, StoredValue } from "#store/storage.ts";
import fc from "../../fixtures/properties.ts";
import { contentOf, MIB, storageEnvironment } from "./support.ts";

/** What the store should hold: collection → key → content. */
type Model = Map<string, Map<string, string>>;

type Step =
  | { do: "create"; collection: string }
  | { do: "deleteCollection"; collection: string }
  | { do: "deleteAll"; collection: string }
  | { do: "copy"; collection: string; to: string }
  | { do: "write"; collection: string; key: string; content: string; mapped: boolean }
  | { do: "attach"; collection: string; key: string }
  | { do: "delete"; collection: string; key: string };

interface Transaction {
  readonly steps: readonly Step[];
  readonly abort: boolean;
  /** A value held open over the transaction. */
  readonly hold: readonly [collection: string, key: string] | null;
}

const collection = fc.constantFrom("A", "a", "b", "C");
const key = fc.constantFrom("x", "X", "y", "Z.mdd");
const content = fc.constantFrom("", "1", "22", "333");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("create" as const), collection }),
  fc.record({ do: fc.constant("deleteCollection" as const), collection }),
  fc.record({ do: fc.constant("deleteAll" as const), collection }),
  fc.record({ do: fc.constant("copy" as const), collection, to: collection }),
  fc.record({ do: fc.constant("write" as const), collection, key, content, mapped: fc.boolean() }),
  fc.record({ do: fc.constant("attach" as const), collection, key }),
  fc.record({ do: fc.constant("delete" as const), collection, key }),
);
const transaction: fc.Arbitrary<Transaction> = fc.record({
  steps: fc.array(step, { maxLength: 8 }),
  abort: fc.boolean(),
  hold: fc.option(fc.tuple(collection, key)),
});

/** Runs a step on the model; the kind of fault it should be met with, if any. */
function expected(model: Model, todo: Step): string | undefined {
  const name = todo.collection.toLowerCase();
  const entries = model.get(name);
  if (todo.do === "create") {
    if (entries !== undefined) return "transactionConflict";
    model.set(name, new Map());
    return undefined;
  }
  if (entries === undefined) return "collectionNotFound";
  if (todo.do === "deleteCollection") model.delete(name);
  else if (todo.do === "deleteAll") entries.clear();
  else if (todo.do === "copy") model.set(todo.to.toLowerCase(), new Map(entries));
  else if (todo.do === "write") entries.set(todo.key.toLowerCase(), todo.content);
  else if (!entries.has(todo.key.toLowerCase())) return "keyNotFound";
  else if (todo.do === "delete") entries.delete(todo.key.toLowerCase());
  return undefined;
}

async function run(tx: StorageTransaction, todo: Step): Promise<void> {
  if (todo.do === "create") tx.create(todo.collection);
  else if (todo.do === "deleteCollection") tx.deleteCollection(todo.collection);
  else if (todo.do === "deleteAll") tx.deleteAll(todo.collection);
  else if (todo.do === "copy") tx.copyCollection(todo.collection, todo.to);
  else if (todo.do === "delete") tx.delete(todo.collection, todo.key);
  else if (todo.do === "attach") await tx.attach(todo.collection, todo.key, "part", Buffer.from("part"));
  else {
    const kind = todo.mapped ? "mapped" : "streamed";
    await tx.write(todo.collection, todo.key, Buffer.from(todo.content), { kind });
  }
}

const copyOf = (model: Model): Model => new Map([...model].map(([name, entries]) => [name, new Map(entries)]));

async function runTransaction(storage: Storage, model: Model, { steps, abort }: Transaction): Promise<Model> {
  const next = copyOf(model);
  const abortion = new Error("abort");
  const outcome = await storage
    .transaction(async (tx) => {
      for (const todo of steps) {
        const fault = expected(next, todo);
        const met = await run(tx, todo).then(
          () => undefined,
          (error: unknown) => (error instanceof Fault ? error.kind : String(error)),
        );
        assert.equal(met, fault, JSON.stringify(todo));
      }
      if (abort) throw abortion;
    })
    .catch((error: unknown) => error);
  assert.equal(outcome, abort ? abortion : undefined);
  return abort ? model : next;
}

function compare(storage: Storage, model: Model): void {
  assert.deepEqual(storage.collections(), [...model.keys()].sort());
  for (const [name, entries] of model) {
    assert.deepEqual(storage.list(name), [...entries.keys()].sort());
    for (const [entry, text] of entries) assert.equal(contentOf(storage.read(name, entry)).toString(), text);
  }
}

function holdOpen(storage: Storage, hold: Transaction["hold"]): [StoredValue, string] | undefined {
  try {
    if (hold === null) return undefined;
    const text = contentOf(storage.read(...hold)).toString();
    return [storage.read(...hold), text];
  } catch {
    return undefined;
  }
}

async function follows(storage: Storage, transactions: readonly Transaction[], check: () => void): Promise<void> {
  let model: Model = new Map();
  const held: [StoredValue, string][] = [];
  for (const next of transactions) {
    const value = holdOpen(storage, next.hold);
    if (value !== undefined) held.push(value);
    model = await runTransaction(storage, model, next);
    compare(storage, model);
  }
  for (const [value, text] of held) assert.equal(contentOf(value).toString(), text);
  check();
  await storage.transaction((tx) => {
    for (const name of model.keys()) tx.deleteCollection(name);
  });
}

describe("storage against a plain map, with transactions aborted at random", () => {
  test("lmdb: and nothing is left behind", async (t) => {
    const env: Environment = await storageEnvironment(t);
    const storage = createLmdbStorage(env, { maxMappedBytes: MIB });
    const clean = () => assert.deepEqual(checkEnvironment("bulk", env).problems, []);
    await fc.assert(
      fc.asyncProperty(fc.array(transaction, { maxLength: 6 }), (transactions) =>
        follows(storage, transactions, clean),
      ),
      { numRuns: 60 },
    );
    for (const table of ["entries", "blobs", "hashes", "values", "chunks", "staged"])
      assert.equal(env.table(table).getKeysCount(), 0, table);
  });

  test("memory", async () => {
    const storage = createMemoryStorage({ maxBytes: MIB, maxMappedBytes: MIB });
    await fc.assert(
      fc.asyncProperty(fc.array(transaction, { maxLength: 6 }), (transactions) =>
        follows(storage, transactions, () => undefined),
      ),
      { numRuns: 300 },
    );
  });
});
