/**
 * The campaign as tables: states of the whole and of each member, events, and where each may lead. `next.ts` computes the one place
 * it does lead to; a result that the table does not list is a mistake of ours and throws. A test walks these tables.
 */
import type { FaultData } from "#core/errors.ts";

export const CAMPAIGN_STATES = [
  "registered",
  "preparing",
  "prepared",
  "executing",
  "trial",
  "awaitingVerdict",
  "committing",
  "committed",
  "closing",
  "completed",
  "partial",
  "rollingBack",
  "rolledBack",
  "failed",
  "needsService",
  "deleted",
] as const;
export type CampaignState = (typeof CAMPAIGN_STATES)[number];

/** What the caller, the clock and the start of the process tell a campaign, and what its members report. */
export const EVENTS = [
  "prepare",
  "execute",
  "cancel",
  "commit",
  "rollback",
  "close",
  "retry",
  "expire",
  "restart",
  "delete",
  "memberPrepared",
  "memberPrepareFailed",
  "memberStarted",
  "memberExecuted",
  "memberExecuteFailed",
  "memberHealthy",
  "memberUnhealthy",
  "memberCommitted",
  "memberCommitRefused",
  "memberClosed",
  "memberRolledBack",
  "memberRollbackFailed",
] as const;
export type EventType = (typeof EVENTS)[number];

export const MEMBER_STATES = [
  "idle",
  "preparing",
  "prepared",
  "executing",
  "trial",
  "healthy",
  "committing",
  "committed",
  "closing",
  "closed",
  "rollingBack",
  "rolledBack",
  "failed",
  "stuck",
] as const;
export type MemberState = (typeof MEMBER_STATES)[number];

type CampaignTable = Readonly<Record<CampaignState, Readonly<Partial<Record<EventType, readonly CampaignState[]>>>>>;

/** Where what stops a campaign leads: back, or, where members decide for themselves, to the end of those that have ended already. */
const STOPPED = ["rollingBack", "rolledBack", "partial", "needsService"] as const;

export const TRANSITIONS: CampaignTable = {
  registered: { prepare: ["preparing"], delete: ["deleted"] },
  preparing: {
    memberPrepared: ["preparing", "prepared"],
    memberPrepareFailed: ["failed"],
    cancel: ["failed"],
    rollback: ["failed"],
    expire: ["failed"],
    restart: ["preparing"],
  },
  prepared: {
    prepare: ["preparing"],
    execute: ["executing"],
    cancel: ["failed"],
    rollback: ["failed"],
    delete: ["deleted"],
  },
  // a member executes or waits for its turn
  executing: {
    memberStarted: ["executing"],
    memberExecuted: ["executing", "trial"],
    memberExecuteFailed: ["executing", "trial", "rollingBack"],
    memberHealthy: ["executing"],
    memberUnhealthy: ["executing", "rollingBack"],
    memberCommitted: ["executing"],
    memberCommitRefused: ["executing"],
    memberClosed: ["executing"],
    memberRolledBack: ["executing"],
    memberRollbackFailed: ["executing"],
    cancel: STOPPED,
    rollback: STOPPED,
    expire: STOPPED,
    restart: ["executing", "trial", "rollingBack"],
  },
  // nobody executes; where members decide for themselves, they also commit and go back here
  trial: {
    memberStarted: ["executing"],
    memberHealthy: ["trial", "executing", "awaitingVerdict", "committing"],
    memberUnhealthy: ["trial", "rollingBack"],
    memberCommitted: ["trial"],
    memberCommitRefused: ["trial"],
    memberClosed: ["trial", "completed", "partial", "needsService"],
    memberRolledBack: ["trial", "rolledBack", "partial", "needsService"],
    memberRollbackFailed: ["trial", "needsService"],
    cancel: STOPPED,
    rollback: STOPPED,
    expire: STOPPED,
    restart: ["trial"],
  },
  awaitingVerdict: {
    commit: ["committing"],
    cancel: ["rollingBack"],
    rollback: ["rollingBack"],
    expire: ["rollingBack"],
    restart: ["awaitingVerdict"],
  },
  committing: {
    memberCommitted: ["committing", "committed", "closing"],
    memberCommitRefused: ["rollingBack"],
    rollback: ["rollingBack"],
    expire: ["rollingBack"],
    restart: ["committing"],
  },
  committed: { close: ["closing"], rollback: ["rollingBack"], restart: ["committed"] },
  // the verdict stands and all run new software: who cannot be told to drop the old one keeps it, no more
  closing: { memberClosed: ["closing", "completed"], expire: ["completed"], restart: ["closing"] },
  completed: { prepare: ["preparing"], delete: ["deleted"] },
  partial: { prepare: ["preparing"], delete: ["deleted"] },
  rollingBack: {
    memberRolledBack: ["rollingBack", "rolledBack", "partial", "needsService"],
    memberRollbackFailed: ["rollingBack", "needsService"],
    expire: ["needsService"],
    restart: ["rollingBack"],
  },
  rolledBack: { prepare: ["preparing"], delete: ["deleted"] },
  failed: { prepare: ["preparing"], delete: ["deleted"] },
  needsService: { retry: ["rollingBack"], rollback: ["rollingBack"], restart: ["needsService"], delete: ["deleted"] },
  deleted: {},
};

/** What a member's report makes of it. `memberHealthy` leads on to `committing` at once where each member decides for itself. */
export const MEMBER_TRANSITIONS: Readonly<
  Record<MemberState, Readonly<Partial<Record<EventType, readonly MemberState[]>>>>
> = {
  idle: {},
  preparing: { memberPrepared: ["prepared"], memberPrepareFailed: ["failed"] },
  prepared: { memberStarted: ["executing"] },
  executing: { memberExecuted: ["trial"], memberExecuteFailed: ["rollingBack"] },
  trial: { memberHealthy: ["healthy", "committing"], memberUnhealthy: ["rollingBack"] },
  healthy: {},
  committing: { memberCommitted: ["committed", "closing"], memberCommitRefused: ["rollingBack"] },
  committed: {},
  closing: { memberClosed: ["closed"] },
  closed: {},
  rollingBack: { memberRolledBack: ["rolledBack"], memberRollbackFailed: ["stuck"] },
  rolledBack: {},
  failed: {},
  stuck: {},
};

/** The call of a provider that a member in this state waits for. */
export const CALL_OF = {
  preparing: "prepare",
  executing: "execute",
  trial: "gate",
  committing: "commit",
  closing: "close",
  rollingBack: "rollback",
} as const satisfies Partial<Record<MemberState, string>>;
export type MemberCall = (typeof CALL_OF)[keyof typeof CALL_OF];

/** Members that may run new software, or a part of it, and have not been told to keep it for good. */
export const TOUCHED: ReadonlySet<MemberState> = new Set(["executing", "trial", "healthy", "committing", "committed"]);
/** Nothing happens by itself any more. */
export const IDLE_STATES: ReadonlySet<CampaignState> = new Set([
  "registered",
  "prepared",
  "completed",
  "partial",
  "rolledBack",
  "failed",
  "needsService",
  "deleted",
]);
export const FINAL_STATES: ReadonlySet<CampaignState> = new Set(["completed", "partial", "rolledBack", "failed"]);

/** Who acts when nobody asked. */
export const SYSTEM = "system";

export type RollbackPolicy = "independent" | "coordinated";

/** How software came to the vehicle, as UN R156 tells it apart. */
export const UPDATE_METHODS = ["ota", "workshop", "factory"] as const;
export type UpdateMethod = (typeof UPDATE_METHODS)[number];

/** Of a type approval. */
export interface Approval {
  readonly authority?: string;
  readonly ref?: string;
}

export interface Member {
  /** Component id, lower case. */
  readonly component: string;
  readonly state: MemberState;
  /** Which ECU it was when it was prepared, as far as it says. */
  readonly hardwareId?: string;
  readonly serial?: string;
  readonly supportsTrial: boolean;
  readonly fromVersion?: string;
  readonly toVersion?: string;
  /** Image that the last update left, as far as known. */
  readonly fromSha256?: string;
  /** RXSWIN it had, and has with the new image. */
  readonly fromRxswin?: string;
  readonly toRxswin?: string;
  /** What approved the new one. */
  readonly toApproval?: Approval;
  /** Release counter of the image it gets. */
  readonly toCounter?: number;
  /** Of the image it gets, lower-case hex, and its length. */
  readonly sha256?: string;
  readonly sizeBytes?: number;
  /** Place in the order of starts; rollback goes the other way. */
  readonly started?: number;
  /** How often a start of the process found it executing. */
  readonly restarts: number;
  readonly error?: FaultData;
}

/** All that is durable of a campaign. Times are wall clock, milliseconds since 1970: they outlive the process. */
export interface CampaignRecord {
  readonly id: string;
  readonly policy: RollbackPolicy;
  readonly state: CampaignState;
  /** Another node decides: hold the trial until its verdict, at most for so long. */
  readonly watchdogMs?: number;
  readonly attempt: number;
  /** Execute as soon as prepared. */
  readonly thenExecute: boolean;
  readonly members: readonly Member[];
  /** When the present state must be over. */
  readonly deadlineMs?: number;
  readonly verdict?: "commit" | "rollback";
  /** Going back once more after it did not succeed in time: until it does, service is needed. */
  readonly retried?: boolean;
  readonly error?: FaultData & { readonly component?: string };
  /** Sequence number of the audit record that this state was written with. */
  readonly auditSeq: number;
  readonly changedAtMs: number;
  /** When it was registered, and how its software came. */
  readonly createdAtMs?: number;
  readonly method?: UpdateMethod;
  readonly package: Readonly<Record<string, unknown>>;
}

/** What `prepare` learned of a member. */
export interface PreparedFacts {
  readonly supportsTrial: boolean;
  readonly hardwareId?: string;
  readonly serial?: string;
  readonly fromVersion?: string;
  readonly fromSha256?: string;
  readonly fromRxswin?: string;
  readonly toRxswin?: string;
  readonly toApproval?: Approval;
  readonly toCounter?: number;
  readonly toVersion?: string;
  readonly sha256?: string;
  readonly sizeBytes?: number;
}

export type CampaignEvent =
  | { readonly type: "prepare"; readonly thenExecute: boolean }
  | { readonly type: "execute" | "commit" | "close" | "retry" | "expire" | "restart" | "delete" }
  | { readonly type: "cancel" | "rollback"; readonly reason: string }
  | { readonly type: "memberPrepared"; readonly component: string; readonly facts: PreparedFacts }
  | {
      readonly type:
        | "memberStarted"
        | "memberExecuted"
        | "memberHealthy"
        | "memberCommitted"
        | "memberClosed"
        | "memberRolledBack";
      readonly component: string;
    }
  | {
      readonly type:
        | "memberPrepareFailed"
        | "memberExecuteFailed"
        | "memberUnhealthy"
        | "memberCommitRefused"
        | "memberRollbackFailed";
      readonly component: string;
      readonly error: FaultData;
    };

/** How long a state may last, milliseconds. */
export interface CampaignLimits {
  readonly prepareMs: number;
  /** From execute to the verdict, soak time included. */
  readonly executeMs: number;
  readonly commitMs: number;
  readonly rollbackMs: number;
  /** Starts of the process that may find a member executing before it is given up. */
  readonly maxRestarts: number;
  /** Members that prepare, or execute, at the same time. */
  readonly maxParallel: number;
}

/** A member before its target has said what it is and can. */
export function freshMember(component: string, state: "idle" | "preparing"): Member {
  return { component, state, supportsTrial: true, restarts: 0 };
}
