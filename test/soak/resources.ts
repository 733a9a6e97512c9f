/** What must not grow: memory, descriptors, timers and other things that keep a process alive, threads. */
import { readdirSync } from "node:fs";

export interface Sample {
  readonly atMs: number;
  readonly rssBytes: number;
  /** Of the main thread. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Active handles and timers of the main thread by kind. */
  readonly handles: Readonly<Record<string, number>>;
}

/** Now; after a collection when the process lets us ask for one. */
export function sample(): Sample {
  globalThis.gc?.();
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    atMs: performance.now(),
    rssBytes: rss,
    heapBytes: heapUsed,
    externalBytes: external,
    descriptors: countOf("/proc/self/fd"),
    threads: countOf("/proc/self/task"),
    handles,
  };
}

function countOf(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}

/**
 * Growth of the lowest value from the first to the last third of the samples, 0.1 for ten percent. A leak lifts the floor; peaks
 * only follow the load.
 */
export function growth(values: readonly number[]): number {
  const third = Math.max(1, Math.floor(values.length / 3));
  const before = Math.min(...values.slice(0, third));
  return before > 0 && values.length > 1 ? Math.min(...values.slice(-third)) / before - 1 : 0;
}
