/** `store check|backup|restore|compact` on the command line. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { environmentFile, openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

const CLI = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const MIB = 1 << 20;
const LIMITS = { databases: 2_048 * MIB, state: 256 * MIB, bulk: 4_096 * MIB };

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function store(...args: string[]): Promise<Ended> {
  const child = promisify(execFile)(process.execPath, ["--import", "tsx", CLI, "store", ...args]);
  return child.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, error: stderr }),
    ({ code, stdout, stderr }) => ({ code, out: stdout, error: stderr }),
  );
}

const value = async (folder: string, write?: string): Promise<string | undefined> => {
  const opened = await openStore({ folder, maxBytes: LIMITS });
  const persistence = createLmdbPersistence(opened.state);
  if (write !== undefined) await persistence.set("b", "k", write);
  const found = persistence.contains("b", "k") ? persistence.get("b", "k") : undefined;
  await opened.close();
  return found;
};

test("a store is checked, backed up, compacted and restored", async () => {
  const root = scratchFolder("store-cli");
  const folder = join(root, "store");
  const backup = join(root, "backup");
  await value(folder, "before");
  const checked = await store("check", "--store", folder);
  assert.equal(checked.code, 0, checked.error);
  assert.match(checked.out, /no problems/);
  assert.equal((await store("backup", backup, "--store", folder)).code, 0);
  assert.equal((await store("backup", backup, "--store", folder)).code, 1, "a backup is never overwritten");
  await value(folder, "after");
  const compacted = await store("compact", "--store", folder);
  assert.equal(compacted.code, 0, compacted.error);
  assert.match(compacted.out, /MiB, now /);
  assert.equal(await value(folder), "after");
  const restored = await store("restore", backup, "--store", folder);
  assert.equal(restored.code, 0, restored.error);
  assert.equal(await value(folder), "before");
});

test("damage is named and gives exit code 1; a store that is not there or in use is refused", async () => {
  const root = scratchFolder("store-cli");
  const folder = join(root, "store");
  const refusals = async (where: string, says: RegExp) => {
    const asked = ["check", "compact", "backup"].map((command) => [
      command,
      ...(command === "backup" ? [join(root, "copy")] : []),
    ]);
    for (const missing of await Promise.all(asked.map((command) => store(...command, "--store", where)))) {
      assert.equal(missing.code, 1);
      assert.match(missing.error, says);
      assert.doesNotMatch(missing.error, /\n {4}at /);
    }
  };
  await refusals(folder, /There is no store/);
  const empty = scratchFolder("empty");
  await refusals(empty, /There is no store/);
  assert.deepEqual(await readdir(empty), [], "none was made");
  const held = await openStore({ folder, maxBytes: LIMITS });
  await createLmdbPersistence(held.state).set("b", "k", "a text that can be found in the file");
  const busy = await store("compact", "--store", folder);
  assert.equal(busy.code, 1);
  assert.match(busy.error, new RegExp(`${process.pid}`), "names who has it");
  await held.close();
  const file = environmentFile(folder, "state");
  const handle = await open(file, "r+");
  const bytes = await handle.readFile();
  const at = bytes.indexOf("can be found");
  assert.ok(at > 0);
  await handle.write("can't be fou", at);
  await handle.close();
  const damaged = await store("check", "--store", folder);
  assert.equal(damaged.code, 1, damaged.out);
  assert.match(damaged.out, /state: .*does not match its hash/);
  await rm(file);
  await refusals(folder, /has no .*state\.mdb/);
});
