/** Bulk data as the main thread changes it: each change is a job of the thread for uploads. */
import { Fault, reasonOf } from "#core/errors.ts";
import type { BulkJobTable, RunJob } from "#update/jobs.ts";
import { uploadTo } from "#update/upload-port.ts";
import type { BulkWriter } from "./files.ts";

/** Faults of the writer, and `workerLost` when the thread dies: what was durable until then stays, and an upload may go on there. */
export function bulkJobs(run: RunJob<BulkJobTable>): BulkWriter {
  const change: RunJob<BulkJobTable> = async (job, args, transferList) => {
    try {
      return await run(job, args, transferList);
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault("workerLost", `The thread for uploads ended: ${reasonOf(error)}`, undefined, error);
    }
  };
  return {
    write: (start, offset, source, last) =>
      uploadTo(source, (port) => change("write", { port, start, offset, last }, [port])),
    create: (form, source) => uploadTo(source, (port) => change("create", { port, form }, [port])),
    remove: (key) => change("remove", { key }),
  };
}
