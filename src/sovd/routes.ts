/** The one table of all SOVD routes. */
import { appRoutes } from "./apps.ts";
import { authorizeRoutes } from "./authorize.ts";
import { bulkDataRoutes } from "./bulk-data.ts";
import { comParamRoutes } from "./comparams.ts";
import { componentRoutes } from "./components.ts";
import type { SovdOptions } from "./context.ts";
import { cyclicSubscriptionRoutes } from "./cyclic-subscriptions.ts";
import { dataRoutes } from "./data.ts";
import { downloadRoutes } from "./download.ts";
import { embeddedRoutes } from "./embedded.ts";
import { faultRoutes } from "./faults.ts";
import { functionRoutes } from "./functions.ts";
import { genericRoutes } from "./generic.ts";
import { groupOperationRoutes } from "./group-operations.ts";
import { healthRoutes } from "./health.ts";
import { jobRoutes } from "./jobs.ts";
import { lockRoutes } from "./lock-routes.ts";
import { modeRoutes } from "./modes.ts";
import { operationRoutes } from "./operations.ts";
import { resetRoutes } from "./reset.ts";
import type { Route } from "./route.ts";
import { runtimeExecutionRoutes } from "./runtime-executions.ts";
import { runtimeContentRoutes, runtimeFileRoutes } from "./runtime-files.ts";
import { rxswinRoutes } from "./rxswin.ts";
import { softwarePackageRoutes } from "./software-packages.ts";
import { triggerRoutes } from "./triggers.ts";
import { ucmRoutes } from "./ucm.ts";
import { updateRoutes } from "./updates.ts";
import { vehicleRoutes } from "./vehicle.ts";
import { versionRoutes } from "./version.ts";

const ALWAYS: readonly Route[] = [
  ...vehicleRoutes,
  ...versionRoutes,
  ...authorizeRoutes,
  ...lockRoutes,
  ...appRoutes,
  ...runtimeFileRoutes,
  ...runtimeExecutionRoutes,
  ...componentRoutes,
  ...dataRoutes,
  ...genericRoutes,
  ...operationRoutes,
  ...comParamRoutes,
  ...resetRoutes,
  ...modeRoutes,
  ...faultRoutes,
  ...jobRoutes,
  ...embeddedRoutes,
  ...downloadRoutes,
  ...functionRoutes,
  ...groupOperationRoutes,
];

const UPDATES: readonly Route[] = [
  ...updateRoutes,
  ...bulkDataRoutes,
  ...cyclicSubscriptionRoutes,
  ...triggerRoutes,
  ...softwarePackageRoutes,
  ...ucmRoutes,
  ...rxswinRoutes,
];

/** Every route these options offer. Order does not matter: a fixed segment wins over a parameter. */
export function sovdRoutes(
  options: Pick<SovdOptions, "healthEnabled" | "databaseDownload" | "updatesEnabled">,
): readonly Route[] {
  return [
    ...ALWAYS,
    ...(options.healthEnabled ? healthRoutes : []),
    ...(options.updatesEnabled ? UPDATES : []),
    ...(options.databaseDownload ? runtimeContentRoutes : []),
  ];
}
