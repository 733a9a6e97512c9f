import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";

/** Resolves after `delayMs`; rejects as soon as the signal is aborted. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(aborted(signal));
      return;
    }
    const onAbort = (): void => {
      clock.clearTimeout(timer);
      reject(aborted(signal));
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** The fault of work that was told to stop. */
export function aborted(signal: AbortSignal): Fault {
  return signal.reason instanceof Fault ? signal.reason : new Fault("conflict", "The work was stopped");
}
