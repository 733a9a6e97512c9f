import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { backupFolder, checkStore, restoreStore } from "#store/maintenance.ts";
import { LIMITS } from "../crash/inspect.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";

const COUNTER = fileURLToPath(new URL("../crash/counter.ts", import.meta.url));
/** At least; as many more as it takes until the other process has counted on. */
const BACKUPS = 8;

test("backups beside a process at work show all environments at one instant, and restore", async (t) => {
  const root = scratchFolder("store");
  const folder = join(root, "data");
  const child = spawn(process.execPath, ["--import", "tsx", COUNTER, folder], { stdio: ["pipe", "pipe", "inherit"] });
  cleanup(t, () => child.kill("SIGKILL"));
  const closed = once(child, "close");
  await once(child.stdout, "data");
  const counts: number[][] = [];
  const hasCounted = () => (counts.at(-1)?.[0] ?? 0) > (counts[0]?.[0] ?? 0);
  for (let index = 0; index < BACKUPS || !hasCounted(); index++) {
    assert.equal(child.exitCode, null, "the other process goes on");
    const backup = join(root, `backup-${index}`);
    const restored = join(root, `restored-${index}`);
    await backupFolder(folder, backup, LIMITS);
    await restoreStore(backup, restored, LIMITS);
    const store = await openStore({ folder: restored, maxBytes: LIMITS });
    const count = (env: typeof store.bulk) => createLmdbStorage(env, { maxMappedBytes: 1 << 20 }).record("count");
    const persisted = createLmdbPersistence(store.state).get("b", "count");
    counts.push([count(store.databases), persisted, count(store.bulk)].map(Number));
    assert.deepEqual(checkStore(store).problems, []);
    await store.close();
  }
  child.stdin.end();
  assert.deepEqual(await closed, [0, null]);
  for (const [databases = 0, state = 0, bulk = 0] of counts)
    assert.ok(databases >= state && state >= bulk && databases - bulk <= 1, JSON.stringify(counts));
  const store = await openStore({ folder, maxBytes: LIMITS });
  assert.deepEqual(checkStore(store).problems, []);
  await store.close();
});
