/**
 * Software packages of a component, as OpenSOVD's native server words them: each update that has the component as a member, seen from
 * there. Installing is preparing the update, activating is executing it; both, and the way back, concern all of its members.
 */
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { bulkKeyOf } from "#update/software/campaign/staging.ts";
import type { CampaignRecord, Member } from "#update/software/campaign/states.ts";
import type { Installed } from "#update/software/journal/installed.ts";
import { keyOfId, packageOf } from "#update/software/package.ts";
import type { Updates } from "#update/software/updates.ts";
import { errorOf, memberProgress, wordsOf } from "./status.ts";
import { holdsImage, isOverOld, type TransferFacts, type TransferState, transferOf, wasStopped } from "./transfer.ts";

export const PACKAGE_STATES = [
  "available",
  "downloading",
  "downloaded",
  "installing",
  "installed",
  "activated",
  "rollingBack",
  "failed",
] as const;
export type PackageState = (typeof PACKAGE_STATES)[number];

/** `installed` until all is over: new software that is on trial may still go back. */
export const PACKAGE_STATE_OF: Readonly<Record<TransferState, PackageState>> = {
  idle: "available",
  transferring: "downloading",
  transferred: "downloaded",
  processing: "installing",
  processed: "installed",
  activating: "installed",
  activated: "activated",
  rollingBack: "rollingBack",
  failed: "failed",
};

export const SoftwarePackageSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  version: Type.String(),
  description: Type.Optional(Type.String()),
  status: Type.Enum([...PACKAGE_STATES]),
  previousVersion: Type.Optional(Type.String()),
  progress: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
  componentId: Type.String(),
  updatedAt: Type.String(),
  error: Type.Optional(Type.String()),
  "x-state": Type.String(),
});
export type SoftwarePackage = Static<typeof SoftwarePackageSchema>;

/** What an install may bring along. `signature`: base64 of Ed25519 over the manifest that `packageFrom` makes of it. */
export const PackageManifestSchema = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 256 }),
  version: Type.String({ minLength: 1, maxLength: 128 }),
  downloadUrl: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })),
  checksum: Type.Optional(Type.String({ pattern: "^(?:[Ss][Hh][Aa]-?256:)?[0-9A-Fa-f]{64}$" })),
  size: Type.Optional(Type.Integer({ minimum: 0 })),
  signature: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
});
export type PackageManifest = Static<typeof PackageManifestSchema>;

/** Where in its life a package is. `isCurrent`: what it left is what the component has now. */
export function packageStateOf(
  record: CampaignRecord,
  member: Member,
  facts: TransferFacts,
  isCurrent: boolean,
): PackageState {
  const transfer = transferOf(record, member, facts);
  if (transfer === "idle" && isOverOld(record) && !wasStopped(record)) return "failed";
  const isWaiting = transfer === "idle" || (transfer === "activated" && !isCurrent);
  if (!isWaiting) return PACKAGE_STATE_OF[transfer];
  return facts.isHeld() ? "downloaded" : "available";
}

/** The packages of a component, in the order of registration. */
export function packagesOf(updates: Updates, component: string): readonly SoftwarePackage[] {
  const installed = updates.installed().get(component);
  return updates.list({}).flatMap((id) => {
    const record = updates.record(id);
    const member = memberOf(record, component);
    return member === undefined ? [] : [show(updates, record, member, installed)];
  });
}

/** @throws Fault notFound when there is no such update, or it is none of this component's */
export function packageOfComponent(updates: Updates, component: string, id: string): SoftwarePackage {
  const record = updates.record(id);
  const member = memberOf(record, component);
  if (member === undefined) throw new Fault("notFound", `Update ${id} has no package for component ${component}`);
  return show(updates, record, member, updates.installed().get(component));
}

function memberOf({ members }: CampaignRecord, component: string): Member | undefined {
  return members.find((member) => member.component === component);
}

function show(
  updates: Updates,
  record: CampaignRecord,
  member: Member,
  installed: Installed | undefined,
): SoftwarePackage {
  const { component, fromVersion } = member;
  const { id, manifest, targetVersion } = packageOf(record);
  const { update_name: name = id, notes } = record.package as { update_name?: string; notes?: unknown };
  const progress = updates.progressOf(record.id, component);
  const facts = { isHeld: () => holdsImage(updates.bulk, record, member), progress };
  const status = packageStateOf(record, member, facts, installed?.update === record.id);
  const percent = percentOf(updates, record, member, status);
  return {
    id,
    name,
    version: member.toVersion ?? manifest?.targets[component]?.version ?? manifest?.version ?? targetVersion ?? "",
    ...(typeof notes === "string" ? { description: notes } : {}),
    status,
    ...(fromVersion === undefined ? {} : { previousVersion: fromVersion }),
    ...(percent === undefined ? {} : { progress: percent }),
    componentId: component,
    updatedAt: new Date(record.changedAtMs).toISOString(),
    ...(status === "failed" ? { error: errorOf(record).message } : {}),
    "x-state": member.state,
  };
}

function percentOf(updates: Updates, record: CampaignRecord, member: Member, status: PackageState): number | undefined {
  const progressOf = (component: string) => updates.progressOf(record.id, component);
  if (status === "rollingBack") return progressOf(member.component)?.percent ?? 0;
  if (member.state === "preparing" || status === "installed" || status === "activated")
    return memberProgress(member, wordsOf(record).phase, progressOf);
  return undefined;
}

/**
 * An update of one component out of what an install brings along. With `checksum` and `size` its signed manifest is
 * `{id, version, targets: {component: {sha256, length}}}`. @throws Fault badRequest, conflict for an id that stands for an update of others
 */
export function packageFrom(
  updates: Pick<Updates, "list" | "record">,
  component: string,
  id: string,
  manifest: PackageManifest,
): Record<string, unknown> {
  if (updates.list({}).some((known) => keyOfId(known) === id) && !isAlone(updates.record(id), component)) {
    throw new Fault("conflict", `${id} is an update of other components as well`);
  }
  const { name, version, downloadUrl, checksum, size, signature } = manifest;
  const missing = [checksum === undefined ? "checksum" : "", size === undefined ? "size" : ""].filter(Boolean);
  if (missing.length === 1) throw new Fault("badRequest", `${missing[0]}: checksum and size go together`);
  if (signature !== undefined && missing.length > 0) {
    throw new Fault("badRequest", "signature: it is made over checksum and size, which are missing");
  }
  const target = { sha256: checksum?.slice(-SHA256_DIGITS).toLowerCase(), length: size };
  return {
    id,
    update_name: name,
    target_version: version,
    updated_components: [component],
    origins: [originOf(downloadUrl)],
    ...(downloadUrl === undefined ? {} : { artifact_uri: downloadUrl }),
    ...(checksum === undefined ? {} : { "x-manifest": { id, version, targets: { [component]: target } } }),
    ...(signature === undefined ? {} : { "x-signature": signature }),
  };
}

function isAlone({ members }: CampaignRecord, component: string): boolean {
  return members.length === 1 && members[0]?.component === component;
}

const SHA256_DIGITS = 64;

/** What was uploaded here came by somebody who stood before the vehicle. */
export function originOf(uri: string | undefined): "remote" | "proximity" {
  return uri !== undefined && bulkKeyOf(uri) !== undefined ? "proximity" : "remote";
}
