/** What a component is to an update. */
import type { Config } from "#config/types.ts";
import type { CampaignRecord } from "#update/software/campaign/states.ts";
import type { Installed } from "#update/software/journal/installed.ts";
import type { TargetFacts, UpdateProvider } from "#update/software/provider.ts";

export interface ComponentParts {
  readonly component: string;
  readonly provider: Pick<UpdateProvider, "kind">;
  readonly facts: TargetFacts;
  /** What the last update left. */
  readonly installed: Installed | undefined;
  /** The update that is at work on it, or staged there. */
  readonly busy: CampaignRecord | undefined;
  readonly role: Config["update"]["role"];
  /** Of this node itself. */
  readonly isOwn: boolean;
  readonly verdictTimeoutMs: number;
  /** Bytes that an image may have; infinite where nobody tells. */
  readonly freeBytes: number;
}

/** Body of `x-medkit-update`. */
export function componentBody(parts: ComponentParts): Readonly<Record<string, unknown>> {
  const { component, provider, facts, installed, busy, role, isOwn, verdictTimeoutMs, freeBytes } = parts;
  const candidate = busy?.members.find((member) => member.component === component)?.toVersion;
  const version = facts.version ?? installed?.version;
  return {
    role: isOwn ? role : provider.kind === "sovd-secondary" ? "secondary" : "ecu",
    ecu_hardware_id: facts.hardwareId ?? "",
    ecu_serial: facts.serial ?? "",
    supports_rollback: facts.supportsRollback,
    supports_trial: facts.supportsTrial,
    provider: provider.kind,
    state: busy?.state ?? "idle",
    ...(busy === undefined ? {} : { update: busy.package.id }),
    ...(candidate === undefined ? {} : { candidate_version: candidate }),
    ...(busy?.state !== "awaitingVerdict" || busy.deadlineMs === undefined
      ? {}
      : { trial_deadline: new Date(busy.deadlineMs).toISOString() }),
    ...(isOwn && role === "secondary" ? { verdict_timeout_ms: verdictTimeoutMs } : {}),
    ...(Number.isFinite(freeBytes) ? { free_bytes: freeBytes } : {}),
    ...(version === undefined ? {} : { current_version: version }),
    ...(installed?.floor === undefined ? {} : { rollback_floor: installed.floor }),
    ...(installed?.sha256 === undefined ? {} : { current_sha256: installed.sha256 }),
    ...(installed?.rxswin === undefined ? {} : { rxswin: installed.rxswin }),
  };
}
