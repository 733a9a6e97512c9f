/**
 * Where the software of each component came from (UN R156): read from the audit chain, whose records carry the state they lead to. What
 * is told here was written in the very step it tells of.
 */
import { type Static, Type } from "#core/schema.ts";
import type { AuditRecord } from "./audit.ts";
import type { Installed } from "./installed.ts";
import { type CampaignRecord, type Member, type MemberState, UPDATE_METHODS } from "./states.ts";

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

/** One entry for each end of a member, oldest first. `after`: only those behind this record of the chain. */
export function* provenanceOf(records: Iterable<AuditRecord>, after = 0): Generator<Provenance> {
  const seen = new Map<string, ReadonlyMap<string, MemberState>>();
  for (const record of records) {
    if (record.state === undefined) continue;
    const { id, members } = record.state;
    const before = seen.get(id);
    for (const member of members) {
      // of a campaign whose beginning was pruned, a record tells only of the member it speaks of
      const isNew =
        before === undefined ? member.component === record.component : before.get(member.component) !== member.state;
      if (isNew && ENDS.has(member.state) && record.seq > after) yield entryOf(record, record.state, member);
    }
    seen.set(id, new Map(members.map(({ component, state }) => [component, state])));
  }
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
