/** Bulk data that an update cannot do without: nobody changes it from outside before that update has ended. */
import { Fault } from "#core/errors.ts";
import type { Bulk, BulkKey } from "#update/software/bulk/bulk.ts";
import { recordOf } from "#update/software/bulk/files.ts";
import { packageOf } from "#update/software/package.ts";
import { CURRENT_IMAGE } from "#update/software/provider.ts";
import { isUnderWay } from "./next.ts";
import { bulkKeyOf, STAGED } from "./staging.ts";
import type { CampaignRecord } from "./states.ts";

/**
 * Refuses to remove or replace a whole file that an update, prepared or under way, reads or goes back to. Where service is needed the
 * file is free: another one may be what helps.
 *
 * @throws Fault updateInProgress
 */
export function requireFree(bulk: Bulk, records: readonly CampaignRecord[], file: BulkKey): void {
  if (bulk.find(file)?.complete !== true) return;
  const needer = records.find((record) => isHeld(record) && needs(record, file));
  if (needer === undefined) return;
  const name = `${file.category}/${file.id}`;
  throw new Fault("updateInProgress", `Update ${needer.package.id}, which is ${needer.state}, needs ${name}`);
}

function isHeld(record: CampaignRecord): boolean {
  return record.state === "prepared" || isUnderWay(record);
}

function needs(record: CampaignRecord, file: BulkKey): boolean {
  const { component, category } = file;
  if (category === STAGED) return component === record.id;
  if (category === CURRENT_IMAGE && record.members.some((member) => member.component === component)) return true;
  const { artifactUri, manifest } = packageOf(record);
  const uris = [artifactUri, ...Object.values(manifest?.targets ?? {}).map(({ uri }) => uri)];
  return uris.some((uri) => {
    const key = uri === undefined ? undefined : bulkKeyOf(uri);
    return key !== undefined && recordOf(key) === recordOf(file);
  });
}
