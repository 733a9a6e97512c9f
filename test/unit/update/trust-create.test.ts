/** What this node has believed so far outlives the process, and does not fall. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { Journal } from "#update/software/journal/journal.ts";
import { signedTimeOf } from "#update/software/trust/create.ts";

test("the latest signed time stays, whoever writes at the same time", async () => {
  const journal = new Journal({ persistence: createMemoryPersistence(), nowMs: Date.now, maxRecords: 100 });
  await journal.open();
  const time = signedTimeOf(journal);
  await Promise.all([time.write(200), time.write(100)]);
  assert.deepEqual([time.read(), signedTimeOf(journal).read()], [200, 200]);
});
