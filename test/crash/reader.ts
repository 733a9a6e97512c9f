/**
 * Reads everything from a store that may be damaged: `reader.ts FOLDER`. Writes a line `COLLECTION/KEY PART SHA256` for each value it
 * is given, hashing what it got; what it is refused it leaves out.
 */
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { openDatabasesReader } from "#store/databases-reader.ts";
import { openStore } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";

const MIB = 1 << 20;
const [folder = ""] = process.argv.slice(2);
const store = await openStore({ folder, maxBytes: { databases: 64 * MIB, state: 16 * MIB, bulk: 16 * MIB } });
const storage = createLmdbStorage(store.databases, { maxMappedBytes: 64 * MIB });

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // refused: that is what damage should lead to
  }
}

function report(name: string, parts: Iterable<Uint8Array>): void {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  writeSync(1, `${name} ${hash.digest("hex")}\n`);
}

for (const collection of storage.collections())
  attempt(() => {
    for (const key of storage.list(collection))
      attempt(() => {
        for (const part of [undefined, ...Object.keys(storage.metadata(collection, key).parts)])
          attempt(() => {
            const value = storage.read(collection, key, part);
            const pieces = [...value.chunks()];
            report(`${collection}/${key} ${part ?? "value"}`, pieces);
            value.close();
          });
      });
  });
const reader = await openDatabasesReader(folder);
attempt(() => {
  for (const { key } of reader.list())
    attempt(() => report(`diagnostic_database/${key} flatbuffer`, [reader.map(key, { verify: true }).bytes]));
});
process.exit(0);
