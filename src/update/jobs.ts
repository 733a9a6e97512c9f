/** The jobs of the jobs thread by name, with what they take and give. Types only: main imports no job's code. */
import type { Config } from "#config/types.ts";
import type { FaultData } from "#core/errors.ts";
import type { LoadResult } from "./load.ts";

/** A job's end as data: faults cross the thread boundary whole. */
export type JobOutcome<T> = { readonly value: T } | { readonly fault: FaultData };

export interface JobTable {
  load: { readonly args: { readonly config: Config }; readonly result: JobOutcome<LoadResult> };
}

export type JobName = keyof JobTable;
