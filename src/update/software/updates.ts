/** The updates of this node, as routes, other protocols and the command line use them. */
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { Turns } from "#core/turns.ts";
import { fits, problems } from "#core/validate.ts";
import type { Bulk, BulkKey } from "#update/software/bulk/bulk.ts";
import type { Campaigns } from "#update/software/campaign/campaigns.ts";
import { lastKnown } from "#update/software/campaign/last-known.ts";
import { requireFree } from "#update/software/campaign/needed.ts";
import { isUnderWay, occupies, refusalOf } from "#update/software/campaign/next.ts";
import { dropRelayed, dropSpare, isRelayed, oldestRelayed, roomForRelayed } from "#update/software/campaign/relayed.ts";
import type { Staging } from "#update/software/campaign/staging.ts";
import { type CampaignRecord, FINAL_STATES, freshMember, SYSTEM } from "#update/software/campaign/states.ts";
import type { AuditRecord } from "#update/software/journal/audit.ts";
import type { SignedHead } from "#update/software/journal/heads.ts";
import type { Installed } from "#update/software/journal/installed.ts";
import type { Journal } from "#update/software/journal/journal.ts";
import { componentBody } from "#update/software/views/component.ts";
import { type ErrorShape, overallProgress, type StatusBody, statusOf, wordsOf } from "#update/software/views/status.ts";
import {
  checkId,
  checkOrigin,
  componentOf,
  keyOfId,
  PackageSchema,
  RESERVED_ID,
  readPackage,
  type UpdatePackage,
} from "./package.ts";
import type { ProviderProgress, UpdateProvider } from "./provider.ts";
import { type Watcher, Watchers } from "./watchers.ts";

/** A fault of the node itself, in the shape of the interface. */
export interface NodeFault {
  readonly code: string;
  readonly fault_name: string;
  readonly severity: number;
  readonly status: { readonly aggregatedStatus: "active"; readonly confirmedDTC: "1" };
}

export interface UpdatesOptions {
  readonly journal: Journal;
  readonly campaigns: Campaigns;
  readonly bulk: Bulk;
  readonly staging: Staging;
  readonly role: Config["update"]["role"];
  /** Longest wait of a secondary for the verdict of its primary. */
  readonly verdictTimeoutMs: number;
  /** Components of the node itself: what answers under `/components` without being an ECU. */
  readonly ownComponents: readonly string[];
  readonly implicitPrepare: boolean;
  readonly maxPackages: number;
  readonly maxSubscribers: number;
  readonly providerOf: (component: string) => UpdateProvider | undefined;
  /** Whether the node knows a component of this name, its own, an ECU, or another node's. @throws Fault notReady when it cannot tell yet */
  readonly knows: (component: string) => boolean;
  /** Looks for the components of other nodes. */
  readonly discover: (signal: AbortSignal) => Promise<void>;
  readonly describeTimeoutMs: number;
  /** Reads what backends hold elsewhere of an update; what it returns takes that away, in bounded time, and never rejects. */
  readonly forget: (record: CampaignRecord) => () => Promise<void>;
}

const MAX_PACKAGE_CHARACTERS = 256 * 1024;

export interface ListFilter {
  readonly origin?: string | undefined;
  readonly targetVersion?: string | undefined;
}

export class Updates {
  readonly bulk: Bulk;
  readonly #options: UpdatesOptions;
  readonly #watchers: Watchers;
  readonly #registering = new Turns();
  /** Progress shown, by campaign, attempt and phase: it does not fall back. */
  readonly #shown = new Map<string, { readonly key: string; readonly percent: number }>();
  #alarms: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(options: UpdatesOptions) {
    this.#options = options;
    this.bulk = options.bulk;
    this.#watchers = new Watchers(options.maxSubscribers);
  }

  get role(): UpdatesOptions["role"] {
    return this.#options.role;
  }

  get ownComponents(): readonly string[] {
    return this.#options.ownComponents;
  }

  /** @throws Fault notReady for one that is unknown while databases are still being loaded */
  knows(component: string): boolean {
    return this.#options.knows(component);
  }

  /** Whether something installs software on it. */
  isTarget(component: string): boolean {
    return this.#options.providerOf(component) !== undefined;
  }

  /** Which of these no node has, once the secondaries were asked. */
  async unknown(components: readonly string[]): Promise<readonly string[]> {
    const { knows, discover, describeTimeoutMs } = this.#options;
    const missing = () => components.filter((component) => !knows(componentOf(component)));
    if (missing().length > 0) await discover(AbortSignal.timeout(describeTimeoutMs)).catch(() => undefined);
    return missing();
  }

  /** Registers a package. Resolves with its id. @throws Fault badRequest, updateInProgress, noSpaceLeft */
  async register(body: unknown, actor: string): Promise<string> {
    if (!fits(PackageSchema, body)) {
      const [first] = problems(PackageSchema, body);
      throw new Fault(
        "badRequest",
        `${first?.instancePath ?? ""} ${first?.message ?? "The package is not one"}`.trim(),
      );
    }
    if (JSON.stringify(body).length > MAX_PACKAGE_CHARACTERS) {
      throw new Fault("payloadTooLarge", `A package has at most ${MAX_PACKAGE_CHARACTERS} characters`);
    }
    const update = readPackage(body);
    const { campaigns, role, maxPackages, verdictTimeoutMs } = this.#options;
    if (update.watchdogMs !== undefined && role !== "secondary")
      throw new Fault("badRequest", "Only a secondary waits for the verdict of another node");
    if ((update.watchdogMs ?? 0) > verdictTimeoutMs)
      throw new Fault("badRequest", `This node waits at most ${verdictTimeoutMs} ms for a verdict`);
    const components = update.components.length > 0 ? update.components : this.#onlyTarget();
    const record = recordOf(update, components, body as Record<string, unknown>);
    // one after the other: two at once would find the same one to give way
    await this.#registering.run(async () => {
      if (isRelayed(record)) await this.#makeRoom();
      await campaigns.register(record, actor, maxPackages);
    });
    return update.id;
  }

  /** What a primary handed on before, and is over, gives way: nobody deletes it here. */
  async #makeRoom(): Promise<void> {
    const { journal, maxPackages } = this.#options;
    const known = journal.campaigns();
    const oldest = known.length < maxPackages ? undefined : oldestRelayed(known);
    if (oldest !== undefined) await this.remove(oldest.id, SYSTEM);
  }

  /** Before a client removes a file or sends another one for it. @throws Fault updateInProgress while an update needs it */
  requireFree(file: BulkKey): void {
    requireFree(this.bulk, this.#options.journal.campaigns(), file);
  }

  /** Before a file is taken from a client. */
  clearFor(file: BulkKey): Promise<void> {
    return dropSpare(this.bulk, this.#options.journal.campaigns(), file);
  }

  /** Ids that match, in the order of registration. @throws Fault badRequest for an origin that there is not */
  list({ origin, targetVersion }: ListFilter): readonly string[] {
    if (origin !== undefined) checkOrigin(origin);
    const packages = this.#options.journal.campaigns().map((record) => readPackage(record.package as never));
    return packages
      .filter((update) => origin === undefined || update.origins.includes(origin))
      .filter((update) => targetVersion === undefined || update.targetVersion === targetVersion)
      .map(({ id }) => id);
  }

  /** The package as it was registered. */
  get(id: string): Readonly<Record<string, unknown>> {
    return this.record(id).package;
  }

  record(id: string): CampaignRecord {
    const record = this.#options.journal.campaign(keyOfId(id));
    if (record !== undefined) return record;
    // reserved for what a server chose by itself: this one never does
    if (keyOfId(id) !== RESERVED_ID) checkId(id);
    throw new Fault("notFound", `There is no update ${id}`);
  }

  /** Resolves when it is gone here, and from the nodes that it was handed on to and that answer soon. @throws Fault updateInProgress */
  async remove(id: string, actor: string): Promise<void> {
    const record = this.record(id);
    const forget = this.#options.forget(record);
    await this.#options.campaigns.apply(record.id, { type: "delete" }, actor);
    await this.#options.staging.clear(record.id);
    await dropRelayed(this.bulk, this.#options.journal.campaigns(), record, true);
    this.#shown.delete(record.id);
    // last: when power fails before, other nodes keep what they have until they need the room, as those do that are away
    await forget();
  }

  prepare(id: string, actor: string): Promise<void> {
    return this.#prepare(this.record(id), false, actor);
  }

  /** @throws Fault conflict when it is not prepared and may not be prepared on the way */
  async execute(id: string, actor: string): Promise<void> {
    const record = this.record(id);
    this.#refuseBusy(record);
    if (record.state === "prepared") {
      await this.#options.campaigns.apply(record.id, { type: "execute" }, actor);
      return;
    }
    if (!this.#options.implicitPrepare || record.watchdogMs !== undefined) {
      throw new Fault("conflict", `Update ${id} is not prepared`);
    }
    await this.#prepare(record, true, actor);
  }

  async automated(id: string, actor: string): Promise<void> {
    const record = this.record(id);
    if (record.package.automated !== true) {
      throw new Fault("updateNotAutomated", `Update ${id} does not allow automated installation`);
    }
    this.#refuseBusy(record);
    if (record.state === "prepared") await this.#options.campaigns.apply(record.id, { type: "execute" }, actor);
    else await this.#prepare(record, true, actor);
  }

  /** The verdict of the node that leads. Repeated: no change. @throws Fault conflict with the real state when it comes too late */
  async commit(id: string, actor: string): Promise<void> {
    const record = this.record(id);
    if (["committing", "committed", "closing", "completed"].includes(record.state)) return;
    await this.#options.campaigns.apply(record.id, { type: "commit" }, actor);
  }

  async close(id: string, actor: string): Promise<void> {
    const record = this.record(id);
    if (record.state === "closing" || record.state === "completed") return;
    await this.#options.campaigns.apply(record.id, { type: "close" }, actor);
  }

  /** Takes back what is not final: stops it, or rolls back what was executed. */
  async rollback(id: string, actor: string, reason = "rolled back on request"): Promise<void> {
    const record = this.record(id);
    if (record.state === "rollingBack" || record.state === "rolledBack" || record.state === "failed") return;
    await this.#options.campaigns.apply(record.id, { type: "rollback", reason }, actor);
  }

  /** `medkit`: `error` as plain text. `shape`: how failures of members are told. */
  status(id: string, medkit: boolean, shape?: ErrorShape): StatusBody {
    const record = this.record(id);
    const progressOf = (component: string) => this.#options.campaigns.progressOf(record.id, component);
    const { phase, status } = wordsOf(record);
    const key = `${record.attempt}/${phase}`;
    const before = this.#shown.get(record.id);
    const floor = before?.key === key ? before.percent : 0;
    const percent = Math.max(floor, overallProgress(record, progressOf));
    if (status === "inProgress") this.#shown.set(record.id, { key, percent });
    return statusOf(record, progressOf, floor, medkit, shape);
  }

  /** How far the call of a member is that runs now, or ran last. */
  progressOf(id: string, component: string): ProviderProgress | undefined {
    return this.#options.campaigns.progressOf(keyOfId(id), component);
  }

  /** What the last updates left, by component. */
  installed(): ReadonlyMap<string, Installed> {
    const { journal } = this.#options;
    return new Map(journal.installedComponents().map((component) => [component, journal.installed(component)!]));
  }

  /** Whether nothing more will happen without a new request. */
  isOver(id: string): boolean {
    return FINAL_STATES.has(this.record(id).state);
  }

  watch(id: string, watcher: Watcher): () => void {
    return this.#watchers.add(this.record(id).id, watcher);
  }

  /** Calls `listener` with the id of each update whose status may have changed, also when it was deleted. */
  onChange(listener: (id: string) => void): () => void {
    return this.#watchers.addForAll(listener);
  }

  /** To be called by the campaigns. */
  changed(id: string): void {
    this.#watchers.notify(id);
  }

  /** To be called by the campaigns: who needs service, empty when no longer. */
  alarm(id: string, stuck: readonly string[]): void {
    const alarms = new Map(this.#alarms);
    if (stuck.length === 0) alarms.delete(id);
    else alarms.set(id, stuck);
    this.#alarms = alarms;
  }

  /** Faults of the node itself: what an update left in need of service. */
  faults(): readonly NodeFault[] {
    return [...this.#alarms].flatMap(([id, stuck]) =>
      stuck.map((component) => ({
        code: `UPDATE-${id}-${component}`,
        fault_name: `${component} could not go back after update ${id} and needs service`,
        severity: 1,
        status: { aggregatedStatus: "active", confirmedDTC: "1" } as const,
      })),
    );
  }

  /** Body of `x-medkit-update`: what the component is to an update. @throws Fault notFound, notResponding */
  async describe(component: string): Promise<Readonly<Record<string, unknown>>> {
    const { providerOf, role, journal, describeTimeoutMs, ownComponents, verdictTimeoutMs } = this.#options;
    const provider = providerOf(component);
    if (provider === undefined) throw new Fault("notFound", `${component} takes no updates`);
    const busy = journal.campaigns().find((record) => occupies(record, component) || isStagedOn(record, component));
    const facts = await provider.describe(component, AbortSignal.timeout(describeTimeoutMs)).catch((error: unknown) => {
      return lastKnown(busy, component) ?? Promise.reject(error);
    });
    const installed = journal.installed(component);
    const isOwn = ownComponents.includes(component);
    // what a primary hands on lies in the store first
    const isRelayedTo = isOwn && role === "secondary";
    const room = isRelayedTo ? roomForRelayed(this.bulk, journal.campaigns(), component) : Number.POSITIVE_INFINITY;
    const freeBytes = Math.min(facts.freeBytes ?? Number.POSITIVE_INFINITY, room);
    return componentBody({ component, provider, facts, installed, busy, role, isOwn, verdictTimeoutMs, freeBytes });
  }

  /** The chain with the states it carries, read as it is walked. `after`: only what stands behind this record. */
  auditChain(after = 0): Iterable<AuditRecord> {
    return this.#options.journal.records(after);
  }

  auditWhole(after = 0, limit = Number.POSITIVE_INFINITY): readonly AuditRecord[] {
    const records: AuditRecord[] = [];
    for (const record of this.auditChain(after)) {
      if (records.push(record) >= limit) break;
    }
    return records;
  }

  /** Signed heads of the chain from a record on. */
  auditHeads(from = 0): readonly SignedHead[] {
    return this.#options.journal.heads(from);
  }

  /** Puts on record that a call was refused. */
  async refused(id: string, event: string, actor: string, problem: string): Promise<void> {
    const campaign = keyOfId(id);
    if (this.#options.journal.campaign(campaign) === undefined) return;
    await this.#options.journal.note({ actor, campaign, event: `${event} refused`, result: problem });
  }

  /** What a package is for that names no component: what this node installs on itself, if that is one. */
  #onlyTarget(): readonly string[] {
    const { ownComponents, providerOf } = this.#options;
    const own = ownComponents.filter((component) => providerOf(component) !== undefined);
    return own.length === 1 ? own : [];
  }

  async #prepare(record: CampaignRecord, thenExecute: boolean, actor: string): Promise<void> {
    this.#refuseBusy(record);
    if (record.members.length === 0) throw new Fault("conflict", "The package names no component");
    if (record.members.some(({ component }) => this.#options.providerOf(component) === undefined)) {
      await this.#options.discover(AbortSignal.timeout(this.#options.describeTimeoutMs)).catch(() => undefined);
    }
    await this.#options.campaigns.apply(record.id, { type: "prepare", thenExecute }, actor);
  }

  #refuseBusy(record: CampaignRecord): void {
    const { id, state } = record;
    if (isUnderWay(record)) throw refusalOf(record, "prepare");
    if (state === "needsService") throw new Fault("conflict", `Update ${id} left components in need of service`);
  }
}

function isStagedOn({ state, members }: CampaignRecord, component: string): boolean {
  return state === "prepared" && members.some((member) => member.component === component);
}

/** Before anything happens. */
function recordOf(
  update: UpdatePackage,
  components: readonly string[],
  body: Readonly<Record<string, unknown>>,
): CampaignRecord {
  return {
    id: keyOfId(update.id),
    policy: update.policy,
    state: "registered",
    attempt: 0,
    thenExecute: false,
    members: components.map((component) => freshMember(component, "idle")),
    auditSeq: 0,
    changedAtMs: 0,
    method: update.method,
    package: body,
    ...(update.watchdogMs === undefined ? {} : { watchdogMs: update.watchdogMs }),
  };
}
