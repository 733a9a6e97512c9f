/** Waiting for the simulated ECUs. */
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { until } from "#fleet/until.ts";
import type { RunningServer } from "../../main.ts";

/** Resolves when these ECUs are online. @throws Fault notResponding naming those that are not in time */
export async function online({ fleet }: RunningServer, names: readonly string[], timeoutMs: number): Promise<void> {
  const missing = () => names.filter((name) => fleet.ecu(name)?.state !== "Online");
  if (await until(fleet, () => missing().length === 0, { clock: systemClock, timeoutMs })) return;
  throw new Fault("notResponding", `start-up: ECUs did not come online: ${missing().join(", ")}`);
}
