import assert from "node:assert/strict";
import { once } from "node:events";
import { getPriority } from "node:os";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { cleanup } from "../../fixtures/cleanup.ts";

/** A worker does not inherit the loader of TypeScript. */
const LOADER = `import("tsx/esm/api").then(({ register }) => { register(); return import(${JSON.stringify(new URL("nice-thread.ts", import.meta.url).href)}); });`;

test("only the thread that asks for it is nice from then on", async (t) => {
  if (process.platform !== "linux") return t.skip("priorities of threads are Linux's");
  const before = getPriority(process.pid);
  const worker = new Worker(LOADER, { eval: true });
  cleanup(t, () => worker.terminate());
  const [nicer] = (await once(worker, "message")) as [number];
  assert.ok(nicer > 0, `nicer by ${nicer}`);
  assert.equal(getPriority(process.pid), before);
});
