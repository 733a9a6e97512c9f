/** What a thread for slow work does with a job that it gets. */
import { toFaultData } from "#core/errors.ts";
import { yieldToOthers } from "#core/thread-priority.ts";
import type { JobOutcome, JobsOf } from "./jobs.ts";

export type Runners<Table extends JobsOf<Table>> = {
  readonly [K in keyof Table]: (args: Table[K]["args"]) => Promise<unknown>;
};

/** The default export of a Piscina entry. `urgent`: the job for which the thread does not stand back. */
export function jobRunnerOf<Table extends JobsOf<Table>>(
  runners: Runners<Table>,
  urgent?: keyof Table,
): (task: { readonly job: keyof Table; readonly args: never }) => Promise<JobOutcome<unknown>> {
  return async ({ job, args }) => {
    if (job !== urgent) yieldToOthers();
    try {
      return { value: await runners[job](args) };
    } catch (error) {
      return { fault: toFaultData(error) };
    }
  };
}
