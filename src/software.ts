/** The software update of this process: what `main` starts, resumes and ends. */
import type { Config } from "#config/types.ts";
import { systemClock } from "#core/time.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import type { SovdContext } from "#sovd/context.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Log } from "#telemetry/logger.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import { createSoftware, type Software } from "#update/software/create.ts";
import type { CreateProvider } from "#update/software/provider.ts";

/** Longest flash of one ECU; its lock ends by itself if this process does not end it. */
const HOLD_SECONDS = 24 * 3600;

export interface SoftwareEnvironment {
  readonly config: Config;
  readonly fleet: VehicleFleet;
  readonly bulk: Bulk;
  readonly persistence: Persistence;
  readonly log: Log;
  /** Set as soon as it exists: nothing is flashed before. */
  readonly context: () => Pick<SovdContext, "locks">;
  /** Further update providers, by kind. */
  readonly more?: Readonly<Record<string, CreateProvider>>;
}

export function startSoftware(environment: SoftwareEnvironment): Promise<Software> {
  const { config, fleet, bulk, persistence, log, context, more = {} } = environment;
  const logger = log.scope("update");
  return createSoftware({
    config,
    fleet,
    clock: systemClock,
    persistence,
    bulk,
    more,
    log: (level, message, fields) => logger[level](fields, message),
    hold: async (component, campaign) => {
      const owner = `update:${campaign}`;
      const { locks } = context();
      const { id } = locks.acquire("ecu", component, owner, HOLD_SECONDS);
      return () => {
        if (locks.get("ecu", component)?.id === id) locks.release("ecu", component, id, owner);
      };
    },
  });
}
