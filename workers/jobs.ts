/** Piscina entry of the jobs thread: slow work that neither main nor a shard may do. */
import { beginUpdate, finishUpdate, prepareUpdate, switchUpdate, undoUpdate } from "#update/change-set.ts";
import type { JobTable } from "#update/jobs.ts";
import { loadDatabases } from "#update/load.ts";
import { removePending, removeSet, uploadDatabases } from "#update/pending-set.ts";
import { jobRunnerOf } from "#update/run-job.ts";

export default jobRunnerOf<JobTable>(
  {
    load: ({ config }) => loadDatabases(config),
    upload: ({ config, port, headers }) => uploadDatabases(config, port, headers),
    removePending: ({ config, id }) => removePending(config, id),
    removeSet: ({ config, set }) => removeSet(config, set),
    beginUpdate: ({ config, step }) => beginUpdate(config, step),
    prepareUpdate: ({ config, mode }) => prepareUpdate(config, mode),
    switchUpdate: ({ config, step }) => switchUpdate(config, step),
    finishUpdate: ({ config, end }) => finishUpdate(config, end),
    undoUpdate: ({ config, end }) => undoUpdate(config, end),
  },
  // before the server is ready nobody is kept waiting but by this
  "load",
);
