/** A member's piece of work as its backend gets it, and the notes that it is made from. */
import type { Bulk, BulkInfo, BulkKey } from "#update/software/bulk/bulk.ts";
import type { Journal } from "#update/software/journal/journal.ts";
import type { SignedManifest, UpdateJob } from "#update/software/provider.ts";
import type { CallRun } from "./campaigns.ts";
import type { CampaignRecord, Member } from "./states.ts";

export interface JobParts {
  readonly journal: Journal;
  readonly bulk: Bulk;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const IMAGE_NOTE = "image";
const SIGNED_NOTE = "signed";

export function noteKey({ id, attempt }: CampaignRecord, component: string, name: string): string {
  return `${id}/${attempt}/${component}/${name}`;
}

/** Notes that the backend itself made. */
function ownNoteKey(record: CampaignRecord, component: string, name: string): string {
  return noteKey(record, component, `p-${name}`);
}

export function rememberSigned(
  { journal }: JobParts,
  record: CampaignRecord,
  component: string,
  signed: SignedManifest,
): Promise<void> {
  return journal.writeNote("notes", noteKey(record, component, SIGNED_NOTE), JSON.stringify(signed));
}

/** What was judged when this attempt was prepared. */
export function signedOf({ journal }: JobParts, record: CampaignRecord, component: string): SignedManifest | undefined {
  const note = journal.readNote("notes", noteKey(record, component, SIGNED_NOTE));
  return note === undefined ? undefined : (JSON.parse(note) as SignedManifest);
}

export function rememberImage(
  { journal }: JobParts,
  record: CampaignRecord,
  component: string,
  { component: owner, category, id }: BulkKey,
): Promise<void> {
  const key: BulkKey = { component: owner, category, id };
  return journal.writeNote("notes", noteKey(record, component, IMAGE_NOTE), JSON.stringify(key));
}

/** The image that was verified, as long as it is there: another file under the same id is not it. */
export function imageOf(parts: JobParts, record: CampaignRecord, member: Member): BulkInfo | undefined {
  const image = notedImage(parts, record, member);
  return image?.complete === true && image.sha256 === member.sha256 ? image : undefined;
}

function notedImage({ journal, bulk }: JobParts, record: CampaignRecord, { component }: Member): BulkInfo | undefined {
  const note = journal.readNote("notes", noteKey(record, component, IMAGE_NOTE));
  return note === undefined ? undefined : bulk.find(JSON.parse(note) as BulkKey);
}

export function jobOf(
  parts: JobParts,
  record: CampaignRecord,
  member: Member,
  { signal, progress }: CallRun,
  image = imageOf(parts, record, member),
): UpdateJob {
  const { journal, bulk, log } = parts;
  const { component, fromVersion, toVersion } = member;
  const signed = signedOf(parts, record, component);
  return {
    campaign: record.id,
    attempt: record.attempt,
    component,
    artifact: image === undefined ? undefined : bulk.artifact(image),
    toVersion,
    fromVersion,
    package: record.package,
    ...(signed === undefined ? {} : { signed }),
    memory: {
      get: (name) => journal.readNote("notes", ownNoteKey(record, component, name)),
      set: (name, value) => journal.writeNote("notes", ownNoteKey(record, component, name), value),
    },
    progress,
    log: (message, fields) => log(message, { campaign: record.id, component, ...fields }),
    signal,
  };
}

/** The job of an update that is about to be deleted, for after that: what was noted is read now, and nothing is noted any more. */
export function lastJobOf(parts: JobParts, record: CampaignRecord, member: Member, signal: AbortSignal): UpdateJob {
  const notes = parts.journal.notesUnder(ownNoteKey(record, member.component, ""));
  const run = { signal, progress: () => undefined };
  return {
    // also an image that no component took
    ...jobOf(parts, record, member, run, notedImage(parts, record, member)),
    memory: { get: (name) => notes.get(name), set: async () => undefined },
  };
}
