/**
 * Where the software of each component came from (UN R156): read from the audit chain, whose records carry the state they lead to. What
 * is told here was written in the very step it tells of.
 */
import { type Static, Type } from "#core/schema.ts";
import {
  type CampaignRecord,
  type Member,
  type MemberState,
  UPDATE_METHODS,
} from "#update/software/campaign/states.ts";
import type { AuditRecord } from "#update/software/journal/audit.ts";
import type { Installed } from "#update/software/journal/installed.ts";

export const RxswinEntrySchema = Type.Object({
  componentId: Type.String(),
  rxswin: Type.String(),
  softwareVersion: Type.String(),
  updatedAt: Type.String(),
  authority: Type.Optional(Type.String()),
  approvalRef: Type.Optional(Type.String()),
});
export type RxswinEntry = Static<typeof RxswinEntrySchema>;

/** Undefined for a component whose software needs no approval. */
export function rxswinEntry(componentId: string, installed: Installed): RxswinEntry | undefined {
  const { rxswin, version: softwareVersion = "", at: updatedAt, approval: { authority, ref } = {} } = installed;
  if (rxswin === undefined) return undefined;
  return {
    componentId,
    rxswin,
    softwareVersion,
    updatedAt,
    ...(authority === undefined ? {} : { authority }),
    ...(ref === undefined ? {} : { approvalRef: ref }),
  };
}

export const ProvenanceSchema = Type.Object({
  id: Type.String(),
  componentId: Type.String(),
  previousVersion: Type.String(),
  newVersion: Type.String(),
  appliedAt: Type.String(),
  updateMethod: Type.Enum([...UPDATE_METHODS]),
  packageDigest: Type.Optional(Type.String()),
  success: Type.Boolean(),
  rxswinAfter: Type.Optional(Type.String()),
  "x-update": Type.String(),
  "x-audit-seq": Type.Integer(),
  "x-state": Type.String(),
  "x-error": Type.Optional(Type.String()),
});
export type Provenance = Static<typeof ProvenanceSchema>;

/** A member that was touched ends new, old, or neither. */
const ENDS: ReadonlySet<MemberState> = new Set(["closed", "rolledBack", "stuck"]);

/**
 * Reads the chain, record by record from its oldest, and gives an entry for each end of a member. `after`: only for those behind this
 * record.
 */
export function provenanceReader(after = 0): (record: AuditRecord) => readonly Provenance[] {
  const seen = new Map<string, ReadonlyMap<string, MemberState>>();
  return (record) => {
    if (record.state === undefined) return [];
    const { state } = record;
    const before = seen.get(state.id);
    seen.set(state.id, new Map(state.members.map((member) => [member.component, member.state])));
    if (record.seq <= after) return [];
    // of a campaign whose beginning was pruned, a record tells only of the member it speaks of
    const isNew = (member: Member) =>
      before === undefined ? member.component === record.component : before.get(member.component) !== member.state;
    const ended = state.members.filter((member) => ENDS.has(member.state) && isNew(member));
    return ended.map((member) => entryOf(record, state, member));
  };
}

function entryOf(record: AuditRecord, { id, method = "ota" }: Pick<CampaignRecord, "id" | "method">, member: Member) {
  const { component, state, fromVersion = "", toVersion = "", sha256, error } = member;
  const success = state === "closed";
  const rxswin = success ? member.toRxswin : state === "rolledBack" ? member.fromRxswin : undefined;
  return {
    id: `${record.seq}-${component}`,
    componentId: component,
    previousVersion: fromVersion,
    newVersion: toVersion,
    appliedAt: record.at,
    updateMethod: method,
    ...(sha256 === undefined ? {} : { packageDigest: `sha256:${sha256}` }),
    success,
    ...(rxswin === undefined ? {} : { rxswinAfter: rxswin }),
    "x-update": id,
    "x-audit-seq": record.seq,
    "x-state": state,
    ...(success || error === undefined ? {} : { "x-error": error.message }),
  };
}
