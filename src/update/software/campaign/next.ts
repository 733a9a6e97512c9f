/** The pure half of a campaign: what an event makes of the record, and which calls a record waits for. */
import { Fault, type FaultData } from "#core/errors.ts";
import {
  CALL_OF,
  type CampaignEvent,
  type CampaignLimits,
  type CampaignRecord,
  type CampaignState,
  type EventType,
  freshMember,
  IDLE_STATES,
  MEMBER_TRANSITIONS,
  type Member,
  type MemberCall,
  type MemberState,
  TOUCHED,
  TRANSITIONS,
} from "./states.ts";

export interface NextContext {
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
  readonly limits: CampaignLimits;
}

/** Prepared on the way to being executed: between two steps of one call, so what else was asked for comes after both. */
export function isInPassing({ state, thenExecute }: Pick<CampaignRecord, "state" | "thenExecute">): boolean {
  return state === "prepared" && thenExecute;
}

/** Whether calls of members are wanted. */
export function isActive({ state }: CampaignRecord): boolean {
  return !IDLE_STATES.has(state);
}

/** Whether something is being done, or about to be, without anybody asking again. */
export function isUnderWay(record: CampaignRecord): boolean {
  return isActive(record) || isInPassing(record);
}

/** Whether the table knows the event here: also false for the report of a member that has moved on since. */
export function accepts(record: CampaignRecord, event: CampaignEvent): boolean {
  if (TRANSITIONS[record.state][event.type] === undefined) return false;
  if (isInPassing(record) && (event.type === "prepare" || event.type === "delete")) return false;
  if (!("component" in event)) return true;
  const member = record.members.find(({ component }) => component === event.component);
  return member !== undefined && MEMBER_TRANSITIONS[member.state][event.type] !== undefined;
}

/** Why an event cannot be here, in the words of the interface: what is under way goes before what is missing. */
export function refusalOf(record: CampaignRecord, event: EventType): Fault {
  const { id, state } = record;
  const busy = isUnderWay(record);
  const begins = event === "prepare" || event === "execute";
  if (begins && (state === "preparing" || isInPassing(record)))
    return new Fault("updatePreparing", `Update ${id} is being prepared`);
  if (begins && busy) return new Fault("updateExecuting", `Update ${id} is being executed`);
  if (event === "delete" && busy) return new Fault("updateInProgress", `Update ${id} is ${state}`);
  return new Fault("conflict", `${event} is not possible while the update is ${state}`, { state });
}

/** Whether a component is this campaign's: it is under way there, or will go back there until that has succeeded. */
export function occupies(record: CampaignRecord, component: string): boolean {
  const member = record.members.find((each) => each.component === component);
  return member !== undefined && (isUnderWay(record) || member.state === "stuck");
}

/** Components that could not go back, also while that is tried again. */
export function inNeedOfService(record: CampaignRecord | undefined): readonly string[] {
  const isRetried = record?.state === "rollingBack" && record.retried === true;
  if (record?.state !== "needsService" && !isRetried) return [];
  const old = record.members.filter(({ state }) => state === "stuck" || state === "rollingBack");
  return old.map(({ component }) => component);
}

/** The record after the event. @throws Fault as `refusalOf` when the table does not allow it here, nothing changed */
export function next(record: CampaignRecord, event: CampaignEvent, context: NextContext): CampaignRecord {
  if (!accepts(record, event)) throw refusalOf(record, event.type);
  const changed = settle(apply(record, event, context));
  if (TRANSITIONS[record.state][event.type]?.includes(changed.state) !== true) {
    throw new Fault(
      "internal",
      `${record.state} + ${event.type} led to ${changed.state}, which the table does not allow`,
    );
  }
  const moved = changed.state !== record.state || event.type === "prepare";
  const deadline = moved ? deadlineOf(changed, context) : changed.deadlineMs;
  const { deadlineMs: _, ...rest } = changed;
  return { ...rest, changedAtMs: context.nowMs, ...(deadline === undefined ? {} : { deadlineMs: deadline }) };
}

/** `executing` and `trial` share one deadline, set when executing began. */
function deadlineOf(record: CampaignRecord, { nowMs, limits }: NextContext): number | undefined {
  const lastsMs = durationOf(record, limits);
  if (lastsMs === undefined) return undefined;
  const isShared = record.state === "executing" || record.state === "trial";
  return (isShared ? record.deadlineMs : undefined) ?? nowMs + lastsMs;
}

/** How long the state of a record may last, milliseconds; undefined for one that nothing ends but a request. */
export function durationOf(
  { state, watchdogMs }: Pick<CampaignRecord, "state" | "watchdogMs">,
  limits: CampaignLimits,
): number | undefined {
  switch (state) {
    case "preparing":
      return limits.prepareMs;
    case "executing":
    case "trial":
      return limits.executeMs;
    case "awaitingVerdict":
      return watchdogMs ?? limits.executeMs;
    case "committing":
    case "closing":
      return limits.commitMs;
    case "rollingBack":
      return limits.rollbackMs;
    default:
      return undefined;
  }
}

function apply(record: CampaignRecord, event: CampaignEvent, { limits }: NextContext): CampaignRecord {
  switch (event.type) {
    case "prepare":
      return begin(record, event.thenExecute);
    case "execute": {
      const { deadlineMs: _, ...rest } = record;
      return { ...rest, state: "executing", thenExecute: false };
    }
    case "cancel":
    case "rollback":
      return stop(record, { kind: "conflict", message: event.reason });
    case "expire":
      return expire(record);
    case "commit":
      return withAll({ ...record, state: "committing", verdict: "commit" }, "healthy", "committing");
    case "close":
      return withAll({ ...record, state: "closing" }, "committed", "closing");
    case "retry":
      return tryAgain(record);
    case "delete":
      return { ...record, state: "deleted" };
    case "restart":
      return restart(record, limits);
    default:
      return report(record, event);
  }
}

function begin(record: CampaignRecord, thenExecute: boolean): CampaignRecord {
  const { error: _, verdict: __, deadlineMs: ___, retried: ____, ...rest } = record;
  const members = record.members.map(({ component }) => freshMember(component, "preparing"));
  return { ...rest, state: "preparing", attempt: record.attempt + 1, thenExecute, members };
}

function tryAgain(record: CampaignRecord): CampaignRecord {
  return withAll({ ...record, state: "rollingBack", retried: true }, "stuck", "rollingBack");
}

/** Nothing was executed: over. Else everything that was goes back. */
function stop(record: CampaignRecord, error: FaultData): CampaignRecord {
  if (record.state === "needsService") return tryAgain(record);
  const stopped = { ...record, error: record.error ?? error };
  if (record.state === "preparing" || record.state === "prepared") {
    return withAll({ ...stopped, state: "failed" }, "preparing", "idle");
  }
  return rollBack(stopped);
}

function expire(record: CampaignRecord): CampaignRecord {
  const error: FaultData = { kind: "requestTimeout", message: `The update was ${record.state} for too long` };
  if (record.state === "closing") return withAll(record, "closing", "closed");
  if (record.state !== "rollingBack") return stop(record, error);
  const members = record.members.map((member): Member => {
    return member.state === "rollingBack" ? { ...member, state: "stuck", error: member.error ?? error } : member;
  });
  return { ...record, members };
}

function restart(record: CampaignRecord, { maxRestarts }: CampaignLimits): CampaignRecord {
  const members = record.members.map((member): Member => {
    if (member.state !== "executing") return member;
    const restarts = member.restarts + 1;
    if (restarts <= maxRestarts) return { ...member, restarts };
    const error: FaultData = {
      kind: "internal",
      message: `The process ended ${restarts} times while it was executing`,
    };
    return { ...member, restarts, state: "rollingBack", error };
  });
  return { ...record, members };
}

function report(record: CampaignRecord, event: Extract<CampaignEvent, { component: string }>): CampaignRecord {
  const members = record.members.map((member) =>
    member.component === event.component ? reported(member, event, record) : member,
  );
  const changed = { ...record, members };
  // what has just come up may make the others unwell: the verdict is about all of them together
  if (event.type === "memberExecuted" && record.policy === "coordinated") return withAll(changed, "healthy", "trial");
  if (!("error" in event)) return changed;
  return { ...changed, error: record.error ?? { ...event.error, component: event.component } };
}

function reported(
  member: Member,
  event: Extract<CampaignEvent, { component: string }>,
  record: CampaignRecord,
): Member {
  const targets = MEMBER_TRANSITIONS[member.state][event.type] as readonly MemberState[];
  // where each decides for itself, the second target is the one that goes on without a verdict
  const state = (record.policy === "independent" ? targets.at(-1) : targets[0]) as MemberState;
  if (event.type === "memberPrepared") return { ...member, ...event.facts, state };
  if (event.type === "memberStarted") return { ...member, state, started: startedCount(record) };
  return "error" in event ? { ...member, state, error: event.error } : { ...member, state };
}

function startedCount({ members }: CampaignRecord): number {
  return members.filter(({ started }) => started !== undefined).length;
}

function withAll(record: CampaignRecord, from: MemberState, to: MemberState): CampaignRecord {
  return {
    ...record,
    members: record.members.map((member) => (member.state === from ? { ...member, state: to } : member)),
  };
}

function rollBack(record: CampaignRecord): CampaignRecord {
  const members = record.members.map(
    (member): Member => (TOUCHED.has(member.state) ? { ...member, state: "rollingBack" } : member),
  );
  return { ...record, state: "rollingBack", verdict: "rollback", members };
}

/** Where the states of the members take the whole. */
function settle(record: CampaignRecord): CampaignRecord {
  const { members, policy, state } = record;
  const some = (...wanted: MemberState[]) => members.some((member) => wanted.includes(member.state));
  const all = (wanted: MemberState) => members.every((member) => member.state === wanted);
  switch (state) {
    case "preparing":
      if (some("failed")) return withAll({ ...record, state: "failed" }, "preparing", "idle");
      return all("prepared") ? { ...record, state: "prepared" } : record;
    case "executing":
    case "trial":
      if (policy === "independent") return settleIndependent(record);
      if (some("rollingBack")) return rollBack(record);
      if (all("healthy")) return verdict(record);
      return { ...record, state: some("executing") || !some("trial") ? "executing" : "trial" };
    case "committing":
      if (some("rollingBack")) return rollBack(record);
      if (!all("committed")) return record;
      if (record.watchdogMs !== undefined) return { ...record, state: "committed" };
      return withAll({ ...record, state: "closing" }, "committed", "closing");
    case "closing":
      return all("closed") ? { ...record, state: "completed" } : record;
    case "rollingBack":
      return some("rollingBack") ? record : { ...record, state: endOf(record) };
    default:
      return record;
  }
}

function verdict(record: CampaignRecord): CampaignRecord {
  if (record.watchdogMs !== undefined) return { ...record, state: "awaitingVerdict" };
  return withAll({ ...record, state: "committing", verdict: "commit" }, "healthy", "committing");
}

function settleIndependent(record: CampaignRecord): CampaignRecord {
  const states = new Set(record.members.map(({ state }) => state));
  if (states.has("executing") || states.has("prepared")) return { ...record, state: "executing" };
  const active: readonly MemberState[] = ["trial", "committing", "closing", "rollingBack"];
  return { ...record, state: active.some((state) => states.has(state)) ? "trial" : endOf(record) };
}

function endOf({ members }: CampaignRecord): CampaignState {
  const states = new Set(members.map(({ state }) => state));
  if (states.has("stuck")) return "needsService";
  if (!states.has("closed")) return "rolledBack";
  return states.size === 1 ? "completed" : "partial";
}

/** A provider's call that a member waits for. */
export interface Action {
  readonly call: MemberCall;
  readonly component: string;
}

/**
 * The calls that should be under way now, most urgent first, as far as the limit allows.
 * `late`: members whose rollback could not reach them: they come after the others, so that one silent ECU keeps nobody on new software.
 */
export function plan(
  record: CampaignRecord,
  limits: CampaignLimits,
  late: ReadonlySet<string> = new Set(),
): readonly Action[] {
  const actions = record.members.flatMap((member): Action[] => {
    const call = (CALL_OF as Partial<Record<MemberState, MemberCall>>)[member.state];
    return call === undefined ? [] : [{ call, component: member.component }];
  });
  if (record.state === "preparing") return actions.slice(0, limits.maxParallel);
  if (record.state !== "rollingBack" || record.policy === "independent") return actions;
  const order = new Map(record.members.map(({ component, started }) => [component, started ?? -1]));
  const inTurn = actions.filter(({ component }) => !late.has(component));
  const backwards = inTurn.sort((a, b) => order.get(b.component)! - order.get(a.component)!);
  return [...backwards.slice(0, 1), ...actions.filter(({ component }) => late.has(component))];
}

/**
 * Members that may start now. Coordinated: those without trial wait until all others are healthy, then go one after the other.
 */
export function startable(record: CampaignRecord, limits: CampaignLimits): readonly string[] {
  if (record.state !== "executing" && record.state !== "trial") return [];
  const waiting = record.members.filter(({ state }) => state === "prepared");
  const running = record.members.filter(({ state }) => state === "executing").length;
  const room = Math.max(0, limits.maxParallel - running);
  if (record.policy === "independent") return waiting.slice(0, room).map(({ component }) => component);
  const onTrial = waiting.filter(({ supportsTrial }) => supportsTrial);
  if (onTrial.length > 0) return onTrial.slice(0, room).map(({ component }) => component);
  const othersPassed = record.members.every(({ state }) => state === "healthy" || state === "prepared");
  return othersPassed ? waiting.slice(0, 1).map(({ component }) => component) : [];
}
