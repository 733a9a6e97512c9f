/**
 * Runs campaigns: holds each record against the calls under way, starts what is missing, stops what is no longer wanted, and turns each
 * result into an event. Because all it knows is the record, going on after a crash is the same as going on.
 */
import { Fault, type FaultKind, toFaultData } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { Turns } from "#core/turns.ts";
import { entryOf } from "#update/software/journal/audit.ts";
import { type Journal, REGISTERED } from "#update/software/journal/journal.ts";
import { isUnreachable, type ProviderProgress } from "#update/software/provider.ts";
import { Deadlines } from "./deadlines.ts";
import {
  type Action,
  accepts,
  durationOf,
  inNeedOfService,
  isActive,
  isInPassing,
  isUnderWay,
  next,
  occupies,
  plan,
  startable,
} from "./next.ts";
import { progressAfter } from "./progress.ts";
import { idOf, keyOf, Retries, storeKeyOf } from "./retries.ts";
import {
  CALL_OF,
  type CampaignEvent,
  type CampaignLimits,
  type CampaignRecord,
  IDLE_STATES,
  type Member,
  type MemberCall,
  type MemberState,
  type PreparedFacts,
  SYSTEM,
} from "./states.ts";

/** Does the calls of members; `calls.ts` makes the real one. All of them may come again. */
export interface MemberCalls {
  prepare(record: CampaignRecord, member: Member, run: CallRun): Promise<PreparedFacts>;
  execute(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
  gate(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
  commit(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
  close(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
  rollback(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
  /** Beside the abort of a call's signal, for backends that work elsewhere. */
  cancel(record: CampaignRecord, member: Member, run: CallRun): Promise<void>;
}

/** What a call gets for its way. */
export interface CallRun {
  readonly signal: AbortSignal;
  progress(progress: ProviderProgress): void;
}

export interface CampaignsOptions {
  readonly journal: Journal;
  readonly calls: MemberCalls;
  readonly clock: Clock;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
  readonly limits: CampaignLimits;
  /** Pause before a call to a silent target comes again; doubles up to 32 times as much. */
  readonly retryMs: number;
  /** Pause before a target that could not go back is tried again; doubles likewise as long as it refuses. */
  readonly serviceRetryMs: number;
  /** Tries of a rollback that is refused. */
  readonly rollbackTries: number;
  /** The record or the progress of a campaign changed. */
  readonly onChange: (id: string) => void;
  /** Who needs service has changed; empty: nobody any more. */
  readonly onAlarm: (record: CampaignRecord, stuck: readonly string[]) => void;
  readonly onProblem: (problem: unknown, where: string) => void;
}

interface InFlight {
  readonly call: MemberCall;
  readonly controller: AbortController;
  readonly done: Promise<void>;
  /** The call is over, what it brought is being written: it neither comes again nor can be stopped. */
  settling: boolean;
}

export class Campaigns {
  readonly #options: CampaignsOptions;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #progress = new Map<string, { readonly call: MemberCall; readonly progress: ProviderProgress }>();
  readonly #deadlines: Deadlines;
  /** Of the calls that members wait for; under a campaign's id, of those that needed service. */
  readonly #retries: Retries;
  readonly #turns = new Turns();
  #resumed = false;
  #stopped = false;

  constructor(options: CampaignsOptions) {
    this.#options = options;
    this.#retries = new Retries(options.clock);
    this.#deadlines = new Deadlines(options.clock, (id) => void this.#report(id, { type: "expire" }));
  }

  /** Goes on with what a former process left, and begins with what was asked for since: before, requests only go on record. */
  resume(): Promise<void> {
    return this.#inTurn(async () => {
      const { journal, onProblem } = this.#options;
      for (const { id, state } of journal.campaigns()) {
        if (IDLE_STATES.has(state) && state !== "needsService") continue;
        // a full disk keeps no ECU from going back, nor this program from its other work
        await this.#apply(id, { type: "restart" }, SYSTEM).catch((problem) => onProblem(problem, `restart ${id}`));
        const record = this.get(id)!;
        const stuck = inNeedOfService(record);
        if (stuck.length > 0) this.#options.onAlarm(record, stuck);
      }
      this.#resumed = true;
      for (const { id } of journal.campaigns()) this.#reconcile(id);
    });
  }

  get(id: string): CampaignRecord | undefined {
    return this.#options.journal.campaign(id);
  }

  /**
   * Puts a new campaign on record, or a new description in the place of one that is idle. @throws Fault updateInProgress, noSpaceLeft
   * for one more than `maxCampaigns`
   */
  register(record: CampaignRecord, actor: string, maxCampaigns = Number.POSITIVE_INFINITY): Promise<CampaignRecord> {
    return this.#inTurn(async () => {
      const { journal, nowMs } = this.#options;
      const known = journal.campaign(record.id);
      if (known === undefined && journal.campaigns().length >= maxCampaigns) {
        throw new Fault("noSpaceLeft", `There are ${maxCampaigns} updates already`);
      }
      // tried again until all are back
      if (known !== undefined && (isUnderWay(known) || known.state === "needsService")) {
        throw new Fault("updateInProgress", `Update ${record.id} is ${known.state}`);
      }
      const entry = { actor, campaign: record.id, event: REGISTERED, to: record.state, result: "ok" };
      const now = nowMs();
      const fresh = { ...record, attempt: known?.attempt ?? 0, createdAtMs: now, changedAtMs: now };
      const written = await journal.transition(entry, fresh);
      this.#options.onChange(record.id);
      return written;
    });
  }

  /** One event, durable when it resolves. @throws Fault conflict or updateInProgress, nothing changed */
  apply(id: string, event: CampaignEvent, actor: string): Promise<CampaignRecord> {
    return this.#inTurn(() => this.#apply(id, event, actor));
  }

  async #apply(id: string, event: CampaignEvent, actor: string): Promise<CampaignRecord> {
    const { journal, nowMs, limits } = this.#options;
    const record = journal.campaign(id);
    if (record === undefined) throw new Fault("notFound", `There is no update ${id}`);
    if (event.type === "prepare" || event.type === "execute") this.#refuseOverlap(record);
    const changed = next(record, event, { nowMs: nowMs(), limits });
    try {
      return await journal.transition(entryOf(record, changed, event, actor), changed);
    } finally {
      if (event.type === "memberExecuted") this.#checkAnew(record);
      // also where it failed: what is on the chain is so from then on, whatever could not be written behind it
      this.#follow(record);
    }
  }

  /** Checks under way say nothing of what has just come up beside: they begin anew, as those that are over do. */
  #checkAnew({ id, policy, members }: CampaignRecord): void {
    for (const { component } of policy === "coordinated" ? members : []) {
      const running = this.#inFlight.get(keyOf(id, component));
      if (running?.call === "gate") running.controller.abort(new Fault("conflict", "Another component has come up"));
    }
  }

  /** Does what follows when a campaign is no longer as `before`. */
  #follow(before: CampaignRecord): void {
    const { id } = before;
    const now = this.get(id);
    if (now === before) return;
    const { onAlarm, onChange } = this.#options;
    const stuck = inNeedOfService(now);
    if (stuck.join() !== inNeedOfService(before).join()) onAlarm(before, stuck);
    if (now === undefined) this.#forget(id);
    onChange(id);
    this.#reconcile(id);
  }

  /** A campaign that was deleted leaves nothing behind. */
  #forget(id: string): void {
    this.#retries.forget(id);
    for (const key of this.#progress.keys()) if (idOf(key) === id) this.#progress.delete(key);
  }

  /** How far the call of a member is that its state waits for: what the call before has told says nothing of it. */
  progressOf(id: string, component: string): ProviderProgress | undefined {
    const told = this.#progress.get(keyOf(id, component));
    const state = this.get(id)?.members.find((member) => member.component === component)?.state;
    const call = state === undefined ? undefined : (CALL_OF as Partial<Record<MemberState, MemberCall>>)[state];
    return told?.call === call ? told?.progress : undefined;
  }

  /** Ends calls and timers; records stay as they are. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#deadlines.clear();
    this.#retries.stop();
    const running = [...this.#inFlight.values()];
    for (const { controller } of running) controller.abort(new Fault("notReady", "The program ends"));
    await Promise.all(running.map(({ done }) => done));
    await this.#turns.run(() => undefined);
  }

  /** One target takes one update at a time. */
  #refuseOverlap({ id, members }: CampaignRecord): void {
    for (const other of this.#options.journal.campaigns()) {
      if (other.id === id) continue;
      const shared = members.find(({ component }) => occupies(other, component));
      if (shared === undefined) continue;
      const why = isUnderWay(other) ? "is under way on" : "has to bring back";
      throw new Fault("updateInProgress", `Update ${other.id} ${why} ${shared.component}`);
    }
  }

  #reconcile(id: string): void {
    const record = this.get(id);
    // a store that could not write is given its pause
    if (!this.#resumed || this.#stopped || this.#retries.isPausing(storeKeyOf(id))) return;
    this.#armDeadline(id, record);
    if (record === undefined) return;
    for (const member of record.members) this.#stopUnwanted(record, member);
    if (!isActive(record)) {
      this.#idle(record);
      return;
    }
    const { limits } = this.#options;
    const [first] = startable(record, limits);
    if (first !== undefined) void this.#report(id, { type: "memberStarted", component: first });
    for (const action of plan(record, limits, this.#late(record))) this.#launch(record, action);
  }

  #stopUnwanted(record: CampaignRecord, member: Member): void {
    const running = this.#inFlight.get(keyOf(record.id, member.component));
    const wanted = isActive(record) ? (CALL_OF as Partial<Record<MemberState, MemberCall>>)[member.state] : undefined;
    if (running === undefined || running.settling || running.call === wanted) return;
    if (running.controller.signal.aborted) return;
    running.controller.abort(new Fault("conflict", record.error?.message ?? `The update is ${record.state}`));
    const run = { signal: new AbortController().signal, progress: () => undefined };
    const { calls, onProblem } = this.#options;
    calls.cancel(record, member, run).catch((problem) => onProblem(problem, `cancel ${member.component}`));
  }

  /** What an idle record still waits for: to be executed, or for an ECU to come back. */
  #idle(record: CampaignRecord): void {
    const { id, state } = record;
    if (isInPassing(record)) void this.#report(id, { type: "execute" });
    if (state !== "needsService") this.#retries.succeed(id);
    else
      this.#retries.pause(id, this.#options.serviceRetryMs, () => {
        this.#retries.fail(id, state);
        void this.#report(id, { type: "retry" });
      });
  }

  /** Members that did not answer their last call. */
  #late({ id, members }: CampaignRecord): Set<string> {
    return new Set(
      members.map(({ component }) => component).filter((component) => this.#retries.hasFailed(keyOf(id, component))),
    );
  }

  #launch(record: CampaignRecord, { call, component }: Action): void {
    const key = keyOf(record.id, component);
    if (this.#inFlight.has(key) || this.#retries.isPausing(key)) return;
    const controller = new AbortController();
    this.#progress.set(key, { call, progress: { percent: 0, step: call } });
    const done = this.#perform(record, call, component, controller.signal).catch((problem) => {
      this.#options.onProblem(problem, `${call} ${component}`);
    });
    this.#inFlight.set(key, { call, controller, done, settling: false });
  }

  async #perform(record: CampaignRecord, call: MemberCall, component: string, signal: AbortSignal): Promise<void> {
    const key = keyOf(record.id, component);
    let event: CampaignEvent | undefined;
    let over = false;
    try {
      const progress = (said: unknown) => void (over || this.#tell(record.id, component, said));
      const run = { signal, progress };
      const member = record.members.find((each) => each.component === component)!;
      event = await this.#call(record, call, member, run);
      this.#retries.succeed(key);
    } catch (error) {
      event = signal.aborted ? undefined : this.#failed(key, call, component, error);
      // one that was going back for so long that time was up keeps nobody else on new software the next time
      if (signal.aborted && call === "rollback") this.#retries.fail(key, call);
    }
    over = true;
    const running = this.#inFlight.get(key);
    if (running !== undefined) running.settling = true;
    if (event !== undefined) await this.#report(record.id, event, signal);
    this.#inFlight.delete(key);
    this.#reconcile(record.id);
  }

  async #call(record: CampaignRecord, call: MemberCall, member: Member, run: CallRun): Promise<CampaignEvent> {
    const { calls } = this.#options;
    const { component } = member;
    if (call === "prepare") {
      return { type: "memberPrepared", component, facts: await calls.prepare(record, member, run) };
    }
    await calls[call](record, member, run);
    return { type: SUCCESS[call], component };
  }

  /** The event of a failed call; undefined when the same call comes again after a pause. */
  #failed(key: string, call: MemberCall, component: string, error: unknown): CampaignEvent | undefined {
    const tries = this.#retries.fail(key, call);
    const silent = isUnreachable(error);
    // who is silent may be back at any time
    if (silent) this.#retries.succeed(idOf(key));
    if (REPEATED.has(call) && (silent || (call === "rollback" && tries < this.#options.rollbackTries))) {
      this.#retries.pause(key, this.#options.retryMs, () => this.#reconcile(idOf(key)));
      return undefined;
    }
    this.#retries.succeed(key);
    if (call === "close") {
      // the verdict stands: a target that cannot drop its old software keeps it, no more
      this.#options.onProblem(error, `close ${component}`);
      return { type: "memberClosed", component };
    }
    return { type: FAILURE[call], component, error: toFaultData(error) };
  }

  #tell(id: string, component: string, said: unknown): void {
    const key = keyOf(id, component);
    const shown = this.#progress.get(key);
    const now = progressAfter(shown?.progress, said);
    if (shown === undefined || now === shown.progress) return;
    this.#progress.set(key, { call: shown.call, progress: now });
    this.#options.onChange(id);
  }

  /**
   * Applies an event of our own, unless the campaign has moved on; a store that cannot write is tried again. `signal`: of the call that
   * brought it; a health check that is to begin anew has no result.
   */
  async #report(id: string, event: CampaignEvent, signal?: AbortSignal): Promise<void> {
    const record = this.get(id);
    if (this.#stopped || record === undefined || !accepts(record, event)) return;
    try {
      const isVoid = () => event.type === "memberHealthy" && signal?.aborted === true;
      await this.#inTurn(async () => isVoid() || (await this.#apply(id, event, SYSTEM)));
    } catch (problem) {
      if (this.#stopped || (problem instanceof Fault && OUTRUN.has(problem.kind))) return;
      this.#options.onProblem(problem, `${event.type} ${id}`);
      this.#retries.pause(storeKeyOf(id), this.#options.retryMs, () => this.#reconcile(id));
    }
  }

  /** What is left after a restart is never more than the state may last: the wall clock may have been set back meanwhile. */
  #armDeadline(id: string, record: CampaignRecord | undefined): void {
    const { nowMs, limits } = this.#options;
    const { deadlineMs } = record ?? {};
    const lastsMs = record === undefined ? undefined : durationOf(record, limits);
    this.#deadlines.arm(id, deadlineMs, Math.min((deadlineMs ?? 0) - nowMs(), lastsMs ?? 0));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(() => {
      if (this.#stopped) throw new Fault("notReady", "The program ends");
      return work();
    });
  }
}

const SUCCESS = {
  execute: "memberExecuted",
  gate: "memberHealthy",
  commit: "memberCommitted",
  close: "memberClosed",
  rollback: "memberRolledBack",
} as const;
const FAILURE = {
  prepare: "memberPrepareFailed",
  execute: "memberExecuteFailed",
  gate: "memberUnhealthy",
  commit: "memberCommitRefused",
  rollback: "memberRollbackFailed",
} as const;
/** Another event came first: what was reported is so no more. */
const OUTRUN: ReadonlySet<FaultKind> = new Set(["conflict", "updatePreparing", "updateExecuting"]);
/** After the verdict a silent target is asked until the state's deadline; before it, silence is a failure. */
const REPEATED: ReadonlySet<MemberCall> = new Set(["commit", "close", "rollback"]);
