/** Images that a primary handed on to this node: the store keeps one as long as an update may need it. Nobody else tidies up here. */
import { Fault } from "#core/errors.ts";
import type { Bulk, BulkInfo, BulkKey } from "#update/software/bulk/bulk.ts";
import { recordOf } from "#update/software/bulk/files.ts";
import { isUnderWay } from "./next.ts";
import { bulkKeyOf } from "./staging.ts";
import { type CampaignRecord, FINAL_STATES } from "./states.ts";

/** Category of what is handed on. */
export const RELAYED = "x-relayed";

/** Whether a primary registered the update here. */
export function isRelayed(record: CampaignRecord): boolean {
  return record.package["x-relay"] !== undefined;
}

/** The one that ended longest ago; its record in the audit chain stays. */
export function oldestRelayed(records: readonly CampaignRecord[]): CampaignRecord | undefined {
  const over = records.filter((record) => isRelayed(record) && FINAL_STATES.has(record.state));
  return over.sort((a, b) => a.changedAtMs - b.changedAtMs)[0];
}

/**
 * Removes what the components of an update have that nobody needs once it has ended: its own image, and what was handed on before it for
 * updates that are not under way. One that failed keeps its own: the next attempt will not have to bring it again.
 */
export async function dropRelayed(
  bulk: Bulk,
  records: readonly CampaignRecord[],
  ended: CampaignRecord,
  withOwn = ended.state !== "failed",
): Promise<void> {
  if (!isRelayed(ended)) return;
  const { createdAtMs = 0 } = ended;
  const own = imageOf(ended);
  // also of the update itself, where it has begun anew meanwhile
  const others = records.filter((record) => record !== ended);
  const needed = new Set(others.filter((record) => mayNeed(record, createdAtMs)).map(imageOf));
  // who was prepared with the very image still has it where it was staged
  const keepsOwn = !withOwn || others.some((record) => record.state === "prepared" && imageOf(record) === own);
  const isOver = (info: BulkInfo) => {
    const key = recordOf(info);
    return (key === own ? !keepsOwn : info.createdAt < createdAtMs) && !needed.has(key);
  };
  const over = ended.members.flatMap(({ component }) => bulk.list(component, RELAYED).filter(isOver));
  // all at once: from here on the primary is told that they are not there
  await Promise.all(over.map((info) => bulk.remove(info).catch(ignoreGone)));
}

/** Bytes that an image handed on may have once `dropSpare` was called; infinite where the store does not tell. */
export function roomForRelayed(bulk: Bulk, records: readonly CampaignRecord[], component: string): number {
  const { roomBytes = Number.POSITIVE_INFINITY } = bulk;
  return spareOf(bulk, records, component).reduce((sum, { size }) => sum + size, roomBytes);
}

/**
 * Before an image is handed on: what stands in its way goes, unless its update is under way. Also what was only prepared: it is about to be
 * overwritten where it was staged.
 */
export async function dropSpare(bulk: Bulk, records: readonly CampaignRecord[], next: BulkKey): Promise<void> {
  if (next.category !== RELAYED) return;
  for (const info of spareOf(bulk, records, next.component)) {
    if (info.id !== next.id) await bulk.remove(info).catch(ignoreGone);
  }
}

function spareOf(bulk: Bulk, records: readonly CampaignRecord[], component: string): readonly BulkInfo[] {
  const needed = new Set(records.filter(isBusy).map(imageOf));
  return bulk.list(component, RELAYED).filter((info) => !needed.has(recordOf(info)));
}

/** One that is still being written, e.g. over a connection that nobody has closed, goes the next time. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof Fault && (error.kind === "notFound" || error.kind === "storageBusy"))) throw error;
}

function isBusy(record: CampaignRecord): boolean {
  return isUnderWay(record) || record.state === "needsService";
}

function mayNeed(record: CampaignRecord, sinceMs: number): boolean {
  return isBusy(record) || (record.createdAtMs ?? 0) > sinceMs;
}

function imageOf({ package: { artifact_uri: uri } }: CampaignRecord): string | undefined {
  const key = typeof uri === "string" ? bulkKeyOf(uri) : undefined;
  return key === undefined ? undefined : recordOf(key);
}
