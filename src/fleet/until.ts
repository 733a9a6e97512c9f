import type { Clock } from "#core/time.ts";
import type { Fleet } from "./api.ts";

export interface UntilOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Ends the wait as time does. */
  readonly signal?: AbortSignal;
}

/** Resolves with true once something holds that a change of the fleet may bring about, with false when the wait ends before. */
export function until(
  fleet: Pick<Fleet, "onChange">,
  holds: () => boolean,
  { clock, timeoutMs, signal }: UntilOptions,
): Promise<boolean> {
  if (holds()) return Promise.resolve(true);
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const giveUp = (): void => end(false);
    const timer = clock.setTimeout(giveUp, timeoutMs);
    const stop = fleet.onChange(() => holds() && end(true));
    signal?.addEventListener("abort", giveUp, { once: true });
    function end(result: boolean): void {
      clock.clearTimeout(timer);
      stop();
      signal?.removeEventListener("abort", giveUp);
      resolve(result);
    }
  });
}
