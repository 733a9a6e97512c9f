/** What each call of a member means: the checks of ours around the call of its provider. */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Bulk, BulkKey } from "./bulk.ts";
import type { CallRun, MemberCalls } from "./campaigns.ts";
import { type GateSettings, runGate } from "./gate.ts";
import type { Installed } from "./installed.ts";
import type { Journal } from "./journal.ts";
import { type ManifestTarget, type Precondition, packageOf, type UpdatePackage } from "./package.ts";
import type { SignedManifest, TargetFacts, UpdateJob, UpdateProvider } from "./provider.ts";
import type { Staging } from "./staging.ts";
import type { CampaignRecord, FaultRank, Member, PreparedFacts } from "./states.ts";
import {
  checkCounter,
  checkExpiry,
  checkImage,
  checkMoreHashes,
  checkVersion,
  judge,
  type TrustOptions,
} from "./trust.ts";

export interface CallsOptions {
  readonly journal: Journal;
  readonly bulk: Bulk;
  readonly staging: Staging;
  readonly clock: Clock;
  readonly nowMs: () => number;
  /** These four may change between calls. */
  readonly gate: GateSettings;
  readonly trust: TrustOptions;
  readonly allowDowngrade: boolean;
  /** What expired after it was prepared may be begun with. */
  readonly allowExpired: boolean;
  /** Who installs on a component; undefined for a component that takes no updates. */
  readonly providerOf: (component: string) => UpdateProvider | undefined;
  /** Whether a condition holds now; a Fault of its own when it cannot be read. */
  readonly holds: (condition: Precondition, signal: AbortSignal) => Promise<boolean>;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** The calls of members over their providers. */
export function createCalls(options: CallsOptions): MemberCalls {
  const { journal, clock } = options;
  const provider = (component: string): UpdateProvider => {
    const found = options.providerOf(component);
    if (found === undefined) throw new Fault("conflict", `No update provider is configured for component ${component}`);
    return found;
  };
  const job = (record: CampaignRecord, member: Member, run: CallRun): UpdateJob => jobOf(options, record, member, run);

  return {
    prepare: (record, member, run) => prepare(options, provider(member.component), record, member, run),
    async execute(record, member, run) {
      const update = packageOf(record);
      await requireConditions(options, update, member.component, run.signal);
      if (!options.allowDowngrade)
        checkVersion(member.toVersion, undefined, journal.installed(member.component)?.floor);
      await requireInTime(options, record, member.component);
      await provider(member.component).execute(job(record, member, run));
    },
    gate: (record, member, run) =>
      runGate({
        provider: provider(member.component),
        job: job(record, member, run),
        baseline: member.baseline,
        ...(member.baselineRanks === undefined ? {} : { baselineRanks: member.baselineRanks }),
        settings: options.gate,
        clock,
      }),
    commit: (record, member, run) => provider(member.component).commit(job(record, member, run)),
    async close(record, member, run) {
      await provider(member.component).close?.(job(record, member, run));
    },
    rollback: (record, member, run) => provider(member.component).rollback(job(record, member, run)),
    async cancel(record, member, run) {
      await provider(member.component).cancel?.(job(record, member, run));
    },
  };
}

async function prepare(
  options: CallsOptions,
  provider: UpdateProvider,
  record: CampaignRecord,
  member: Member,
  run: CallRun,
): Promise<PreparedFacts> {
  const { staging, trust, journal, bulk } = options;
  const { component } = member;
  const update = packageOf(record);
  const claim = await staging.claim(update, trust.tuf, run.signal);
  const signed = await judge({ id: update.id, ...claim }, trust, (file) => staging.locate(update, file));
  const target = signed.manifest?.targets[component];
  if (signed.manifest !== undefined && target === undefined) {
    throw new Fault("invalidData", `The manifest has no image for component ${component}`);
  }
  const facts = await provider.describe(component, run.signal);
  checkTarget(facts, update, component, record.members.length, target);
  const installed = journal.installed(component);
  const toVersion = target?.version ?? signed.manifest?.version ?? update.targetVersion;
  const fromVersion = facts.version ?? installed?.version;
  if (!options.allowDowngrade) {
    checkVersion(toVersion, fromVersion, installed?.floor);
    checkCounter(target?.release_counter, installed?.counter);
  }
  await requireConditions(options, update, component, run.signal);
  const image = await staging.image(update, target, run.signal);
  if (image !== undefined && target !== undefined) {
    checkImage(target, { sizeBytes: image.size, sha256: image.sha256 });
    await checkMoreHashes(target, image, bulk);
  }
  if (image !== undefined) await rememberImage(options, record, component, image);
  const baseline = ((await provider.faults?.(component, run.signal)) ?? []).filter(({ active }) => active);
  const prepared: PreparedFacts = {
    supportsTrial: facts.supportsTrial,
    baseline: baseline.map(({ code }) => code),
    baselineRanks: Object.fromEntries(baseline.map(({ code, ...fault }) => [code, rankOf(fault)])),
    ...(fromVersion === undefined ? {} : { fromVersion }),
    ...(installed?.sha256 === undefined ? {} : { fromSha256: installed.sha256 }),
    ...(installed?.rxswin === undefined ? {} : { fromRxswin: installed.rxswin }),
    ...approvalOf(target, installed),
    ...(target?.release_counter === undefined ? {} : { toCounter: target.release_counter }),
    ...(toVersion === undefined ? {} : { toVersion }),
    ...(image === undefined ? {} : { sha256: image.sha256, sizeBytes: image.size }),
  };
  await journal.writeNote("notes", noteKey(record, component, SIGNED_NOTE), JSON.stringify(signed));
  await provider.prepare(jobOf(options, record, { ...member, ...prepared }, run));
  return prepared;
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

function rankOf({ severity, confirmed }: FaultRank): FaultRank {
  return { ...(severity === undefined ? {} : { severity }), ...(confirmed === undefined ? {} : { confirmed }) };
}

/** Before anything is written anywhere. */
function checkTarget(
  facts: TargetFacts,
  { policy, allowNoRollback }: UpdatePackage,
  component: string,
  members: number,
  target: ManifestTarget | undefined,
): void {
  const { hardware_id: one, hardware_ids: any = [] } = target ?? {};
  const allowed = one === undefined ? any : [one, ...any];
  if (allowed.length > 0 && !allowed.includes(facts.hardwareId ?? "")) {
    throw new Fault(
      "conflict",
      `The image is for hardware ${allowed.join(", ")}, ${component} is ${facts.hardwareId ?? "unknown"}`,
    );
  }
  const alone = allowNoRollback.length === 1 && allowNoRollback[0] === component && !facts.supportsTrial;
  if (
    policy === "coordinated" &&
    !facts.supportsRollback &&
    !(alone || (members === 1 && allowNoRollback.includes(component)))
  ) {
    throw new Fault("conflict", `${component} could not go back; a coordinated update needs that of all`);
  }
}

async function requireConditions(
  { holds }: CallsOptions,
  { preconditions }: UpdatePackage,
  component: string,
  signal: AbortSignal,
): Promise<void> {
  for (const condition of preconditions) {
    if (await holds(condition, signal)) continue;
    throw new Fault("conflict", `Precondition not met for ${component}: ${condition.component}/${condition.data}`);
  }
}

/** An update that has begun in time goes on, over restarts and for members whose turn comes late: a half-written ECU must not be left. */
async function requireInTime(
  { journal, trust, allowExpired, nowMs }: CallsOptions,
  record: CampaignRecord,
  component: string,
): Promise<void> {
  const begun = `${record.id}/${record.attempt}/${BEGUN_NOTE}`;
  if (journal.readNote("notes", begun) !== undefined) return;
  const signed = signedOf(journal, record, component);
  if (signed !== undefined && !allowExpired) await checkExpiry(signed, trust);
  await journal.writeNote("notes", begun, new Date(nowMs()).toISOString());
}

const BEGUN_NOTE = "begun";
const IMAGE_NOTE = "image";
const SIGNED_NOTE = "signed";

function noteKey({ id, attempt }: CampaignRecord, component: string, name: string): string {
  return `${id}/${attempt}/${component}/${name}`;
}

/** What was judged when this attempt was prepared. */
function signedOf(journal: Journal, record: CampaignRecord, component: string): SignedManifest | undefined {
  const note = journal.readNote("notes", noteKey(record, component, SIGNED_NOTE));
  return note === undefined ? undefined : (JSON.parse(note) as SignedManifest);
}

async function rememberImage(
  { journal }: CallsOptions,
  record: CampaignRecord,
  component: string,
  { component: owner, category, id }: BulkKey,
): Promise<void> {
  const key: BulkKey = { component: owner, category, id };
  await journal.writeNote("notes", noteKey(record, component, IMAGE_NOTE), JSON.stringify(key));
}

function jobOf({ journal, bulk, log }: CallsOptions, record: CampaignRecord, member: Member, run: CallRun): UpdateJob {
  const { component, fromVersion, toVersion } = member;
  const imageNote = journal.readNote("notes", noteKey(record, component, IMAGE_NOTE));
  const signed = signedOf(journal, record, component);
  const image = imageNote === undefined ? undefined : bulk.find(JSON.parse(imageNote) as BulkKey);
  return {
    campaign: record.id,
    attempt: record.attempt,
    component,
    artifact: image?.complete === true ? bulk.artifact(image) : undefined,
    toVersion,
    fromVersion,
    package: record.package,
    ...(signed === undefined ? {} : { signed }),
    memory: {
      get: (name) => journal.readNote("notes", noteKey(record, component, `p-${name}`)),
      set: (name, value) => journal.writeNote("notes", noteKey(record, component, `p-${name}`), value),
    },
    progress: run.progress,
    log: (message, fields) => log(message, { campaign: record.id, component, ...fields }),
    signal: run.signal,
  };
}
