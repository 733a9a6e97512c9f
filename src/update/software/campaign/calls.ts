/** What each call of a member means: the checks of ours around the call of its provider. */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { BulkInfo } from "#update/software/bulk/bulk.ts";
import type { Installed } from "#update/software/journal/installed.ts";
import type { Journal } from "#update/software/journal/journal.ts";
import { type ManifestTarget, packageOf } from "#update/software/package.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { checkCounter, checkExpiry, checkMoreHashes, checkVersion } from "#update/software/trust/trust.ts";
import {
  type Admission,
  type AdmissionOptions,
  Admissions,
  checkRoom,
  providerFor,
  requireConditions,
} from "./admission.ts";
import type { CallRun, MemberCalls } from "./campaigns.ts";
import { Forgetting } from "./forgetting.ts";
import { type Baseline, type GateSettings, runGate } from "./gate.ts";
import { imageOf, jobOf, noteKey, rememberImage, rememberSigned, signedOf } from "./job.ts";
import { type CampaignRecord, type Member, type PreparedFacts, SYSTEM } from "./states.ts";

export interface CallsOptions extends AdmissionOptions {
  readonly clock: Clock;
  readonly nowMs: () => number;
  /** These two may change between calls. */
  readonly gate: GateSettings;
  /** What expired after it was prepared may be begun with. */
  readonly allowExpired: boolean;
  /** Resolves when the vehicle was searched for these ECUs and functional groups since the start, whether they were found or not. */
  readonly searched: (names: readonly string[], signal: AbortSignal) => Promise<void>;
  /** Why a component was last reset; undefined for one that does not tell. */
  readonly resetReason: (component: string, signal: AbortSignal) => Promise<string> | undefined;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Calls extends MemberCalls {
  /**
   * Reads what backends hold elsewhere of an update that is about to be deleted. What it returns takes that away, once the record is
   * gone: it never rejects, and ends in time.
   */
  forget(record: CampaignRecord): () => Promise<void>;
}

/** The calls of members over their providers. */
export function createCalls(options: CallsOptions): Calls {
  const { journal, clock } = options;
  const admissions = new Admissions(options);
  const forgetting = new Forgetting(options);
  const provider = (component: string) => providerFor(options, component);
  const job = (record: CampaignRecord, member: Member, run: CallRun): UpdateJob => jobOf(options, record, member, run);

  return {
    async prepare(record, member, run) {
      await forgetting.settled(member.component);
      return prepare(options, admissions, record, member, run);
    },
    async execute(record, member, run) {
      const { component } = member;
      await forgetting.settled(component);
      await options.searched([...spokenTo(options, [component]), ...conditionsOf(record)], run.signal);
      await requireConditions(options, packageOf(record), component, run.signal);
      if (!options.allowDowngrade) checkFloor(member, journal.installed(component));
      requireSameImage(options, record, member);
      await rememberBaseline(options, record, component, run.signal);
      await requireInTime(options, record, component);
      await provider(component).execute(job(record, member, run));
    },
    async gate(record, member, run) {
      const { component } = member;
      await options.searched([component], run.signal);
      await runGate({
        provider: provider(component),
        job: job(record, member, run),
        baseline: baselineOf(journal, record, component) ?? NO_BASELINE,
        settings: options.gate,
        clock,
        resetReason: () => options.resetReason(component, run.signal),
        onSample: (result) => noteSample(options, record, component, result),
      });
    },
    commit: (record, member, run) => provider(member.component).commit(job(record, member, run)),
    async close(record, member, run) {
      await provider(member.component).close?.(job(record, member, run));
    },
    async rollback(record, member, run) {
      await options.searched(spokenTo(options, [member.component]), run.signal);
      await provider(member.component).rollback(job(record, member, run));
    },
    async cancel(record, member, run) {
      await provider(member.component).cancel?.(job(record, member, run));
    },
    forget: (record) => forgetting.of(record),
  };
}

async function prepare(
  options: CallsOptions,
  admissions: Admissions,
  record: CampaignRecord,
  member: Member,
  run: CallRun,
): Promise<PreparedFacts> {
  const { staging, bulk, searched } = options;
  const { component } = member;
  const all = record.members.map((each) => each.component);
  await searched([...spokenTo(options, all), ...conditionsOf(record)], run.signal);
  const admission = await admissions.of(record, component, run.signal);
  const { signed, target, facts } = admission;
  const image = await staging.image(packageOf(record), target, run.signal);
  if (image !== undefined) {
    if (target !== undefined) await checkMoreHashes(target, image, bulk);
    checkRoom(facts, component, image.size);
    await rememberImage(options, record, component, image);
  }
  const prepared = preparedOf(admission, image);
  await rememberSigned(options, record, component, signed);
  await providerFor(options, component).prepare(jobOf(options, record, { ...member, ...prepared }, run));
  return prepared;
}

function preparedOf(
  { facts, target, installed, fromVersion, toVersion }: Admission,
  image: BulkInfo | undefined,
): PreparedFacts {
  return {
    supportsTrial: facts.supportsTrial,
    ...(facts.hardwareId === undefined ? {} : { hardwareId: facts.hardwareId }),
    ...(facts.serial === undefined ? {} : { serial: facts.serial }),
    ...(fromVersion === undefined ? {} : { fromVersion }),
    ...(installed?.sha256 === undefined ? {} : { fromSha256: installed.sha256 }),
    ...(installed?.rxswin === undefined ? {} : { fromRxswin: installed.rxswin }),
    ...approvalOf(target, installed),
    ...(target?.release_counter === undefined ? {} : { toCounter: target.release_counter }),
    ...(toVersion === undefined ? {} : { toVersion }),
    ...(image === undefined ? {} : { sha256: image.sha256, sizeBytes: image.size }),
  };
}

/** Whatever calls of these components may speak to. */
function spokenTo({ providerOf }: CallsOptions, components: readonly string[]): readonly string[] {
  return components.flatMap((component) => [component, ...(providerOf(component)?.speaksTo?.(component) ?? [])]);
}

/** The ECUs that the package's conditions are read from. */
function conditionsOf(record: CampaignRecord): readonly string[] {
  return packageOf(record).preconditions.map(({ component }) => component);
}

/** An image that says nothing of a type approval keeps the one there is. */
function approvalOf(
  target: ManifestTarget | undefined,
  installed: Installed | undefined,
): Pick<PreparedFacts, "toRxswin" | "toApproval"> {
  if (target?.rxswin === undefined) {
    const { rxswin, approval } = installed ?? {};
    return rxswin === undefined
      ? {}
      : { toRxswin: rxswin, ...(approval === undefined ? {} : { toApproval: approval }) };
  }
  const { rxswin, rxswin_authority: authority, rxswin_approval: ref } = target;
  const toApproval = { ...(authority === undefined ? {} : { authority }), ...(ref === undefined ? {} : { ref }) };
  return { toRxswin: rxswin, toApproval };
}

/** Another update may have ended on the component since this one was prepared. @throws Fault conflict */
function checkFloor({ toVersion, toCounter }: Member, installed: Installed | undefined): void {
  checkVersion(toVersion, undefined, installed?.floor);
  checkCounter(toCounter, installed?.counter);
}

/** An update that has begun in time goes on, over restarts and for members whose turn comes late: a half-written ECU must not be left. */
async function requireInTime(options: CallsOptions, record: CampaignRecord, component: string): Promise<void> {
  const { journal, trust, allowExpired, nowMs } = options;
  const begun = `${record.id}/${record.attempt}/${BEGUN_NOTE}`;
  if (journal.readNote("notes", begun) !== undefined) return;
  const signed = signedOf(options, record, component);
  if (signed !== undefined && !allowExpired) await checkExpiry(signed, trust);
  await journal.writeNote("notes", begun, new Date(nowMs()).toISOString());
}

const BEGUN_NOTE = "begun";
const BASELINE_NOTE = "baseline";
const NO_BASELINE: Baseline = { faults: [] };

function baselineOf(journal: Journal, record: CampaignRecord, component: string): Baseline | undefined {
  const note = journal.readNote("notes", noteKey(record, component, BASELINE_NOTE));
  return note === undefined ? undefined : (JSON.parse(note) as Baseline);
}

/** Taken right before the first start of the new software, and kept when an execution goes on after a restart of ours. */
async function rememberBaseline(
  options: CallsOptions,
  record: CampaignRecord,
  component: string,
  signal: AbortSignal,
): Promise<void> {
  const { journal } = options;
  if (baselineOf(journal, record, component) !== undefined) return;
  // a boot loader that an earlier attempt has left behind reads no faults; what comes up later is new then
  const faults = (await providerFor(options, component).faults?.(component, signal).catch(noneWhenRefused)) ?? [];
  const resetReason = await options.resetReason(component, signal);
  const baseline: Baseline = {
    faults: faults.filter(({ active }) => active),
    ...(resetReason === undefined ? {} : { resetReason }),
  };
  await journal.writeNote("notes", noteKey(record, component, BASELINE_NOTE), JSON.stringify(baseline));
}

function noneWhenRefused(error: unknown): readonly [] {
  if (error instanceof Fault && error.kind === "ecuRefused") return [];
  throw error;
}

/** A sample that cannot be put on record is no reason to judge the target. */
function noteSample({ journal, log }: CallsOptions, { id }: CampaignRecord, component: string, result: string): void {
  const entry = { actor: SYSTEM, campaign: id, event: "gateSample", component, result };
  journal.note(entry).catch((error: unknown) => log("a health sample was not put on record", { error, component }));
}

/** @throws Fault conflict when the image went, or became another, since it was verified */
function requireSameImage(options: CallsOptions, record: CampaignRecord, member: Member): void {
  if (member.sha256 === undefined || imageOf(options, record, member) !== undefined) return;
  throw new Fault("conflict", `The image for ${member.component} is no longer the one that was verified`);
}
