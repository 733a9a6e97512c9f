/** Source of time, passed in so that tests can turn it. All values are milliseconds on a monotonic scale. */
export interface Clock {
  now(): number;
  setTimeout(handler: () => void, delayMs: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
}

export type TimerHandle = ReturnType<typeof globalThis.setTimeout>;

/**
 * The process's own clock. Deadlines are absolute values of `now()`. Worker threads have another `performance.timeOrigin`, so the
 * scale adds it: one deadline means the same instant in every thread.
 */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  setTimeout: (handler, delayMs) => globalThis.setTimeout(handler, delayMs),
  clearTimeout: (handle) => globalThis.clearTimeout(handle),
};
