/** Piscina entry of the jobs thread: slow work that neither main nor a shard may do. */
import { toFaultData } from "#core/errors.ts";
import { yieldToOthers } from "#core/thread-priority.ts";
import { beginUpdate, finishUpdate, prepareUpdate, switchUpdate, undoUpdate } from "#update/change-set.ts";
import type { JobName, JobOutcome, JobTable } from "#update/jobs.ts";
import { loadDatabases } from "#update/load.ts";
import { removePending, removeSet, uploadDatabases } from "#update/pending-set.ts";

type Runner<K extends JobName> = (args: JobTable[K]["args"]) => Promise<unknown>;

const RUNNERS: { readonly [K in JobName]: Runner<K> } = {
  load: ({ config }) => loadDatabases(config),
  upload: ({ config, port, headers }) => uploadDatabases(config, port, headers),
  removePending: ({ config, id }) => removePending(config, id),
  removeSet: ({ config, set }) => removeSet(config, set),
  beginUpdate: ({ config, step }) => beginUpdate(config, step),
  prepareUpdate: ({ config, mode }) => prepareUpdate(config, mode),
  switchUpdate: ({ config, step }) => switchUpdate(config, step),
  finishUpdate: ({ config, end }) => finishUpdate(config, end),
  undoUpdate: ({ config, end }) => undoUpdate(config, end),
};

export default async function run({ job, args }: { job: JobName; args: never }): Promise<JobOutcome<unknown>> {
  // before the server is ready nobody is kept waiting but by this
  if (job !== "load") yieldToOthers();
  try {
    return { value: await (RUNNERS[job] as Runner<JobName>)(args) };
  } catch (error) {
    return { fault: toFaultData(error) };
  }
}
