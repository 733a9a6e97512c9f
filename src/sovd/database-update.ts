/** What the routes of the database update need of the part that carries it out, and what must hold before one may begin. */
import { Fault } from "#core/errors.ts";
import type { SovdContext } from "./context.ts";
import type { AnswerStream, Claims, Upload } from "./route.ts";

export const FILE_SETS = ["current", "nextupdate", "backup"] as const;
export type FileSet = (typeof FILE_SETS)[number];

export const UPDATE_MODES = ["apply", "rollback", "cleanup"] as const;
export type UpdateMode = (typeof UPDATE_MODES)[number];

/** A diagnostic database as a file. */
export interface RuntimeFile {
  /** File name in lower case. */
  readonly id: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly revision: string | undefined;
}

export interface UpdateExecutionView {
  readonly id: string;
  readonly mode: UpdateMode;
  readonly status: "running" | "completed" | "failed";
  /** Why it failed and what is active now. */
  readonly reason: string | undefined;
}

/** Who begins an update, and what must still hold when the sets are switched. */
export interface UpdateCaller {
  readonly claims: Claims | undefined;
  /** Throws when something stands in the way. Asked when the update begins and again just before the switch. */
  readonly requireQuiet: () => void;
}

/** The update of the diagnostic databases at run time. Rejections are `Fault`s; a call that fails has changed nothing. */
export interface DatabaseUpdate {
  /** Sorted by id. `nextupdate` shows `current` while nothing is pending. */
  files(set: FileSet): readonly RuntimeFile[];
  /** Undefined when there is no such file. The caller closes it. */
  open(set: FileSet, id: string): AnswerStream | undefined;
  /** Verifies what comes in and adds all of it to the pending set. Returns the ids. */
  upload(upload: Upload, signal: AbortSignal): Promise<readonly string[]>;
  /** Takes one file out of the pending set, which begins as a copy of the current one. */
  removePending(id: string): Promise<void>;
  /** Forgets what is pending, or the backup. Returns the ids of the files. */
  removeAll(set: "nextupdate" | "backup"): Promise<readonly string[]>;
  /** Begins an execution and returns its id once that is durable; the work goes on behind it. */
  start(mode: UpdateMode, caller: UpdateCaller): Promise<string>;
  /** The last execution, running or ended. */
  execution(): UpdateExecutionView | undefined;
}

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
