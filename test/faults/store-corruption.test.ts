import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkInProcess } from "#store/check-process.ts";
import { BACKUP, CURRENT, writeDatabase } from "#store/databases.ts";
import { environmentFile, environmentFolder, openStore } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { randomFrom } from "../crash/model.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { TEST_SEED } from "../fixtures/seed.ts";
import { MIB, someBytes } from "../unit/store/support.ts";

const READER = fileURLToPath(new URL("../crash/reader.ts", import.meta.url));
const LIMITS = { databases: 64 * MIB, state: 16 * MIB, bulk: 16 * MIB };
const TRIALS = Number(process.env.CORRUPTION_TRIALS ?? 8);
/** For a process that damaged pages hang: one that is merely slow has ended by then. */
const TIMEOUT_MS = 100_000;

interface Sound {
  readonly folder: string;
  /** `COLLECTION/KEY PART` → SHA-256. */
  readonly content: ReadonlyMap<string, string>;
}

async function soundStore(): Promise<Sound> {
  const folder = join(scratchFolder("store"), "sound");
  const store = await openStore({ folder, maxBytes: LIMITS });
  const storage = createLmdbStorage(store.databases, { maxMappedBytes: 32 * MIB });
  const content = new Map<string, string>();
  await storage.transaction(async (tx) => {
    tx.create(CURRENT);
    for (const [index, size] of [100, 3_000, 40_000, 2 * MIB, 17 * MIB].entries()) {
      const [key, container, flatbuffer] = [`ecu${index}.mdd`, someBytes(size / 4, index), someBytes(size, index + 50)];
      await writeDatabase(tx, CURRENT, key, container, { ecuName: key, flatbuffer, chunks: [], metadata: {} });
      for (const collection of [CURRENT, BACKUP]) {
        content.set(`${collection}/${key} value`, sha256(container));
        content.set(`${collection}/${key} flatbuffer`, sha256(flatbuffer));
      }
    }
    tx.copyCollection(CURRENT, BACKUP);
  });
  await store.close();
  return { folder, content };
}

/** What a process got out of a store; it may have died on the way. */
async function served(folder: string): Promise<string[]> {
  const child = spawn(process.execPath, ["--import", "tsx", READER, folder], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const output = await text(child.stdout);
  return output.split("\n").slice(0, -1);
}

test("flipped bytes are named by the check, and wrong data is never served", async (t) => {
  const { folder, content } = await soundStore();
  assert.deepEqual((await checkInProcess(folder, LIMITS)).problems, []);
  assert.equal(new Set(await served(folder)).size, content.size);
  const original = readFileSync(environmentFile(folder, "databases"));
  const random = randomFrom(TEST_SEED);
  const outcomes = { named: 0, "process died": 0, "only unused bytes": 0 };

  for (let trial = 0; trial < TRIALS; trial++) {
    const damaged = `${folder}-${trial}`;
    cpSync(environmentFolder(folder), environmentFolder(damaged), { recursive: true });
    const bytes = Buffer.from(original);
    // Half of the trials hit anywhere, half the few pages that hold the trees and records, at the end of the file.
    const span = trial % 2 === 0 ? bytes.length : Math.min(bytes.length, 40 * 4096);
    for (let flips = 1 + random(8); flips > 0; flips--) {
      const at = bytes.length - span + random(span);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 + random(255)), at);
    }
    writeFileSync(environmentFile(damaged, "databases"), bytes);
    const [{ problems }, lines] = await Promise.all([
      checkInProcess(damaged, LIMITS, { timeoutMs: TIMEOUT_MS }),
      copyAndServe(damaged),
    ]);
    for (const copy of [damaged, `${damaged}-read`]) rmSync(copy, { recursive: true });
    const context = `seed ${TEST_SEED}, trial ${trial}`;
    for (const line of lines) {
      const [key = "", part = "", hash] = line.split(" ");
      assert.equal(hash, content.get(`${key} ${part}`), `${context}: ${line}`);
    }
    const complete = new Set(lines).size === content.size;
    assert.ok(complete || problems.length > 0, `${context}: something is refused, but the check names nothing`);
    if (problems.length === 0) outcomes["only unused bytes"]++;
    else if (problems[0]?.problem.startsWith("checking ended with")) outcomes["process died"]++;
    else outcomes.named++;
  }
  t.diagnostic(`seed ${TEST_SEED}: ${JSON.stringify(outcomes)}`);
  assert.ok(outcomes.named > 0);
});

/** A copy to read from, as only one process may have a store. */
function copyAndServe(folder: string): Promise<string[]> {
  const copy = `${folder}-read`;
  cpSync(environmentFolder(folder), environmentFolder(copy), { recursive: true });
  return served(copy);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
