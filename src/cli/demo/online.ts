/** Waiting for the simulated ECUs. */
import { Fault } from "#core/errors.ts";
import type { RunningServer } from "../../main.ts";

/** Resolves when these ECUs are online. @throws Fault notResponding naming those that are not in time */
export function online({ fleet }: RunningServer, names: readonly string[], timeoutMs: number): Promise<void> {
  const missing = () => names.filter((name) => fleet.ecu(name)?.state !== "Online");
  return new Promise((resolve, reject) => {
    if (missing().length === 0) return resolve();
    const timer = setTimeout(() => {
      stop();
      reject(new Fault("notResponding", `start-up: ECUs did not come online: ${missing().join(", ")}`));
    }, timeoutMs);
    const stop = fleet.onChange(() => {
      if (missing().length > 0) return;
      clearTimeout(timer);
      stop();
      resolve();
    });
  });
}
