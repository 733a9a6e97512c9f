/** Puts the state machines of the resources together, so that `main` hands over the fleet and its own parts only. */
import type { Clock } from "#core/time.ts";
import { type Fleet, membersOf } from "#fleet/api.ts";
import { ComParamRegistry } from "./comparam-registry.ts";
import type { SovdContext, SovdOptions } from "./context.ts";
import type { CyclicSubscription } from "./cyclic-subscriptions.ts";
import { ExecutionRegistry } from "./executions.ts";
import { type Lock, type LockEffects, LockRegistry } from "./locks.ts";
import { StandingRequests } from "./standing.ts";
import { TransferRegistry } from "./transfers.ts";
import { fireTriggers, type Trigger } from "./triggers.ts";

type Given = Pick<
  SovdContext,
  | "authenticator"
  | "databaseUpdate"
  | "embeddedFiles"
  | "flashFiles"
  | "health"
  | "onProblem"
  | "onTrigger"
  | "softwareUpdates"
  | "switching"
  | "version"
  | "vin"
>;

export interface SovdParts extends Given {
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly options: SovdOptions;
}

/** The context of all handlers. `close` stops timers. */
export function createSovdContext(parts: SovdParts): SovdContext & { close(): void } {
  const { fleet, clock, options, softwareUpdates, onTrigger } = parts;
  const executions = new ExecutionRegistry(options.maxEndedExecutions);
  const comParams = new ComParamRegistry();
  const transfers = new TransferRegistry(fleet);
  const subscriptions = new StandingRequests<CyclicSubscription>(clock, options.maxSubscriptions);
  const triggers = new StandingRequests<Trigger>(clock, options.maxSubscriptions);
  const stopTriggers = softwareUpdates?.onChange((id) => fireTriggers(triggers, softwareUpdates, id, onTrigger));
  const locks = new LockRegistry({
    clock,
    members: (group) => membersOf(fleet, group).map(({ id }) => id),
    effects: lockEffects(parts),
    lockStatus: options.lockStatus,
    restoreEcuLocks: options.restoreEcuLocks,
    maxExpirationS: options.maxLockExpirationS,
  });
  if (options.downloadLock) locks.onReleased((lock) => abortTransfers(lock, parts, transfers, locks));
  const stopListening = fleet.onChange(() => {
    if (!fleet.ready) return;
    const isEcu = (name: string) => fleet.ecu(name) !== undefined;
    locks.retain((scope, entity) => (scope === "ecu" ? isEcu(entity) : fleet.groups.includes(entity)));
    comParams.retain(isEcu);
    executions.retain((entity) => {
      const [kind, name = ""] = entity.split("/");
      return kind === "components" ? isEcu(name) : fleet.groups.includes(name);
    });
  });
  const close = (): void => {
    stopListening();
    stopTriggers?.();
    subscriptions.close();
    triggers.close();
    locks.close();
  };
  return { ...parts, locks, executions, comParams, transfers, subscriptions, triggers, close };
}

/** What locks do to ECUs is sent at once and not waited for: a port keeps the order of calls. */
function lockEffects({ fleet, onProblem }: SovdParts): LockEffects {
  const report = (where: string) => (problem: unknown) => onProblem(problem, where);
  const call = (ecu: string, name: "lockAcquired" | "lockReleased"): void => {
    const view = fleet.ecu(ecu);
    if (view !== undefined) fleet.call(view.name, name, {}).catch(report(`${name} ${ecu}`));
  };
  const callGroup = (group: string, name: "groupLockAcquired" | "groupLockReleased"): void => {
    fleet.callGroup(group, name, {}).catch(report(`${name} ${group}`));
  };
  return {
    ecuAcquired: (ecu) => call(ecu, "lockAcquired"),
    ecuReleased: (ecu) => call(ecu, "lockReleased"),
    groupAcquired: (group) => callGroup(group, "groupLockAcquired"),
    groupReleased: (group) => callGroup(group, "groupLockReleased"),
    vehicleReleased: () => {
      for (const ecu of fleet.ecus) call(ecu.id, "lockReleased");
    },
  };
}

/** A transfer ends with the lock it stood on, unless the owner's vehicle lock still covers it. */
function abortTransfers(
  lock: Lock,
  { fleet, onProblem }: SovdParts,
  transfers: TransferRegistry,
  locks: LockRegistry,
): void {
  if (lock.scope === "group" || locks.get("vehicle", "")?.owner === lock.owner) return;
  const running = transfers.runningOf(lock.owner, lock.scope === "ecu" ? lock.entity : undefined);
  for (const { ecu, id } of running) {
    fleet.call(ecu, "transferAbort", { id }).catch((problem) => onProblem(problem, `transferAbort ${ecu}`));
  }
}
