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

/** Timers that have run out and wait for the sockets to be read → what concludes them. */
const concluding = new Map<TimerHandle, NodeJS.Immediate>();

function conclude(this: TimerHandle, handler: () => void): void {
  const finish = () => {
    concluding.delete(this);
    handler();
  };
  concluding.set(this, setImmediate(finish));
}

/**
 * `systemClock` for timeouts of a network: what runs out is concluded only after the sockets were read once more. A thread that stood
 * still finds its timers due before it has seen the bytes that came in time.
 */
export const networkClock: Clock = {
  now: systemClock.now,
  setTimeout: (handler, delayMs) => globalThis.setTimeout(conclude, delayMs, handler),
  clearTimeout: (handle) => {
    globalThis.clearTimeout(handle);
    if (concluding.size === 0) return;
    clearImmediate(concluding.get(handle));
    concluding.delete(handle);
  },
};
