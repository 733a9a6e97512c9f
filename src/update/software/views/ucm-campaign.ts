/** Updates as campaigns of AUTOSAR's UCM, in the words of OpenSOVD's native server. A campaign is an update; its id is the update's. */
import { randomBytes } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { isInPassing } from "#update/software/campaign/next.ts";
import type { CampaignRecord, CampaignState } from "#update/software/campaign/states.ts";
import { isId, keyOfId, MAX_ID_LENGTH, PackageSchema, packageOf, RESERVED_ID } from "#update/software/package.ts";
import type { Updates } from "#update/software/updates.ts";
import { originOf } from "./software-package.ts";
import { errorOf, memberProgress, wordsOf } from "./status.ts";
import { holdsImage, isOverOld, TRANSFER_STATES, transferOf, wasStopped } from "./transfer.ts";

export const UCM_STATES = [
  "created",
  "transferring",
  "processing",
  "activating",
  "activated",
  "rollingBack",
  "rolledBack",
  "failed",
  "cancelled",
] as const;
export type UcmState = (typeof UCM_STATES)[number];

/** What is prepared and not to be executed yet waits as what was just created does. */
export const UCM_STATE_OF: Readonly<Record<CampaignState, UcmState>> = {
  registered: "created",
  preparing: "processing",
  prepared: "created",
  executing: "activating",
  trial: "activating",
  awaitingVerdict: "activating",
  committing: "activating",
  committed: "activating",
  closing: "activating",
  completed: "activated",
  partial: "failed",
  rollingBack: "rollingBack",
  rolledBack: "rolledBack",
  failed: "failed",
  needsService: "failed",
  deleted: "cancelled",
};

const Percent = Type.Integer({ minimum: 0, maximum: 100 });

const TransferSchema = Type.Object({
  componentId: Type.String(),
  packageId: Type.String(),
  state: Type.Enum([...TRANSFER_STATES]),
  progress: Type.Optional(Percent),
});
export const UcmCampaignSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  status: Type.Enum([...UCM_STATES]),
  targetComponents: Type.Array(Type.String()),
  createdAt: Type.String(),
  updatedAt: Type.String(),
  progress: Type.Optional(Percent),
  error: Type.Optional(Type.String()),
  transferStates: Type.Array(TransferSchema),
  "x-state": Type.String(),
});
export type UcmCampaign = Static<typeof UcmCampaignSchema>;

const {
  id: _,
  update_name: __,
  updated_components: ___,
  affected_components: ____,
  ...fields
} = PackageSchema.properties;
/** Beside name and targets, what an update is registered with. */
export const NewUcmCampaignSchema = Type.Object({
  ...fields,
  id: Type.Optional(Type.String()),
  name: Type.String({ minLength: 1, maxLength: 256 }),
  targetComponents: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 256 }),
});
export type NewUcmCampaign = Static<typeof NewUcmCampaignSchema>;

export function ucmStateOf(record: CampaignRecord, transfers: readonly string[]): UcmState {
  if (record.state === "preparing") {
    return transfers.includes("transferring") ? "transferring" : "processing";
  }
  if (isInPassing(record)) return "processing";
  if (record.state === "failed" && wasStopped(record)) return "cancelled";
  return UCM_STATE_OF[record.state];
}

/** A campaign as it is now. @throws Fault notFound */
export function ucmCampaign(updates: Updates, id: string): UcmCampaign {
  const record = updates.record(id);
  const { id: shown } = packageOf(record);
  const { phase } = wordsOf(record);
  const progressOf = (component: string) => updates.progressOf(record.id, component);
  const transferStates = record.members.map((member) => ({
    componentId: member.component,
    packageId: shown,
    state: transferOf(record, member, {
      isHeld: () => holdsImage(updates.bulk, record, member),
      progress: progressOf(member.component),
    }),
    ...(record.state === "registered" ? {} : { progress: memberProgress(member, phase, progressOf) }),
  }));
  const { progress } = updates.status(id, false);
  const { changedAtMs, createdAtMs = changedAtMs } = record;
  const isBad = isOverOld(record);
  const status = ucmStateOf(
    record,
    transferStates.map(({ state }) => state),
  );
  return {
    id: shown,
    name: (record.package.update_name as string | undefined) ?? shown,
    status,
    targetComponents: record.members.map(({ component }) => component),
    createdAt: new Date(createdAtMs).toISOString(),
    updatedAt: new Date(changedAtMs).toISOString(),
    // preparing is the first half
    ...(progress === undefined || isBad ? {} : { progress: Math.floor(progress / 2) + (phase === "execute" ? 50 : 0) }),
    ...(isBad ? { error: errorOf(record).message } : {}),
    transferStates,
    "x-state": record.state,
  };
}

/**
 * The update that a new campaign is: all go back if one fails, unless the caller wants it otherwise. @throws Fault conflict for an id
 * that is taken
 */
export function packageOfCampaign(updates: Updates, campaign: NewUcmCampaign): Record<string, unknown> {
  const { name, targetComponents, id, ...more } = campaign;
  const taken = new Set(updates.list({}).map(keyOfId));
  if (id !== undefined && taken.has(keyOfId(id))) throw new Fault("conflict", `id: there is an update ${id} already`);
  return {
    rollback_policy: "coordinated",
    automated: true,
    origins: [originOf(campaign.artifact_uri)],
    ...more,
    id: id ?? idFor(name, taken),
    update_name: name,
    updated_components: targetComponents,
  };
}

/** The name where it can be an id and is free, so that an update server can be asked by it; else made of it. */
function idFor(name: string, taken: ReadonlySet<string>): string {
  if (isId(name) && keyOfId(name) !== RESERVED_ID && !taken.has(keyOfId(name))) return name;
  const plain = name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return `${plain.slice(0, MAX_ID_LENGTH / 2) || "campaign"}-${randomBytes(4).toString("hex")}`;
}
