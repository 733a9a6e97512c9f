/** The database update with what it touches: jobs thread, fleet, discovery, health, log. */
import type { Config } from "#config/types.ts";
import { fromFaultData } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { Communication } from "#fleet/communication.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import type { Jobs } from "#fleet/jobs.ts";
import type { Authenticator } from "#security/authenticator.ts";
import type { Storage } from "#store/storage.ts";
import type { Health } from "#telemetry/health.ts";
import type { Log } from "#telemetry/logger.ts";
import type { JobOutcome, JobsOf, JobTable, RunJob } from "#update/jobs.ts";
import { createUpdater, type Updater } from "#update/updater.ts";

export interface UpdaterParts {
  readonly config: Config;
  readonly jobs: Jobs<JobTable>;
  readonly fleet: VehicleFleet;
  readonly communication: Communication;
  readonly authenticator: Authenticator;
  readonly storage: Storage;
  readonly health: Health;
  readonly log: Log;
}

export function createDatabaseUpdater(parts: UpdaterParts): Updater {
  const { config, fleet, communication, authenticator, storage, health, log } = parts;
  const logger = log.scope("update");
  return createUpdater({
    clock: systemClock,
    storage,
    fleet,
    run: jobRunner(parts),
    drainTimeoutMs: config.update.drain_timeout_ms,
    ...(authenticator.validateUpdate === undefined ? {} : { validateUpdate: authenticator.validateUpdate }),
    onLoaded: () => {
      setDatabaseHealth(fleet, health);
      communication.rediscover().catch((error: unknown) => logger.warn({ error }, "gateways could not be asked for"));
    },
    onEvent: (message, facts) => logger.info(facts, message),
    onProblem: (message, error) => logger.error({ error }, message),
  });
}

/** Jobs by name with the configuration in force; a job's fault rejects. */
export function jobRunner<Table extends JobsOf<Table> = JobTable>(parts: {
  readonly jobs: Jobs<Table>;
  readonly config: Config;
}): RunJob<Table> {
  return async (job, args, transferList) => {
    const outcome = (await parts.jobs.run(
      job,
      { ...args, config: parts.config } as never,
      transferList,
    )) as JobOutcome<never>;
    if ("fault" in outcome) throw fromFaultData(outcome.fault);
    return outcome.value;
  };
}

/** No database at all is a failure; broken files beside good ones are named. */
export function setDatabaseHealth(fleet: VehicleFleet, health: Health): void {
  const { broken } = fleet;
  const details = broken.length === 0 ? undefined : { "x-broken-files": broken };
  health.set("database", fleet.ecus.length === 0 ? "Failed" : "Up", details);
}
