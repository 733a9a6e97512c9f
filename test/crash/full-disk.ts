/** Fills a store on a disk that runs out (a limit on file size set by who starts it): `full-disk.ts FOLDER`. Writes a line of JSON. */
import { openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { checkStore } from "#store/maintenance.ts";

const MIB = 1 << 20;
const [folder = ""] = process.argv.slice(2);
const store = await openStore({ folder, maxBytes: { databases: 999 * MIB, state: 999 * MIB, bulk: 999 * MIB } });
const storage = createLmdbStorage(store.bulk, { maxMappedBytes: 999 * MIB });
const persistence = createLmdbPersistence(store.state);

async function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: { kind?: string; message: string }) => error.kind ?? error.message,
  );
}

const bytes = Buffer.alloc(2 * MIB, "content");
const said: Record<string, unknown> = {};
said.first = await outcome(
  storage.transaction(async (tx) => {
    tx.create("c");
    await tx.write("c", "kept", bytes);
  }),
);
for (const kind of ["streamed", "mapped"] as const)
  said[kind] = await outcome(
    storage.transaction((tx) => tx.write("c", "large", Buffer.alloc(30 * MIB, kind), { kind })),
  );
said.state = await outcome(persistence.set("b", "large", "x".repeat(30 * MIB)));
said.small = await outcome(persistence.set("b", "small", "1"));
said.keys = storage.list("c");
storage.read("c", "kept").verify();
said.replaced = await outcome(
  storage.transaction(async (tx) => {
    tx.delete("c", "kept");
    await tx.write("c", "other", bytes.subarray(0, MIB));
  }),
);
said.problems = checkStore(store).problems;
await store.close();
console.log(JSON.stringify(said));
