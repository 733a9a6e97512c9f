/** The jobs of the jobs thread by name, with what they take and give. Types only: main imports no job's code. */
import type { MessagePort } from "node:worker_threads";
import type { Config } from "#config/types.ts";
import type { FaultData } from "#core/errors.ts";
import type { CatalogResult } from "#ecu/catalog.ts";
import type { Catalog } from "#fleet/messages.ts";
import type { ExecutionStep, SwitchingMode } from "./change-set.ts";
import type { LoadResult } from "./load.ts";
import type { UploadHeaders } from "./upload-parts.ts";

/** A job's end as data: faults cross the thread boundary whole. */
export type JobOutcome<T> = { readonly value: T } | { readonly fault: FaultData };

interface Job<Args, Result> {
  readonly args: Args & { readonly config: Config };
  readonly result: JobOutcome<Result>;
}

// biome-ignore lint/complexity/noBannedTypes: no arguments but the configuration
type NoArgs = {};

export interface JobTable {
  load: Job<NoArgs, LoadResult>;
  upload: Job<{ readonly port: MessagePort; readonly headers: UploadHeaders }, readonly string[]>;
  removePending: Job<{ readonly id: string }, void>;
  removeSet: Job<{ readonly set: "nextupdate" | "backup" }, readonly string[]>;
  beginUpdate: Job<{ readonly step: ExecutionStep }, void>;
  prepareUpdate: Job<{ readonly mode: SwitchingMode }, CatalogResult>;
  switchUpdate: Job<{ readonly step: ExecutionStep }, { readonly generation: number }>;
  finishUpdate: Job<
    { readonly end: { readonly status: "completed" | "failed"; readonly time: number; readonly reason?: string } },
    void
  >;
  undoUpdate: Job<
    { readonly end: { readonly id: string; readonly time: number; readonly reason: string } },
    CatalogResult & Catalog
  >;
}

export type JobName = keyof JobTable;
export type JobArgs<K extends JobName> = Omit<JobTable[K]["args"], "config">;
export type JobResult<K extends JobName> = JobTable[K]["result"] extends JobOutcome<infer T> ? T : never;

/** Runs a job and gives its value; rejects with its fault. */
export type RunJob = <K extends JobName>(
  job: K,
  args: JobArgs<K>,
  transferList?: readonly MessagePort[],
) => Promise<JobResult<K>>;
