// The bench of the native-free parts runs, and its proof that no addon was loaded is one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { nativeAddons } from "../../../native-free-bench/native-check.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

test("the bench runs and loads no native addon", async () => {
  const args = ["--import", "tsx", "native-free-bench/main.ts", "--time=1", "--only=VIN"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  assert.match(stdout, /MDD: decode a VIN/);
  assert.match(stdout, /no native addon loaded/);
});

test("an addon that is loaded is found", () => {
  createRequire(import.meta.url)("@napi-rs/lzma");
  assert.ok(nativeAddons().length > 0);
});
