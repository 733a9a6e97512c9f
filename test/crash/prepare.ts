/** Stores of the crash tests in a known state, made by processes of their own. */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const BACKUP = fileURLToPath(new URL("backup.ts", import.meta.url));
const run = promisify(execFile);

/** Runs operations `from` … `to` of a seed on a store. */
export async function runOperations(
  folder: string,
  seed: number,
  { from, to }: { readonly from: number; readonly to: number },
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  await script([CHILD, folder, String(seed), String(from), String(to - from)], env);
}

/** Backs up a store that is not in use. */
export async function backUp(folder: string, target: string): Promise<void> {
  rmSync(target, { recursive: true, force: true });
  await script([BACKUP, folder, target], {});
}

async function script(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  await run(process.execPath, ["--import", "tsx", ...args], { env: { ...process.env, ...env } });
}
