/**
 * What can be known of a campaign before anything is written anywhere. It is asked of all members together: where one cannot be
 * updated, nothing is staged on the others either.
 */
import { Fault, toFaultData } from "#core/errors.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import type { Installed } from "#update/software/journal/installed.ts";
import type { Journal } from "#update/software/journal/journal.ts";
import { type ManifestTarget, type Precondition, packageOf, type UpdatePackage } from "#update/software/package.ts";
import type { SignedManifest, TargetFacts, UpdateProvider } from "#update/software/provider.ts";
import { checkCounter, checkVersion, judge, type TrustOptions } from "#update/software/trust/trust.ts";
import type { Staging } from "./staging.ts";
import type { CampaignRecord } from "./states.ts";

export interface AdmissionOptions {
  readonly journal: Journal;
  readonly bulk: Bulk;
  readonly staging: Staging;
  /** These two may change between calls. */
  readonly trust: TrustOptions;
  readonly allowDowngrade: boolean;
  /** From the first execute to the last delivery of the verdict, at most. */
  readonly verdictMs: number;
  /** Who installs on a component; undefined for a component that takes no updates. */
  readonly providerOf: (component: string) => UpdateProvider | undefined;
  /** Servers that may have further components and did not answer, each with the reason. */
  readonly silent: () => readonly string[];
  /** Whether a condition holds now; a Fault of its own when it cannot be read. */
  readonly holds: (condition: Precondition, signal: AbortSignal) => Promise<boolean>;
}

/** A member that may be updated, and with what. */
export interface Admission {
  readonly signed: SignedManifest;
  readonly target: ManifestTarget | undefined;
  readonly facts: TargetFacts;
  readonly installed: Installed | undefined;
  readonly fromVersion: string | undefined;
  readonly toVersion: string | undefined;
}

interface Round {
  readonly attempt: number;
  readonly checks: ReadonlyMap<string, Promise<Admission>>;
}

export class Admissions {
  readonly #options: AdmissionOptions;
  /** By package, as it was registered: another one under the same id is another campaign. */
  readonly #rounds = new WeakMap<CampaignRecord["package"], Round>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Resolves when every member of the campaign may be updated. @throws Fault of this member, else of the first that may not be */
  async of(record: CampaignRecord, component: string, signal: AbortSignal): Promise<Admission> {
    const { checks } = this.#round(record, signal);
    const admission = await checks.get(component)!;
    for (const [other, check] of checks) {
      await check.catch((error: unknown) => {
        const { kind, message } = toFaultData(error);
        throw new Fault(kind, `nothing is staged, because ${other} cannot be updated: ${message}`, undefined, error);
      });
    }
    return admission;
  }

  #round(record: CampaignRecord, signal: AbortSignal): Round {
    const known = this.#rounds.get(record.package);
    if (known?.attempt === record.attempt) return known;
    const update = packageOf(record);
    const components = record.members.map(({ component }) => component);
    const judged = this.#judge(update, components, signal);
    const checks = new Map(
      components.map((component) => [component, this.#check(record, update, component, judged, signal)]),
    );
    // each member hears of its own; nobody may be there to hear of the others
    for (const check of checks.values()) check.catch(() => undefined);
    const round = { attempt: record.attempt, checks };
    this.#rounds.set(record.package, round);
    return round;
  }

  async #judge(update: UpdatePackage, components: readonly string[], signal: AbortSignal): Promise<SignedManifest> {
    const { staging, trust } = this.#options;
    const claim = await staging.claim(update, trust.tuf, signal);
    return judge({ id: update.id, components, ...claim }, trust, (file) => staging.locate(update, file));
  }

  async #check(
    record: CampaignRecord,
    update: UpdatePackage,
    component: string,
    judged: Promise<SignedManifest>,
    signal: AbortSignal,
  ): Promise<Admission> {
    const { journal, allowDowngrade, trust } = this.#options;
    const signed = await judged;
    const target = signed.manifest?.targets[component];
    if (signed.manifest !== undefined && target === undefined) {
      throw new Fault("invalidData", `The manifest has no image for component ${component}`);
    }
    const facts = await providerFor(this.#options, component).describe(component, signal);
    checkHardware(facts, component, target);
    checkRollback(facts, update, component, record.members.length);
    if (update.policy === "coordinated") checkWatchdog(facts, component, this.#options.verdictMs);
    if (target !== undefined) checkRoom(facts, component, target.length);
    const installed = journal.installed(component);
    const fromVersion = facts.version ?? installed?.version;
    // beside a signature only what is signed counts
    const isProven = trust.mode !== "none" && (signed.signatures.length > 0 || signed.tuf !== undefined);
    const toVersion = target?.version ?? signed.manifest?.version ?? (isProven ? undefined : update.targetVersion);
    if (!allowDowngrade) {
      checkVersion(toVersion, fromVersion, installed?.floor);
      checkCounter(target?.release_counter, installed?.counter);
    }
    await requireConditions(this.#options, update, component, signal);
    return { signed, target, facts, installed, fromVersion, toVersion };
  }
}

/** @throws Fault conflict for a component that takes no updates */
export function providerFor(
  { providerOf, silent }: Pick<AdmissionOptions, "providerOf" | "silent">,
  component: string,
): UpdateProvider {
  const found = providerOf(component);
  if (found !== undefined) return found;
  const others = silent();
  const perhaps = others.length === 0 ? "" : `; of the secondaries these do not answer: ${others.join(", ")}`;
  throw new Fault("conflict", `No update provider is configured for component ${component}${perhaps}`);
}

/** @throws Fault conflict for the first condition of the package that does not hold */
export async function requireConditions(
  { holds }: Pick<AdmissionOptions, "holds">,
  { preconditions }: UpdatePackage,
  component: string,
  signal: AbortSignal,
): Promise<void> {
  for (const condition of preconditions) {
    if (await holds(condition, signal)) continue;
    throw new Fault("conflict", `Precondition not met for ${component}: ${condition.component}/${condition.data}`);
  }
}

/** @throws Fault noSpaceLeft */
export function checkRoom({ freeBytes }: TargetFacts, component: string, imageBytes: number): void {
  if (freeBytes === undefined || imageBytes <= freeBytes) return;
  throw new Fault("noSpaceLeft", `${component} has room for ${freeBytes} bytes, the image has ${imageBytes}`);
}

function checkHardware(facts: TargetFacts, component: string, target: ManifestTarget | undefined): void {
  const { hardware_id: one, hardware_ids: any = [] } = target ?? {};
  const allowed = one === undefined ? any : [one, ...any];
  if (allowed.length === 0 || allowed.includes(facts.hardwareId ?? "")) return;
  const own = facts.hardwareId ?? "unknown";
  throw new Fault("conflict", `The image is for hardware ${allowed.join(", ")}, ${component} is ${own}`);
}

/** Who cannot go back may be part of a coordinated update as the last of it, and as the only one of its kind. */
function checkRollback(
  facts: TargetFacts,
  { policy, allowNoRollback }: UpdatePackage,
  component: string,
  members: number,
): void {
  if (policy !== "coordinated" || facts.supportsRollback) return;
  const isLast = !facts.supportsTrial || members === 1;
  if (allowNoRollback.length === 1 && allowNoRollback[0] === component && isLast) return;
  throw new Fault("conflict", `${component} could not go back; a coordinated update needs that of all`);
}

/** A node that goes back by itself before the verdict can reach it would split the vehicle. */
function checkWatchdog({ verdictTimeoutMs }: TargetFacts, component: string, verdictMs: number): void {
  if (verdictTimeoutMs === undefined || verdictTimeoutMs >= verdictMs) return;
  throw new Fault(
    "conflict",
    `${component} waits ${verdictTimeoutMs} ms for a verdict, which may take ${verdictMs} ms (execute_timeout_ms + commit_timeout_ms)`,
  );
}
