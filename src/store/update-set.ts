import { Fault } from "#core/errors.ts";
import { BACKUP, CURRENT, NEXT, noteSetChange } from "./databases.ts";
import type { Json } from "./record.ts";
import type { Storage, StorageTransaction } from "./storage.ts";

export type UpdateMode = "apply" | "rollback" | "cleanup";

/** An execution of the database update, as the store remembers it over a restart. */
export interface UpdateExecution {
  readonly id: string;
  readonly mode: UpdateMode;
  readonly status: "running" | "completed" | "failed";
  /** Why it failed, or what is active now. */
  readonly reason: string | null;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** The store has made the change: what a running one had reached when the power went. */
  readonly switched: boolean;
}

/** What goes into the store in the same transaction as the change. */
export interface UpdateStep {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly reason?: string;
  /** The last of the work is done with the transaction: the execution is completed by it. */
  readonly completes?: boolean;
  /** Records to set along with it, by name: audit entries. */
  readonly records?: Readonly<Record<string, Json>>;
}

const EXECUTION = "execution";

/** The last execution, running or ended. */
export function readExecution(storage: Storage): UpdateExecution | undefined {
  return storage.record(EXECUTION) as UpdateExecution | undefined;
}

/** What else happens in the same transaction. */
export type AlongWith = (tx: StorageTransaction) => void;

/** Notes that an execution begins; `updateInProgress` while another runs. */
export async function beginExecution(
  storage: Storage,
  mode: UpdateMode,
  step: UpdateStep,
  also?: AlongWith,
): Promise<UpdateExecution> {
  if (readExecution(storage)?.status === "running")
    throw new Fault("updateInProgress", "An execution is already in progress");
  const execution: UpdateExecution = {
    id: step.id,
    mode,
    status: "running",
    reason: step.reason ?? null,
    startedAt: step.time,
    endedAt: null,
    switched: false,
  };
  await storage.transaction((tx) => {
    tx.setRecord(EXECUTION, { ...execution });
    setRecords(tx, step);
    also?.(tx);
  });
  return execution;
}

/** Ends the running execution. */
export async function endExecution(
  storage: Storage,
  status: "completed" | "failed",
  step: Pick<UpdateStep, "time" | "reason" | "records">,
  also?: AlongWith,
): Promise<UpdateExecution> {
  const execution = readExecution(storage);
  if (execution?.status !== "running") throw new Fault("conflict", "No execution is running");
  const ended: UpdateExecution = {
    ...execution,
    status,
    endedAt: step.time,
    reason: step.reason ?? execution.reason,
  };
  await storage.transaction((tx) => {
    tx.setRecord(EXECUTION, { ...ended });
    setRecords(tx, step);
    also?.(tx);
  });
  return ended;
}

/**
 * What a restart makes of an execution that was running: completed when the store had switched, failed with nothing changed when it
 * had not. Call it once after opening; undefined when there was none.
 */
export async function recoverExecution(storage: Storage, time: number): Promise<UpdateExecution | undefined> {
  const execution = readExecution(storage);
  if (execution?.status !== "running") return undefined;
  return execution.switched
    ? endExecution(storage, "completed", { time })
    : endExecution(storage, "failed", { time, reason: "Interrupted before the switch; nothing was changed" });
}

/** What each mode does to the three sets, in one transaction (rows of the CDA's table of modes). */
const MODES: Readonly<Record<UpdateMode, (storage: Storage, tx: StorageTransaction, step: UpdateStep) => void>> = {
  apply(storage, tx, step) {
    if (!tx.has(NEXT)) throw new Fault("notFound", "No pending update available");
    if (!tx.has(CURRENT)) tx.create(CURRENT);
    tx.copyCollection(CURRENT, BACKUP);
    tx.copyCollection(NEXT, CURRENT);
    tx.deleteCollection(NEXT);
    noteSetChange(storage, tx, { origin: "apply", changedAt: step.time, execution: step.id });
  },
  rollback(storage, tx, step) {
    if (!tx.has(BACKUP) || tx.list(BACKUP).length === 0)
      throw new Fault("notFound", "No backup available for rollback");
    tx.copyCollection(BACKUP, CURRENT);
    dropPending(tx);
    noteSetChange(storage, tx, { origin: "rollback", changedAt: step.time, execution: step.id });
  },
  cleanup: (_storage, tx) => dropPending(tx),
};

function dropPending(tx: StorageTransaction): void {
  if (tx.has(NEXT)) tx.deleteCollection(NEXT);
  if (tx.has(BACKUP)) tx.deleteAll(BACKUP);
}

/**
 * Makes the change of a mode and notes it in the execution, in one durable transaction: afterwards either all of it is so or none.
 * A rollback within a running apply leaves the execution an apply.
 * `notFound` when there is nothing to apply or roll back to.
 */
export async function switchSet(storage: Storage, mode: UpdateMode, step: UpdateStep): Promise<UpdateExecution> {
  const before = readExecution(storage);
  const running = before?.id === step.id ? before : undefined;
  const execution: UpdateExecution = {
    id: step.id,
    mode: running?.mode ?? mode,
    status: step.completes ? "completed" : "running",
    reason: step.reason ?? null,
    startedAt: running?.startedAt ?? step.time,
    endedAt: step.completes ? step.time : null,
    switched: true,
  };
  await storage.transaction((tx) => {
    MODES[mode](storage, tx, step);
    tx.setRecord(EXECUTION, { ...execution });
    setRecords(tx, step);
  });
  return execution;
}

/** `backup` := `current`, `current` := `next`, `next` deleted. */
export const applyUpdate = (storage: Storage, step: UpdateStep): Promise<UpdateExecution> =>
  switchSet(storage, "apply", step);

/** `current` := `backup`, `next` deleted, `backup` emptied. */
export const rollbackUpdate = (storage: Storage, step: UpdateStep): Promise<UpdateExecution> =>
  switchSet(storage, "rollback", step);

/** `next` deleted, `backup` emptied. */
export const cleanupUpdate = (storage: Storage, step: UpdateStep): Promise<UpdateExecution> =>
  switchSet(storage, "cleanup", step);

/** The set that an apply would make current: `next`, begun as a copy of `current` when nothing is pending. */
export function beginPending(tx: StorageTransaction): void {
  if (tx.has(NEXT)) return;
  if (!tx.has(CURRENT)) tx.create(CURRENT);
  tx.copyCollection(CURRENT, NEXT);
}

function setRecords(tx: StorageTransaction, { records = {} }: Pick<UpdateStep, "records">): void {
  for (const [name, value] of Object.entries(records)) tx.setRecord(name, value);
}
