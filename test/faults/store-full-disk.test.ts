import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { scratchFolder } from "../fixtures/cleanup.ts";

const FILLER = fileURLToPath(new URL("../crash/full-disk.ts", import.meta.url));
/** In blocks of 512 or 1024 bytes, as the shell has it: room for 8 or 16 MiB. */
const FILE_LIMIT = 16_384;

test("a write the disk refuses fails alone: the process lives, the store serves and takes what fits", async () => {
  const command = `ulimit -f ${FILE_LIMIT} && exec "$0" --import tsx "$1" "$2"`;
  const child = spawn("sh", ["-c", command, process.execPath, FILLER, scratchFolder("store")], {
    stdio: ["ignore", "pipe", "ignore"], // the library writes its own lines about failed writes
  });
  const said = JSON.parse(await text(child.stdout)) as Record<string, unknown>;
  // A file size limit shows as a short write, which LMDB calls an I/O error; a full disk as noSpaceLeft.
  for (const refused of ["streamed", "mapped", "state"])
    assert.match(String(said[refused]), /^(storageIo|noSpaceLeft)$/);
  const { first, small, keys, replaced, problems } = said;
  assert.deepEqual(
    { first, small, keys, replaced, problems },
    { first: "done", small: "done", keys: ["kept"], replaced: "done", problems: [] },
  );
});
