/** Files that may be flashed, found in a real folder. */
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createFlashFiles } from "#sovd/flash-files.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

async function folder(): Promise<string> {
  const path = scratchFolder("flash");
  await mkdir(join(path, "sub"));
  await writeFile(join(path, "a.b"), "1");
  await writeFile(join(path, "a_b"), "22");
  await writeFile(join(path, "sub", "Image-1.bin"), "333");
  await writeFile(join(path, "\u{1F697}\u00fc.bin"), "4444");
  await symlink(join(path, "a.b"), join(path, "link"));
  return path;
}

test("ids from relative paths, collisions numbered, links skipped", async () => {
  const files = createFlashFiles({ folder: await folder(), maxFiles: 10, maxDepth: 4 });
  assert.deepEqual(
    (await files.list()).map(({ id, name, originalPath, sizeBytes }) => [id, name, originalPath, sizeBytes]),
    [
      ["a_b", "a.b", "a.b", 1],
      ["a_b_2", "a_b", "a_b", 2],
      ["sub_Image_1_bin", "Image-1.bin", join("sub", "Image-1.bin"), 3],
      ["___bin", "\u{1F697}\u00fc.bin", "\u{1F697}\u00fc.bin", 4],
    ],
  );
  assert.equal((await files.find("a_b_2"))?.sizeBytes, 2);
  assert.equal(await files.find("nope"), undefined);
});

test("bounds hold, and a folder that is not there is empty", async () => {
  const path = await folder();
  assert.equal((await createFlashFiles({ folder: path, maxFiles: 1, maxDepth: 4 }).list()).length, 1);
  assert.equal((await createFlashFiles({ folder: path, maxFiles: 10, maxDepth: 0 }).list()).length, 3);
  assert.deepEqual(await createFlashFiles({ folder: join(path, "nope"), maxFiles: 10, maxDepth: 4 }).list(), []);
});
