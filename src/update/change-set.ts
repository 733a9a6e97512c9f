/**
 * The steps of an execution in the store, each one durable transaction: begin, prepare, switch, and an end, good or bad. Runs in the
 * jobs thread; the main thread puts the steps together.
 */
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import type { CatalogResult } from "#ecu/catalog.ts";
import type { Catalog } from "#fleet/messages.ts";
import { BACKUP, CURRENT, FLATBUFFER_PART, NEXT, noteSetChange, readSet } from "#store/databases.ts";
import type { Json } from "#store/record.ts";
import type { Storage, StorageTransaction } from "#store/storage.ts";
import {
  beginExecution,
  endExecution,
  readExecution,
  recoverExecution,
  switchSet,
  type UpdateMode,
} from "#store/update-set.ts";
import { readCatalog } from "./catalog.ts";
import { wholeValue, withStorage } from "./open-storage.ts";
import { BACK_AGAIN } from "./reasons.ts";
import { dropSnapshot, restoreSnapshot, takeSnapshot } from "./snapshot.ts";
import { createVerification } from "./verifier.ts";
import { databasesOf, knownVersions, versionRecords } from "./versions.ts";

export interface ExecutionStep {
  readonly id: string;
  readonly mode: UpdateMode;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Who asked for it. */
  readonly subject: string;
}

/** The set that a mode makes current. */
const SOURCE = { apply: NEXT, rollback: BACKUP } as const satisfies Partial<Record<UpdateMode, string>>;
export type SwitchingMode = keyof typeof SOURCE;

/** Notes that an execution begins. Faults: `notFound` when there is nothing to do, `invalidData` for a version that is too old. */
export async function beginUpdate(config: Config, step: ExecutionStep): Promise<void> {
  await withStorage(config, async (storage) => {
    // the caller runs one at a time: a record that says otherwise is of one whose thread was lost
    await recoverUpdate(config, storage, step.time);
    requireSource(storage, step.mode);
    if (step.mode === "apply") await requireVersions(config, storage);
    await beginExecution(storage, step.mode, { ...step, records: { "audit/update": auditOf(step) } }, takeSnapshot);
  });
}

function requireSource(storage: Storage, mode: UpdateMode): void {
  if (mode === "apply" && !storage.has(NEXT)) throw new Fault("notFound", "No pending update available");
  if (mode === "rollback" && (!storage.has(BACKUP) || storage.len(BACKUP) === 0))
    throw new Fault("notFound", "No backup available for rollback");
}

async function requireVersions(config: Config, storage: Storage): Promise<void> {
  const verification = await createVerification(config);
  const known = knownVersions(storage);
  for (const database of changedIn(storage, NEXT)) verification.checkVersion(database, known(database.ecuName));
}

/** Databases of a set that are not in use as they are. */
function changedIn(storage: Storage, set: string) {
  const inUse = new Set(databasesOf(storage, CURRENT).map(({ sha256 }) => sha256));
  return databasesOf(storage, set).filter(({ sha256 }) => !inUse.has(sha256));
}

const auditOf = ({ id, mode, time, subject }: ExecutionStep): Json => ({ id, mode, time, subject });

/**
 * Verifies the set that is to become current and reads its catalog, while the old one is in use. Fault `invalidData` names what is
 * wrong.
 */
export async function prepareUpdate(config: Config, mode: SwitchingMode): Promise<CatalogResult> {
  return withStorage(config, async (storage) => {
    const set = SOURCE[mode];
    if (mode === "apply") await verifyChanged(config, storage);
    for (const file of storage.list(set)) verifyPart(storage, set, file);
    const catalog = await readCatalog(config, storage, set);
    const [broken] = catalog.broken;
    if (broken !== undefined) throw new Fault("invalidData", `${broken.file} does not load: ${broken.problem}`);
    return catalog;
  });
}

/** Keys and rules may have changed since the upload. */
async function verifyChanged(config: Config, storage: Storage): Promise<void> {
  const verification = await createVerification(config);
  const known = knownVersions(storage);
  for (const { file } of changedIn(storage, NEXT))
    await verification.verify(file, wholeValue(storage, NEXT, file), known);
}

function verifyPart(storage: Storage, set: string, file: string): void {
  const value = storage.read(set, file, FLATBUFFER_PART);
  try {
    value.verify();
  } finally {
    value.close();
  }
}

/** Makes the change; the whole of it is durable afterwards. Returns the generation of the current set. */
export async function switchUpdate(config: Config, step: ExecutionStep): Promise<{ readonly generation: number }> {
  const { id, mode, time } = step;
  return withStorage(config, async (storage) => {
    const records = mode === "apply" ? versionRecords(storage, [CURRENT, NEXT]) : {};
    await switchSet(storage, mode, { id, time, records });
    return { generation: readSet(storage)?.generation ?? 0 };
  });
}

/** Ends the execution well, or badly with the sets untouched. */
export async function finishUpdate(
  config: Config,
  end: { readonly status: "completed" | "failed"; readonly time: number; readonly reason?: string },
): Promise<void> {
  await withStorage(config, (storage) => endExecution(storage, end.status, end, dropSnapshot));
}

/** Ends the execution badly with all three sets as they were before it. Returns the catalog of the current one. */
export async function undoUpdate(
  config: Config,
  end: { readonly id: string; readonly time: number; readonly reason: string },
): Promise<CatalogResult & Catalog> {
  return withStorage(config, async (storage) => {
    await endExecution(storage, "failed", end, (tx) => restore(storage, tx, end));
    return readCatalog(config, storage);
  });
}

function restore(storage: Storage, tx: StorageTransaction, { id, time }: { id: string; time: number }): void {
  restoreSnapshot(tx);
  noteSetChange(storage, tx, { origin: "rollback", changedAt: time, execution: id });
}

/**
 * What a restart makes of an execution that was running: completed when the store had switched and the new set loads, else failed with
 * everything as it was before.
 */
export async function recoverUpdate(config: Config, storage: Storage, time: number): Promise<void> {
  const execution = readExecution(storage);
  if (execution?.status === "running" && execution.switched && execution.mode !== "cleanup") {
    const { broken } = await readCatalog(config, storage);
    if (broken.length > 0) {
      const reason = `${broken[0]!.file} does not load: ${broken[0]!.problem}; ${BACK_AGAIN}`;
      const { id } = execution;
      await endExecution(storage, "failed", { time, reason }, (tx) => restore(storage, tx, { id, time }));
      return;
    }
  }
  const recovered = await recoverExecution(storage, time);
  if (recovered !== undefined || execution?.status !== "running") await storage.transaction(dropSnapshot);
}
