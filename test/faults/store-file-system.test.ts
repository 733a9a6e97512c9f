/** File systems that refuse: read-only, full, not one's own. Mounts and other users need root; without it the tests are skipped. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore } from "#store/environments.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { faultOf, MIB } from "../unit/store/support.ts";

const LIMITS = { databases: 64 * MIB, state: 16 * MIB, bulk: 16 * MIB };
const FILLER = fileURLToPath(new URL("../crash/full-disk.ts", import.meta.url));
const HOLDER = fileURLToPath(new URL("../crash/holder.ts", import.meta.url));
const NOBODY = 65_534;

/** A file system of so many bytes that is gone after the test. Undefined, and the test skipped, where none can be mounted. */
function fileSystem(t: TestContext, sizeBytes: number): string | undefined {
  const folder = scratchFolder("file-system");
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder], { stdio: "ignore" });
  cleanup(t, () => {
    if (mounted.status === 0) spawnSync("umount", ["-l", folder]);
    rmdirSync(folder);
  });
  if (mounted.status === 0) return folder;
  t.skip("no file system can be mounted here (needs root)");
  return undefined;
}

test("a read-only file system: the start is refused, and says why", async (t) => {
  const root = fileSystem(t, 64 * MIB);
  if (root === undefined) return;
  const folder = join(root, "data");
  await (await openStore({ folder, maxBytes: LIMITS })).close();
  assert.equal(spawnSync("mount", ["-o", "remount,ro", root]).status, 0);
  for (const path of [folder, join(root, "new")])
    await assert.rejects(openStore({ folder: path, maxBytes: LIMITS }), (error: Error) => {
      assert.match(error.message, /^Locking .*read-only file system/);
      return faultOf("permissionDenied")(error);
    });
  assert.equal(spawnSync("mount", ["-o", "remount,rw", root]).status, 0);
  await (await openStore({ folder, maxBytes: LIMITS })).close();
});

test("a full file system: what does not fit is refused as that, everything else goes on", async (t) => {
  const folder = fileSystem(t, 20 * MIB);
  if (folder === undefined) return;
  const child = spawn(process.execPath, ["--import", "tsx", FILLER, folder], { stdio: ["ignore", "pipe", "ignore"] });
  const said = JSON.parse(await text(child.stdout)) as Record<string, unknown>;
  assert.deepEqual(said, {
    first: "done",
    streamed: "noSpaceLeft",
    mapped: "noSpaceLeft",
    state: "noSpaceLeft",
    small: "done",
    keys: ["kept"],
    replaced: "done",
    problems: [],
  });
});

test("a file system that is full from the start: refused as that; with room again a new store is made", async (t) => {
  const root = fileSystem(t, 4 * MIB);
  if (root === undefined) return;
  const folder = join(root, "data");
  mkdirSync(folder);
  const filling = join(root, "filling");
  assert.throws(() => writeFileSync(filling, Buffer.alloc(5 * MIB)), { code: "ENOSPC" });
  await assert.rejects(openStore({ folder, maxBytes: LIMITS }), faultOf("noSpaceLeft"));
  assert.deepEqual(
    readdirSync(folder).filter((name) => name === "store"),
    [],
  );
  rmSync(filling);
  await (await openStore({ folder, maxBytes: LIMITS })).close();
  assert.deepEqual(readdirSync(folder), ["store"]);
});

test("a store of somebody else: refused, and says so", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("another user can be taken by root alone");
  const folder = scratchFolder("store");
  await (await openStore({ folder, maxBytes: LIMITS })).close();
  const asNobody = async () => {
    const stdio = ["pipe", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, ["--import", "tsx", HOLDER, folder], { stdio: [...stdio], uid: NOBODY });
    child.stdin.end();
    return text(child.stdout);
  };
  chmodSync(folder, 0o755);
  assert.match(await asNobody(), /^refused Locking .*permission denied/);
  chmodSync(folder, 0o777);
  assert.match(await asNobody(), /^refused Opening .*databases\.mdb: .*permission denied/i);
  assert.deepEqual(readdirSync(folder), ["store"]);
});
