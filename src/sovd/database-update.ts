/** What must hold before the diagnostic databases may be changed under those who use them. */
import { Fault } from "#core/errors.ts";
import type { DatabaseUpdate } from "#update/api.ts";
import type { SovdContext } from "./context.ts";

/**
 * Nothing that an update would pull the ground from under: no lock but the vehicle's, no transfer, no operation, no
 * communication parameters. Fault `conflict`.
 */
export function requireQuiet({ locks, transfers, executions, comParams, options }: SovdContext): void {
  if (locks.list("ecu").length > 0 || locks.list("group").length > 0) {
    throw new Fault("conflict", "Lock Conflict: Non-vehicle locks are held, cannot apply update");
  }
  const busyTransfers = options.finishedTransfersBlock ? transfers.size : transfers.running;
  if (busyTransfers > 0 || executions.running > 0 || comParams.size > 0) {
    throw new Fault("conflict", "Operations in progress: Another operation is running already (i.e. flash transfer)");
  }
}

/** The context's update; `misconfigured` in a program that has none. */
export function databaseUpdateOf({ databaseUpdate }: SovdContext): DatabaseUpdate {
  if (databaseUpdate === undefined) throw new Fault("misconfigured", "Databases cannot be updated here");
  return databaseUpdate;
}
