import { type Clock, systemClock } from "#core/time.ts";

/** A thread that is only just there says how it is as late as it likes; one that died is started again at once. */
export const PATIENT: Clock = {
  ...systemClock,
  setTimeout: (handler, delayMs) => systemClock.setTimeout(handler, delayMs === 0 ? 0 : 60_000),
};
