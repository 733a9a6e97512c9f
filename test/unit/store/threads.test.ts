import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { environmentFile, openStore } from "#store/environments.ts";
import { sweepStaged } from "#store/lmdb-blobs.ts";
import { checkStore } from "#store/maintenance.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { MIB } from "./support.ts";

const LIMITS = { databases: 512 * MIB, state: 16 * MIB, bulk: 16 * MIB };
const ENTRY = new URL("thread.ts", import.meta.url);
/** Node 20 does not hand the TypeScript loader on to threads. */
const LOADER = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(ENTRY.href)})))`;
const SIZE = 17 * MIB;

interface Thread<Answer> {
  readonly worker: Worker;
  ask(...args: number[]): Promise<Answer>;
}

async function thread<Answer>(
  t: TestContext,
  folder: string,
  role: "writer" | "reader",
  announce?: string,
): Promise<Thread<Answer>> {
  const worker = new Worker(LOADER, { eval: true, workerData: { folder, role, announce } });
  cleanup(t, () => worker.terminate());
  await once(worker, "message");
  return {
    worker,
    async ask(...args) {
      const answer = once(worker, "message");
      worker.postMessage(args);
      return ((await answer) as [Answer])[0];
    },
  };
}

type Reading = { readonly held: string | null; readonly now: string };

test("readers in threads see each write of the jobs thread, and keep what they hold until they let go", async (t) => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  cleanup(t, () => store.close());
  const writer = await thread<string>(t, folder, "writer");
  const readers = [await thread<Reading>(t, folder, "reader"), await thread<Reading>(t, folder, "reader")];
  let before: string | null = null;
  for (let round = 0; round < 4; round++) {
    const now = await writer.ask(SIZE, round);
    for (const answer of await Promise.all(readers.map((reader) => reader.ask())))
      assert.deepEqual(answer, { held: before, now });
    before = now;
  }
  assert.deepEqual(checkStore(store).problems, []);
});

test("a reader thread that dies lets go of what it held: the file does not grow on", async (t) => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  cleanup(t, () => store.close());
  const writer = await thread<string>(t, folder, "writer");
  for (let round = 0; round < 3; round++) {
    await writer.ask(SIZE, round);
    const reader = await thread<Reading>(t, folder, "reader");
    await reader.ask();
    await reader.worker.terminate();
  }
  for (let round = 3; round < 9; round++) await writer.ask(SIZE, round);
  const { size } = statSync(environmentFile(folder, "databases"));
  assert.ok(size < 5 * SIZE, `${size} bytes for one value of ${SIZE}`);
});

test("a jobs thread that dies in the middle of a write leaves the store to its successor", async (t) => {
  const folder = scratchFolder("store");
  const store = await openStore({ folder, maxBytes: LIMITS });
  cleanup(t, () => store.close());
  for (const [round, step] of [
    "stage.begin",
    "stage.stored",
    "commit.before",
    "commit.inside",
    "commit.after",
  ].entries()) {
    const dying = await thread<string>(t, folder, "writer", step);
    const reached = once(dying.worker, "message");
    dying.worker.postMessage([SIZE, round]);
    assert.deepEqual(await reached, [step]);
    await dying.worker.terminate();
  }
  await sweepStaged(store.databases);
  assert.deepEqual(checkStore(store).problems, []);
  const writer = await thread<string>(t, folder, "writer");
  const now = await writer.ask(SIZE, 99);
  const reader = await thread<Reading>(t, folder, "reader");
  assert.equal((await reader.ask()).now, now);
});
