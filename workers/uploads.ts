/** Piscina entry of the thread for uploads: the one writer of bulk data. */
import type { BulkJobTable } from "#update/jobs.ts";
import { jobRunnerOf } from "#update/run-job.ts";
import { createBulk, removeBulk, writeBulk } from "#update/software/bulk/thread.ts";

export default jobRunnerOf<BulkJobTable>({ write: writeBulk, create: createBulk, remove: removeBulk });
