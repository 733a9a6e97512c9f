/** What every request must pass before its handler: readiness, the entity it names, the token, the switch, the lock. One place. */
import { Fault } from "#core/errors.ts";
import type { EcuView } from "#fleet/api.ts";
import type { SovdContext, SovdOptions } from "./context.ts";
import type { LockScope } from "./locks.ts";
import type { LockRule, Route } from "./route.ts";

/** The lock scope a rule asks for under these options; undefined for none. */
export function lockScopeOf(rule: LockRule, options: SovdOptions): LockScope | undefined {
  switch (rule) {
    case "none":
      return undefined;
    case "dataWrite":
      return options.dataLock ? "ecu" : undefined;
    case "download":
      return options.downloadLock ? "ecu" : undefined;
    case "comParam":
      return options.comParamLock ? "ecu" : undefined;
    default:
      return rule;
  }
}

/** Whether a request of this route needs no token. */
export function isOpen(route: Route, options: SovdOptions): boolean {
  if (route.public) return true;
  return route.open && options.openReads && lockScopeOf(route.lock, options) === undefined;
}

/** A request as a 404 names it; worked out only then. */
interface Shown {
  readonly shownPath: string;
}

/** `notReady`, or `notFound` by choice, for vehicle routes before databases are loaded. */
export function checkReady(route: Route, context: SovdContext, shown: Shown): void {
  if (route.early || context.fleet.ready) return;
  if (context.options.notReadyStatus === 404) throw resourceNotFound(shown);
  throw new Fault("notReady", "The vehicle's databases are still being loaded");
}

/** The component of the path; `notFound` when there is none of that name. */
export function ecuOf(name: string, { fleet }: SovdContext, shown: Shown): EcuView {
  const ecu = fleet.ecu(name);
  if (ecu === undefined) throw resourceNotFound(shown);
  return ecu;
}

/** The functional group of the path; `notFound` when there is none of that name. */
export function groupOf(name: string, { fleet }: SovdContext, shown: Shown): string {
  const group = fleet.group(name);
  if (group === undefined) throw resourceNotFound(shown);
  return group;
}

/** Refuses what talks to an ECU or changes something while a database set is switched in. */
export function checkSwitch(route: Route, context: SovdContext): void {
  if (route.exclusive && context.switching()) {
    throw new Fault("updateInProgress", "Database update in progress, all diagnostic operations are blocked");
  }
}

/** The lock the route asks for is held by the caller. */
export function checkLock(route: Route, context: SovdContext, entity: string, owner: string): void {
  const scope = lockScopeOf(route.lock, context.options);
  if (scope !== undefined) context.locks.require(scope, entity, owner);
}

/** 404 as the interface words it. */
export function resourceNotFound({ shownPath }: Shown): Fault {
  return new Fault("notFound", `Resource not found: ${shownPath}`);
}
