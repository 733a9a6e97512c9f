/** What the last update left on each component. The journal writes it in the step that puts the end of the member on record. */
import type { Approval, CampaignRecord, Member } from "#update/software/campaign/states.ts";

export interface Installed {
  readonly version?: string;
  readonly sha256?: string;
  readonly update: string;
  /** Oldest version that may be installed. */
  readonly floor?: string;
  /** Lowest release counter that may be installed. */
  readonly counter?: number;
  readonly rxswin?: string;
  readonly approval?: Approval;
  /** ISO 8601. */
  readonly at: string;
}

/** Members that stay new for good with the step from `before` to `after`. */
export function newlyClosed(before: CampaignRecord | undefined, after: CampaignRecord): readonly Member[] {
  const closed = new Set(before?.members.filter(({ state }) => state === "closed").map(({ component }) => component));
  return after.members.filter(({ component, state }) => state === "closed" && !closed.has(component));
}

/** The floor rises only here: the member is new and stays so. The same again changes nothing. */
export function installedBy(before: Installed | undefined, record: CampaignRecord, member: Member): Installed {
  const { toVersion: version, sha256, toRxswin: rxswin = before?.rxswin } = member;
  const floor = version ?? before?.floor;
  const counter = member.toCounter ?? before?.counter;
  const approval = member.toRxswin === undefined ? before?.approval : member.toApproval;
  return {
    update: record.id,
    at: new Date(record.changedAtMs).toISOString(),
    ...(version === undefined ? {} : { version }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(floor === undefined ? {} : { floor }),
    ...(counter === undefined ? {} : { counter }),
    ...(rxswin === undefined ? {} : { rxswin }),
    ...(approval === undefined ? {} : { approval }),
  };
}
