/** The status of an update as ISO 17978-3 (Table 270) and ros2_medkit show it: one body that clients of either can read. */
import { FAULTS, type FaultData } from "#core/errors.ts";
import { isInPassing } from "#update/software/campaign/next.ts";
import type { CampaignRecord, CampaignState, Member, MemberState } from "#update/software/campaign/states.ts";
import type { ProviderProgress } from "#update/software/provider.ts";

export type StatusWord = "pending" | "inProgress" | "completed" | "failed";
type Phase = "prepare" | "execute";

interface StateWords {
  readonly phase: Phase;
  readonly status: StatusWord;
  /** Word of ros2_medkit (`x-medkit.phase`). */
  readonly medkit: "none" | "preparing" | "prepared" | "executing" | "executed" | "failed" | "deleting";
}

const STATE_WORDS: Readonly<Record<CampaignState, StateWords>> = {
  registered: { phase: "prepare", status: "pending", medkit: "none" },
  preparing: { phase: "prepare", status: "inProgress", medkit: "preparing" },
  prepared: { phase: "prepare", status: "completed", medkit: "prepared" },
  executing: { phase: "execute", status: "inProgress", medkit: "executing" },
  trial: { phase: "execute", status: "inProgress", medkit: "executing" },
  awaitingVerdict: { phase: "execute", status: "inProgress", medkit: "executing" },
  committing: { phase: "execute", status: "inProgress", medkit: "executing" },
  committed: { phase: "execute", status: "inProgress", medkit: "executing" },
  closing: { phase: "execute", status: "inProgress", medkit: "executing" },
  completed: { phase: "execute", status: "completed", medkit: "executed" },
  partial: { phase: "execute", status: "failed", medkit: "failed" },
  rollingBack: { phase: "execute", status: "inProgress", medkit: "executing" },
  rolledBack: { phase: "execute", status: "failed", medkit: "failed" },
  failed: { phase: "prepare", status: "failed", medkit: "failed" },
  needsService: { phase: "execute", status: "failed", medkit: "failed" },
  deleted: { phase: "prepare", status: "pending", medkit: "deleting" },
};

/** What a record shows. Prepared on the way to being executed is not the end of anything: a client that polls must not stop there. */
export function wordsOf({ state, thenExecute }: Pick<CampaignRecord, "state" | "thenExecute">): StateWords {
  return STATE_WORDS[isInPassing({ state, thenExecute }) ? "preparing" : state];
}

/** Share of a phase that a member has behind it at the beginning of a state, percent, and how far its call takes it. */
const SHARES: Readonly<Record<Phase, Readonly<Partial<Record<MemberState, readonly [from: number, to: number]>>>>> = {
  prepare: { preparing: [0, 99], prepared: [100, 100] },
  execute: {
    executing: [0, 70],
    trial: [70, 85],
    healthy: [85, 85],
    committing: [85, 90],
    committed: [95, 95],
    closing: [95, 99],
    closed: [100, 100],
  },
};

const MEMBER_WORDS: Readonly<Partial<Record<MemberState, StatusWord>>> = {
  prepared: "completed",
  closed: "completed",
  failed: "failed",
  rolledBack: "failed",
  stuck: "failed",
  idle: "pending",
};

export type ProgressOf = (component: string) => ProviderProgress | undefined;

export interface StatusBody {
  readonly phase: Phase;
  readonly status: StatusWord;
  readonly progress?: number;
  readonly [more: string]: unknown;
}

/** The error object of a member's failure; base paths spell it in their own way. */
export type ErrorShape = (fault: FaultData) => object;

const PLAIN_ERROR: ErrorShape = ({ kind, message }) => ({ error_code: FAULTS[kind].code, message });

/** `floor`: progress already shown in this phase, below which it does not fall. `medkit`: `error` as plain text. */
export function statusOf(
  record: CampaignRecord,
  progressOf: ProgressOf,
  floor: number,
  medkit: boolean,
  shape: ErrorShape = PLAIN_ERROR,
): StatusBody {
  const { phase, status, medkit: word } = wordsOf(record);
  const pending = record.state === "registered";
  const members = record.members.map((member) => memberOf(member, phase, progressOf, shape));
  const error = status === "failed" ? errorOf(record) : undefined;
  return {
    phase,
    status,
    ...(pending ? {} : { progress: Math.max(floor, overallProgress(record, progressOf)) }),
    ...(pending
      ? {}
      : {
          subprogress: members,
          sub_progress: members.map(({ entity, progress, step }) => ({
            name: step === undefined ? entity : `${entity}: ${step}`,
            progress,
          })),
          step: record.state,
        }),
    ...(error === undefined ? {} : { error: medkit ? error.message : error }),
    "x-state": record.state,
    "x-attempt": record.attempt,
    "x-rollback-policy": record.policy,
    "x-medkit": { phase: word },
  };
}

/** Weighted by bytes. */
export function overallProgress(record: CampaignRecord, progressOf: ProgressOf): number {
  const { phase, status } = wordsOf(record);
  if (status === "completed") return 100;
  let [done, total] = [0, 0];
  for (const member of record.members) {
    const weight = Math.max(1, member.sizeBytes ?? 1);
    done += weight * memberProgress(member, phase, progressOf);
    total += weight;
  }
  return total === 0 ? 0 : Math.floor(done / total);
}

/** Share of the phase that a member has behind it, percent. */
export function memberProgress({ component, state }: Member, phase: Phase, progressOf: ProgressOf): number {
  const share = SHARES[phase][state];
  if (share === undefined) return 0;
  const [from, to] = share;
  return Math.floor(from + ((to - from) * (progressOf(component)?.percent ?? 0)) / 100);
}

function memberOf(member: Member, phase: Phase, progressOf: ProgressOf, shape: ErrorShape) {
  const { component, state, error, fromVersion, toVersion } = member;
  const waiting = phase === "execute" && state === "prepared";
  const status = waiting ? "pending" : (MEMBER_WORDS[state] ?? "inProgress");
  const step = progressOf(component)?.step;
  return {
    entity: component,
    status,
    progress: memberProgress(member, phase, progressOf),
    ...(step === undefined || status !== "inProgress" ? {} : { step }),
    ...(error === undefined ? {} : { error: shape(error) }),
    "x-state": state,
    ...(fromVersion === undefined ? {} : { "x-from-version": fromVersion }),
    ...(toVersion === undefined ? {} : { "x-to-version": toVersion }),
  };
}

/** What follows this beginning; empty when the text begins otherwise. */
function behind(text: string, beginning: string): string {
  return text.startsWith(beginning) ? text.slice(beginning.length) : "";
}

/** Codes of the interface where it has one; else what went wrong when. */
export function errorOf({ state, error, members }: CampaignRecord): {
  error_code: string;
  message: string;
  parameters?: object;
} {
  const stuck = members.filter((member) => member.state === "stuck").map(({ component }) => component);
  const signature = error?.kind === "invalidSignature";
  const when = state === "failed" ? "update-preparation-failed" : "update-execution-failed";
  const named = error?.component === undefined || /^[ :]/.test(behind(error.message, error.component));
  const where = named ? "" : `${error.component}: `;
  const service = stuck.length === 0 ? "" : ` These could not go back and need service: ${stuck.join(", ")}.`;
  const what = (error?.message ?? "The update failed").replace(/\.$/, "");
  return {
    error_code: signature ? "invalid-signature" : when,
    message: `${where}${what}.${service}`,
    ...(stuck.length === 0 ? {} : { parameters: { needs_service: stuck } }),
  };
}
