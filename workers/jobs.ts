/** Piscina entry of the jobs thread: slow work that neither main nor a shard may do. */
import { toFaultData } from "#core/errors.ts";
import type { JobName, JobOutcome, JobTable } from "#update/jobs.ts";
import { loadDatabases } from "#update/load.ts";

type Runner<K extends JobName> = (args: JobTable[K]["args"]) => Promise<unknown>;

const RUNNERS: { readonly [K in JobName]: Runner<K> } = {
  load: ({ config }) => loadDatabases(config),
};

export default async function run({ job, args }: { job: JobName; args: never }): Promise<JobOutcome<unknown>> {
  try {
    return { value: await (RUNNERS[job] as Runner<JobName>)(args) };
  } catch (error) {
    return { fault: toFaultData(error) };
  }
}
