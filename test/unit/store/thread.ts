/** A thread that uses a store the main thread has open, as a shard or the jobs thread does. Answers each message when it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { CURRENT, writeDatabase } from "#store/databases.ts";
import { type MappedDatabase, openDatabasesReader } from "#store/databases-reader.ts";
import { openStoreEnvironment } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { sha256Hex } from "#store/record.ts";
import { MIB, someBytes } from "./support.ts";

const { folder, role, announce } = workerData as { folder: string; role: "writer" | "reader"; announce?: string };
const port = parentPort as NonNullable<typeof parentPort>;

async function writer(): Promise<(size: number, seed: number) => Promise<string>> {
  const env = await openStoreEnvironment(folder, "databases", { maxBytes: 512 * MIB });
  const storage = createLmdbStorage(env, {
    maxMappedBytes: 64 * MIB,
    crashPoint: (step) => void (step === announce && port.postMessage(step)),
  });
  await storage.getOrCreate(CURRENT);
  return async (size, seed) => {
    const flatbuffer = someBytes(size, seed);
    await storage.transaction((tx) =>
      writeDatabase(tx, CURRENT, "a.mdd", someBytes(10, seed), { ecuName: "A", flatbuffer, chunks: [], metadata: {} }),
    );
    return sha256Hex(flatbuffer);
  };
}

async function reader(): Promise<() => Promise<{ held: string | null; now: string }>> {
  const databases = await openDatabasesReader(folder);
  let held: MappedDatabase | undefined;
  return async () => {
    const before = held && sha256Hex(held.bytes);
    const next = databases.map("A");
    held?.release();
    held = next;
    return { held: before ?? null, now: sha256Hex(next.bytes) };
  };
}

const work = (await (role === "writer" ? writer() : reader())) as (...args: number[]) => Promise<unknown>;
port.on("message", (args: number[]) => void work(...args).then((answer) => port.postMessage(answer)));
port.postMessage("open");
