/** The jobs of the threads for slow work by name, with what they take and give. Types only: main imports no job's code. */
import type { MessagePort } from "node:worker_threads";
import type { Config } from "#config/types.ts";
import type { FaultData } from "#core/errors.ts";
import type { CatalogResult } from "#ecu/catalog.ts";
import type { Catalog } from "#fleet/messages.ts";
import type { BulkForm, BulkInfo, BulkKey, BulkStart } from "#update/software/bulk/files.ts";
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

/** The jobs of the jobs thread. */
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

/** The jobs of the thread for uploads. */
export interface BulkJobTable {
  write: Job<
    { readonly port: MessagePort; readonly start: BulkStart; readonly offset: number; readonly last: boolean },
    BulkInfo
  >;
  create: Job<{ readonly port: MessagePort; readonly form: BulkForm }, BulkInfo>;
  remove: Job<{ readonly key: BulkKey }, void>;
}

/** What a job takes but the configuration, and what it gives. */
export type JobArgs<J extends { readonly args: unknown }> = Omit<J["args"], "config">;
export type JobResult<J extends { readonly result: unknown }> = J["result"] extends JobOutcome<infer T> ? T : never;

/** Any table of jobs. */
export type JobsOf<Table> = { readonly [K in keyof Table]: { readonly args: unknown; readonly result: unknown } };

/** Runs a job and gives its value; rejects with its fault. */
export type RunJob<Table extends JobsOf<Table> = JobTable> = <K extends keyof Table>(
  job: K,
  args: JobArgs<Table[K]>,
  transferList?: readonly MessagePort[],
) => Promise<JobResult<Table[K]>>;
