/**
 * The update of the diagnostic databases as the main thread sees it. Everything slow runs in the jobs thread beside the set in use;
 * the switch itself is the only time in which calls to ECUs are refused.
 */
import { randomUUID } from "node:crypto";
import { Fault, toFaultData } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { selectEcus } from "#fleet/catalog.ts";
import type { BrokenDatabase, Catalog } from "#fleet/messages.ts";
import type { Claims } from "#security/claims.ts";
import type { UpdateFacts } from "#security/plugin.ts";
import type { Storage } from "#store/storage.ts";
import { readExecution, type UpdateExecution } from "#store/update-set.ts";
import type { DatabaseUpdate, UpdateCaller, UpdateExecutionView, UpdateMode } from "./api.ts";
import type { ExecutionStep, SwitchingMode } from "./change-set.ts";
import type { RunJob } from "./jobs.ts";
import { BACK_AGAIN, UNTOUCHED } from "./reasons.ts";
import { listFiles, openFile } from "./runtime-files.ts";
import { uploadTo } from "./upload-port.ts";

/** The part of the fleet that an update touches. */
export interface UpdatableFleet {
  readonly ecus: readonly { readonly name: string; readonly id: string }[];
  readonly broken: readonly BrokenDatabase[];
  /** Calls on their way to shards and not yet answered. */
  readonly inFlight: number;
  /** Hash of the ECU's description. */
  versionOf(ecu: string): string | undefined;
  load(catalog: Catalog): Promise<void>;
  /** Opens the ECU's database, if nothing has yet. Rejects when it does not open. */
  probe(ecu: string): Promise<void>;
}

export interface UpdaterOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970; default `Date.now`. */
  readonly wallClock?: () => number;
  readonly storage: Storage;
  readonly fleet: UpdatableFleet;
  readonly run: RunJob;
  /** Longest wait for calls under way before a switch, ms. */
  readonly drainTimeoutMs: number;
  /** The operator's word on who may begin an update, and when. */
  readonly validateUpdate?: (claims: Claims, update: UpdateFacts) => Promise<void>;
  /** A set was put in force: gateways may be new, health may have changed. */
  readonly onLoaded: (catalog: Catalog) => void;
  readonly onEvent: (message: string, facts: Readonly<Record<string, unknown>>) => void;
  readonly onProblem: (message: string, problem: unknown) => void;
}

export interface Updater extends DatabaseUpdate {
  /** True only while a set is switched in. */
  readonly switching: boolean;
  /** Resolves when no execution runs. */
  idle(): Promise<void>;
}

/** Drain is looked for this often: nobody is told of each answer, as that would cost every call. */
const DRAIN_STEP_MS = 2;
const PROBES_AT_ONCE = 8;

export function createUpdater(options: UpdaterOptions): Updater {
  const { clock, wallClock = Date.now, storage, fleet, run, onEvent, onProblem } = options;
  let switching = false;
  let changing = false;
  /** Id of the execution that is checked or runs, and its end. */
  let running: { readonly id: string; ended: Promise<void> } | undefined;

  /** One change at a time, and none beside an execution: the same answers the store's transactions would give. */
  async function alone<T>(change: () => Promise<T>): Promise<T> {
    requireFree();
    changing = true;
    try {
      return await change();
    } finally {
      changing = false;
    }
  }

  function requireFree(): void {
    if (running !== undefined) throw new Fault("updateInProgress", "An execution is already in progress");
    if (changing) throw new Fault("storageBusy", "Another transaction is already active");
  }

  async function start(mode: UpdateMode, caller: UpdateCaller): Promise<string> {
    requireFree();
    const id = randomUUID();
    running = { id, ended: Promise.resolve() };
    try {
      caller.requireQuiet();
      const targets = fleet.ecus.map((ecu) => ecu.id);
      await options.validateUpdate?.(caller.claims, { kind: "database", id: mode, targets });
      const step = { id, mode, time: wallClock(), subject: caller.claims.sub };
      await run("beginUpdate", { step });
      running.ended = carryOut(step, caller).finally(() => {
        running = undefined;
      });
      return id;
    } catch (error) {
      running = undefined;
      throw error;
    }
  }

  /** Never rejects: what goes wrong ends the execution. */
  async function carryOut(step: ExecutionStep, caller: UpdateCaller): Promise<void> {
    try {
      if (step.mode === "cleanup") await run("switchUpdate", { step });
      else await replaceSet({ ...step, mode: step.mode }, caller);
      await run("finishUpdate", { end: { status: "completed", time: wallClock() } });
      onEvent("database update completed", { id: step.id, mode: step.mode, subject: step.subject });
    } catch (error) {
      const undone = error instanceof Undone;
      const { kind, message } = toFaultData(error);
      const reason = undone || kind === "fatal" ? message : `${message}; ${UNTOUCHED}`;
      onProblem(`database update failed: ${reason}`, undone ? error.cause : error);
      if (undone) return;
      await run("finishUpdate", { end: { status: "failed", time: wallClock(), reason } }).catch((problem) =>
        onProblem("the end of a database update could not be recorded", problem),
      );
    }
  }

  async function replaceSet(step: ExecutionStep & { readonly mode: SwitchingMode }, caller: UpdateCaller) {
    const ready = await run("prepareUpdate", { mode: step.mode });
    requireEcus(ready);
    const before = new Map(fleet.ecus.map((ecu) => [ecu.id, fleet.versionOf(ecu.id)]));
    caller.requireQuiet();
    // Durable first, in force after it: the disk's time is nobody's wait, as shards find their databases by hash in either set.
    const { generation } = await run("switchUpdate", { step });
    const next: Catalog = { ...ready, generation };
    let taken = false;
    try {
      const loaded = await whileSwitching(() => {
        caller.requireQuiet();
        taken = true;
        return load(next);
      });
      await loaded.done;
      await probe(fleet.ecus.filter((ecu) => before.get(ecu.id) !== fleet.versionOf(ecu.id)));
      options.onLoaded(next);
    } catch (error) {
      await undo(step, error, taken);
    }
  }

  /** Takes a set in force; a database that a shard cannot open is a failure of the set. */
  async function load(catalog: Catalog): Promise<void> {
    await fleet.load(catalog);
    const known = new Set(catalog.entries.map(({ database }) => database));
    const { rejected } = selectEcus(catalog.entries);
    for (const { file } of rejected) known.delete(file);
    const failed = fleet.broken.find(({ file }) => known.has(file));
    if (failed !== undefined) throw new Fault("internal", `${failed.file} does not load: ${failed.problem}`);
  }

  async function probe(ecus: readonly { readonly name: string }[]): Promise<void> {
    const queue = ecus.values();
    const lane = async () => {
      for (const { name } of queue) {
        await fleet.probe(name).catch((error: unknown) => {
          throw new Fault("internal", `${name} does not load: ${toFaultData(error).message}`);
        });
      }
    };
    await Promise.all(Array.from({ length: PROBES_AT_ONCE }, lane));
  }

  /**
   * Always throws: `Undone` when the sets are as they were and in force again, Fault `fatal` when they are not. A set that the fleet has
   * not taken is taken back in the store alone.
   */
  async function undo({ id }: ExecutionStep, cause: unknown, taken: boolean): Promise<never> {
    const { message } = toFaultData(cause);
    const why = taken ? `Reload failed: ${message}` : message;
    const reason = `${why}; ${taken ? BACK_AGAIN : UNTOUCHED}`;
    try {
      const old = await run("undoUpdate", { end: { id, time: wallClock(), reason } });
      if (taken) {
        const loaded = await whileSwitching(() => fleet.load(old));
        await loaded.done;
        options.onLoaded(old);
      }
    } catch (error) {
      const { message } = toFaultData(error);
      throw new Fault("fatal", `${why}; going back failed as well (${message}), a restart is needed`);
    }
    throw new Undone(reason, { cause });
  }

  /**
   * The guard is up until `take` has returned and never longer, whatever becomes of it. By then the shards have been told, and calls reach
   * them behind that message: nobody need wait until `done`, when they have taken it.
   */
  async function whileSwitching(take: () => Promise<void>): Promise<{ readonly done: Promise<void> }> {
    switching = true;
    const raised = clock.now();
    try {
      await drain(raised + options.drainTimeoutMs);
      const drained = clock.now();
      const done = take();
      onEvent("databases switched", { drainedMs: drained - raised, windowMs: clock.now() - drained });
      return { done };
    } finally {
      switching = false;
    }
  }

  /** Calls that are still under way after it end on the database they began with. */
  async function drain(untilMs: number): Promise<void> {
    while (fleet.inFlight > 0 && clock.now() < untilMs) {
      await new Promise<void>((resolve) => clock.setTimeout(resolve, DRAIN_STEP_MS));
    }
  }

  return {
    get switching() {
      return switching;
    },
    files: (set) => listFiles(storage, set),
    open: (set, id) => openFile(storage, set, id),
    upload: ({ contentType, contentDisposition, chunks }) =>
      alone(() =>
        uploadTo({ chunks, own: true }, (port) =>
          run("upload", { port, headers: { contentType, contentDisposition } }, [port]),
        ),
      ),
    removePending: (id) => alone(() => run("removePending", { id })),
    removeAll: (set) => alone(() => run("removeSet", { set })),
    start,
    execution: () => {
      const execution = readExecution(storage);
      // its end is in the store a moment before the next one may begin: who reads of an end may begin
      if (execution === undefined || execution.id !== running?.id) return execution && viewOf(execution);
      return { id: execution.id, mode: execution.mode, status: "running", reason: undefined };
    },
    idle: async () => running?.ended,
  };
}

/** The execution has been ended already, by going back. */
class Undone extends Error {}

/** Files that leave no ECU at all are a mistake; a set emptied on purpose has no files. */
function requireEcus({ entries }: Pick<Catalog, "entries">): void {
  const { ecus, rejected } = selectEcus(entries);
  const [first] = rejected;
  if (ecus.length === 0 && first !== undefined)
    throw new Fault("invalidData", `No ECU would be left: ${first.problem}`);
}

function viewOf({ id, mode, status, reason }: UpdateExecution): UpdateExecutionView {
  return { id, mode, status, reason: reason ?? undefined };
}
