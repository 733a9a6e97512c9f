/** Bulk data of this process: read on the main thread, changed in a thread of its own, so that no upload waits for an import nor the other way round. */
import type { Config } from "#config/types.ts";
import { workerEntry } from "#fleet/entries.ts";
import { Jobs } from "#fleet/jobs.ts";
import type { Store } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { BulkJobTable } from "#update/jobs.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { bulkJobs } from "#update/software/bulk/jobs.ts";
import { Places } from "#update/software/bulk/places.ts";
import { jobRunner } from "./database-updater.ts";

export interface OpenBulk {
  readonly bulk: Bulk;
  /** As `Jobs.stop`. */
  stop(patienceMs?: number): Promise<void>;
}

/** No thread is started before there is something to write. */
export function openBulk(config: Config, store: Store): OpenBulk {
  const jobs = new Jobs<BulkJobTable>({
    entry: workerEntry("uploads"),
    idleTimeoutMs: config.jobs.idle_timeout_ms,
    maxHeapMb: config.jobs.max_heap_mib,
    // clients are counted where they come in; whatever else there is to do never waits for one of them
    parallel: Number.MAX_SAFE_INTEGER,
  });
  const storage = createLmdbStorage(store.bulk, { maxMappedBytes: config.store.max_mapped_bytes });
  const { parallel_uploads: all, parallel_uploads_per_client: perClient } = config.update;
  const room = () => Math.max(0, config.store.max_bytes.bulk - store.bulk.space().usedBytes);
  return {
    bulk: new Bulk(storage, bulkJobs(jobRunner({ jobs, config })), new Places(all, perClient), room),
    stop: (patienceMs) => jobs.stop(patienceMs),
  };
}
