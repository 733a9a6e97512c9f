/** How far the software of a member is, in the words of AUTOSAR's Update and Configuration Management: transferred, processed, activated. */
import type { Bulk } from "#update/software/bulk/bulk.ts";
import { bulkKeyOf, STAGED } from "#update/software/campaign/staging.ts";
import type { CampaignRecord, Member, MemberState } from "#update/software/campaign/states.ts";
import { packageOf } from "#update/software/package.ts";
import type { ProviderProgress } from "#update/software/provider.ts";

export const TRANSFER_STATES = [
  "idle",
  "transferring",
  "transferred",
  "processing",
  "processed",
  "activating",
  "activated",
  "rollingBack",
  "failed",
] as const;
export type TransferState = (typeof TRANSFER_STATES)[number];

/** While a member prepares, its image may still be on its way: then it is `transferring`, or `transferred`. */
export const TRANSFER_OF: Readonly<Record<MemberState, TransferState>> = {
  idle: "idle",
  preparing: "processing",
  prepared: "processed",
  executing: "activating",
  trial: "activating",
  healthy: "activating",
  committing: "activating",
  committed: "activating",
  closing: "activating",
  closed: "activated",
  rollingBack: "rollingBack",
  rolledBack: "idle",
  failed: "failed",
  stuck: "failed",
};

export interface TransferFacts {
  /** Whether the image is in the store of this node; looked up only where it makes a difference. */
  readonly isHeld: () => boolean;
  /** How far the call of the member is. */
  readonly progress: ProviderProgress | undefined;
}

/** What is over without new software: also those members that had not begun yet. */
const OVER: ReadonlySet<CampaignRecord["state"]> = new Set(["rolledBack", "failed", "partial", "needsService"]);

export function isOverOld({ state }: Pick<CampaignRecord, "state">): boolean {
  return OVER.has(state);
}

/** Nobody failed: somebody wanted it stopped. Failures of members name them, and time that ran out is another kind. */
export function wasStopped(record: Pick<CampaignRecord, "state" | "error">): boolean {
  return isOverOld(record) && record.error?.kind === "conflict" && record.error.component === undefined;
}

export function transferOf(record: CampaignRecord, member: Member, { isHeld, progress }: TransferFacts): TransferState {
  if (member.state === "preparing" && !hasBegun(progress)) return isHeld() ? "transferred" : "transferring";
  if (member.state === "prepared" && isOverOld(record)) return "idle";
  if (member.state === "rolledBack" && member.error !== undefined) return "failed";
  return TRANSFER_OF[member.state];
}

/** The target was handed its image: its backend tells of steps of its own. */
function hasBegun(progress: ProviderProgress | undefined): boolean {
  return progress !== undefined && (progress.percent > 0 || progress.step !== "prepare");
}

/** Whether the image of a member is in the store: uploaded, or fetched for this update. */
export function holdsImage(bulk: Pick<Bulk, "find" | "list">, record: CampaignRecord, member: Member): boolean {
  const { manifest, artifactUri } = packageOf(record);
  const target = manifest?.targets[member.component];
  const uri = record.watchdogMs === undefined ? (target?.uri ?? artifactUri) : artifactUri;
  const local = uri === undefined ? undefined : bulkKeyOf(uri);
  if (local !== undefined) return bulk.find(local)?.complete === true;
  const sha256 = member.sha256 ?? target?.sha256.toLowerCase();
  return bulk.list(record.id, STAGED).some((file) => file.complete && file.sha256 === sha256);
}
