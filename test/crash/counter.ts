/**
 * Counts in all three environments of a store, one after the other, until its input ends: `counter.ts FOLDER`. Says `counting` when it has
 * begun. A copy of one instant shows numbers that never rise from one environment to the next, and differ by one at most.
 */
import { openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { LIMITS } from "./inspect.ts";

const [folder = ""] = process.argv.slice(2);
const store = await openStore({ folder, maxBytes: LIMITS });
const [databases, bulk] = [store.databases, store.bulk].map((env) =>
  createLmdbStorage(env, { maxMappedBytes: 1 << 20 }),
);
const state = createLmdbPersistence(store.state);
let counting = true;
process.stdin.resume().once("end", () => {
  counting = false;
});
for (let count = 1; counting; count++) {
  const content = Buffer.alloc(50_000, count);
  await databases?.transaction(async (tx) => {
    tx.setRecord("count", count);
    if (!tx.has("c")) tx.create("c");
    await tx.write("c", `k${count % 5}`, content);
  });
  await state.set("b", "count", String(count));
  await bulk?.transaction((tx) => tx.setRecord("count", count));
  if (count === 5) process.stdout.write("counting\n");
}
await store.close();
