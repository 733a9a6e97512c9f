import type { MessagePort } from "node:worker_threads";
import { LazyPool } from "./pool.ts";

export interface JobsOptions {
  /** URL of the worker entry. */
  readonly entry: string;
  /** The thread ends after so much time without work, ms. */
  readonly idleTimeoutMs: number;
  readonly maxHeapMb: number;
  /** Jobs that run beside each other, for those that mostly wait. Default 1. */
  readonly parallel?: number;
}

/** What jobs wait for, such as an upload's client, has ended when they are stopped: this is for what they write. */
const PATIENCE_MS = 5_000;

/** A thread for slow work: one job at a time or a few, started on demand. What a job is, the caller's table of types says. */
export class Jobs<Table extends Record<keyof Table, { readonly args: unknown; readonly result: unknown }>> {
  readonly #pool: LazyPool;

  constructor(options: JobsOptions) {
    this.#pool = new LazyPool({
      filename: options.entry,
      minThreads: 0,
      idleTimeout: options.idleTimeoutMs,
      concurrentTasksPerWorker: options.parallel ?? 1,
      resourceLimits: { maxOldGenerationSizeMb: options.maxHeapMb },
    });
  }

  /** Jobs that wait for the one that runs. */
  get waiting(): number {
    return this.#pool.waiting;
  }

  /** Rejects with what the job threw, as plain data in `FaultData` form when it was a Fault. */
  run<K extends keyof Table>(
    job: K,
    args: Table[K]["args"],
    transferList: readonly MessagePort[] = [],
  ): Promise<Table[K]["result"]> {
    return this.#pool.run({ job, args }, transferList) as Promise<Table[K]["result"]>;
  }

  /** Lets the jobs that there are end; those that take longer are ended with the thread. */
  async stop(patienceMs = PATIENCE_MS): Promise<void> {
    await this.#pool.destroy(patienceMs);
  }
}
