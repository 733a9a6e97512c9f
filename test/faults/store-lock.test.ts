import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore } from "#store/environments.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { faultOf, MIB } from "../unit/store/support.ts";

const HOLDER = fileURLToPath(new URL("../crash/holder.ts", import.meta.url));
const LIMITS = { databases: 64 * MIB, state: 16 * MIB, bulk: 16 * MIB };

/** A process that tries to take the store; its answer. */
async function holder(
  t: TestContext,
  folder: string,
  within: readonly string[] = [],
): Promise<{ child: ChildProcess; said: string }> {
  const [command = "", ...args] = [...within, process.execPath, "--import", "tsx", HOLDER, folder];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  cleanup(t, () => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  const [said] = (await once(lines, "line")) as [string];
  return { child, said };
}

test("a second process is told who has the store, and gets it when that one is killed", async (t) => {
  const folder = scratchFolder("store");
  const first = await holder(t, folder);
  assert.equal(first.said, "held");
  await assert.rejects(openStore({ folder, maxBytes: LIMITS }), (error: Error) => {
    assert.match(error.message, new RegExp(`in use by process ${first.child.pid}$`));
    return faultOf("conflict")(error);
  });
  assert.match((await holder(t, folder)).said, new RegExp(`^refused .*in use by process ${first.child.pid}$`));
  const gone = once(first.child, "exit");
  first.child.kill("SIGKILL");
  await gone;
  const store = await openStore({ folder, maxBytes: LIMITS });
  assert.match((await holder(t, folder)).said, new RegExp(`^refused .*in use by process ${process.pid}$`));
  await store.close();
  const last = await holder(t, folder);
  assert.equal(last.said, "held");
  last.child.stdin?.end();
  await once(last.child, "exit");
});

const UNSHARE = ["--pid", "--fork", "--net", "--mount-proc"];

function missingNamespaces(): string | undefined {
  const { error, status } = spawnSync("unshare", [...UNSHARE, "true"], { stdio: "ignore" });
  return error === undefined && status === 0 ? undefined : "namespaces cannot be made here (needs unshare and root)";
}

test("a process in another pid and network namespace is found, alive or gone", async (t) => {
  const missing = missingNamespaces();
  if (missing !== undefined) return t.skip(missing);
  const folder = join(scratchFolder("store"), "long".repeat(40));
  const apart = ["unshare", ...UNSHARE, "--kill-child"];
  const first = await holder(t, folder, apart);
  assert.equal(first.said, "held");
  const theirs = /in use by process 1 of another container or namespace$/;
  await assert.rejects(openStore({ folder, maxBytes: LIMITS }), (error: Error) => {
    assert.match(error.message, theirs);
    return faultOf("conflict")(error);
  });
  assert.match((await holder(t, folder, apart)).said, theirs);
  const gone = once(first.child, "close");
  first.child.kill("SIGKILL");
  await gone;
  const store = await openStore({ folder, maxBytes: LIMITS });
  assert.match((await holder(t, folder, apart)).said, new RegExp(`in use by process ${process.pid} of another`));
  await store.close();
  assert.deepEqual(readdirSync(folder), ["store"]);
});
