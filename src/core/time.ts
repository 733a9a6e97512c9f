/** Source of time, passed in so that tests can turn it. All values are milliseconds on a monotonic scale. */
export interface Clock {
  now(): number;
  setTimeout(handler: () => void, delayMs: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
}

export type TimerHandle = ReturnType<typeof globalThis.setTimeout>;

/** Read once: the property is computed at each reading. Every thread has a module, and so an origin, of its own. */
const ORIGIN_MS = performance.timeOrigin;

/**
 * The process's own clock. Deadlines are absolute values of `now()`. Worker threads have another `performance.timeOrigin`, so the
 * scale adds it: one deadline means the same instant in every thread.
 */
export const systemClock: Clock = {
  now: () => ORIGIN_MS + performance.now(),
  setTimeout: (handler, delayMs) => globalThis.setTimeout(handler, delayMs),
  clearTimeout: (handle) => globalThis.clearTimeout(handle),
};
