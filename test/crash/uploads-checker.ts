/** Checks stores that were cut off while bulk data was uploaded. */
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { answerChecks } from "./image-checks.ts";
import { openSound, requireSound } from "./inspect.ts";
import { requireUploads } from "./uploads-model.ts";

const LIMITS = { maxBytes: 16 << 20, maxFiles: 10 };

await answerChecks(async (folder, seed, [done = 0]) => {
  const { store } = await openSound(folder);
  try {
    const storage = createLmdbStorage(store.bulk, { maxMappedBytes: LIMITS.maxBytes });
    await requireUploads(new Bulk(storage, new StorageBulkWriter(storage, LIMITS)), seed, done);
    requireSound(store);
    return done;
  } finally {
    await store.close();
  }
});
