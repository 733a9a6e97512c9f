/** Puts the parts of the software update together, as the configuration says. */
import { readFileSync } from "node:fs";
import type { Config } from "#config/types.ts";
import { Fault, type FaultDetails, type FaultKind } from "#core/errors.ts";
import { functionOfModule, makeOfModule } from "#core/module.ts";
import type { Clock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import { createCalls } from "#update/software/campaign/calls.ts";
import { Campaigns } from "#update/software/campaign/campaigns.ts";
import type { GateSettings } from "#update/software/campaign/gate.ts";
import { holds } from "#update/software/campaign/preconditions.ts";
import { readResetReason } from "#update/software/campaign/reset-reason.ts";
import { Staging } from "#update/software/campaign/staging.ts";
import { createDiscovery } from "#update/software/discovery/create.ts";
import type { Discovery } from "#update/software/discovery/discovery.ts";
import type { OpenMdns } from "#update/software/discovery/mdns.ts";
import { Journal } from "#update/software/journal/journal.ts";
import { CommandProvider, type CommandTarget } from "#update/software/providers/command.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";
import type { SecondaryTarget } from "#update/software/providers/secondary-client.ts";
import { SlotProvider, type SlotTarget } from "#update/software/providers/slot.ts";
import { SovdSecondaryProvider } from "#update/software/providers/sovd-secondary.ts";
import { type KeyOfSeed, UdsFlashProvider, type UdsTarget } from "#update/software/providers/uds-flash.ts";
import { readRecipe } from "#update/software/providers/uds-recipe.ts";
import { readTrustedKeys, type SignedTime } from "#update/software/trust/trust.ts";
import { type TufStore, TufVerifier } from "#update/software/trust/tuf.ts";
import type { CreateProvider, ProviderContext, UpdateProvider } from "./provider.ts";
import { Updates } from "./updates.ts";

type UpdateConfig = Config["update"];
type TargetConfig = UpdateConfig["targets"][string];
type Log = (level: "info" | "warn" | "error", message: string, fields: Readonly<Record<string, unknown>>) => void;

export interface SoftwareParts {
  readonly config: Config;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly persistence: Persistence;
  readonly bulk: Bulk;
  readonly log: Log;
  /** A backend of its own kinds, beside those built in: kind → how it is made. */
  readonly more?: Readonly<Record<string, CreateProvider>>;
  /** Holds an ECU for a flash. */
  readonly hold?: (component: string, campaign: string) => Promise<() => void>;
  /** Multicast DNS, if a key asks for it. Default: the network's. */
  readonly mdns?: OpenMdns;
}

export interface Software {
  readonly updates: Updates;
  readonly bulk: Bulk;
  readonly campaigns: Campaigns;
  /** Goes on with what a former process left; the vehicle is up. */
  resume(): Promise<void>;
  /** Trusted keys, anew from their files, and thresholds, for what begins from then on. @throws Fault invalidConfig */
  reload(update: UpdateConfig): () => void;
  /** Tells the network where this server listens, if the configuration wants that. */
  announce(port: number): void;
  /** Takes that back. */
  withdraw(): Promise<void>;
  close(): Promise<void>;
}

const DESCRIBE_TIMEOUT_MS = 10_000;
const ROLLBACK_TRIES = 3;

/** Opens the journal and makes the providers. Nothing moves before `resume`. @throws Fault invalidConfig */
export async function createSoftware(parts: SoftwareParts): Promise<Software> {
  const { config, fleet, bulk, clock, log } = parts;
  const { update } = config;
  const nowMs = Date.now;
  const journal = new Journal({
    persistence: parts.persistence,
    nowMs,
    maxRecords: update.max_audit_records,
    onHead: ({ seq, hash, campaign, component, event, to, result }) =>
      log("info", "audit head", { seq, hash, update: campaign, component, event, to, result }),
    onProblem: (error) => log("warn", "old audit records were not pruned", { error }),
  });
  await journal.open();
  const own = ownComponents(update);
  const nodes = await createDiscovery({ config, clock, tls: tlsOf(update), components: own, log, open: parts.mdns });
  const { discovery } = nodes;
  const providers = await createProviders(parts, bulk, discovery);
  const providerOf = (component: string): UpdateProvider | undefined =>
    providers.byComponent.get(component) ??
    (discovery.targetOf(component) === undefined ? undefined : providers.secondary);
  // an announced node that starts anew is away for a while, not gone: what runs on it waits as for any silent one
  const mayReturn = (component: string): boolean =>
    update.mdns.browse && !own.includes(component) && fleet.ecu(component) === undefined;
  const staging = new Staging({ bulk, repository: update.repository, timeoutMs: config.http.request_timeout_ms });
  const tuf = update.trusted_root === undefined ? undefined : trustedRoot(update.trusted_root, journal, nowMs);
  const signedTime: SignedTime = {
    read: () => Number(journal.readNote("trust", TIME_NOTE) ?? 0),
    write: (timeMs) => journal.writeNote("trust", TIME_NOTE, String(timeMs)),
  };
  const rulesOf = (wanted: UpdateConfig) => ({
    gate: gateOf(wanted),
    trust: { mode: wanted.verify, keys: readTrustedKeys(wanted.trusted_keys), tuf, nowMs, signedTime },
    allowDowngrade: wanted.allow_downgrade,
    allowExpired: wanted.allow_expired,
  });
  let rules = rulesOf(update);
  const resetReasons: Readonly<Record<string, string | undefined>> = Object.fromEntries(
    Object.entries(update.targets).map(([component, { reset_reason }]) => [component.toLowerCase(), reset_reason]),
  );
  const calls = createCalls({
    journal,
    bulk,
    staging,
    clock,
    nowMs,
    get gate() {
      return rules.gate;
    },
    get trust() {
      return rules.trust;
    },
    get allowDowngrade() {
      return rules.allowDowngrade;
    },
    get allowExpired() {
      return rules.allowExpired;
    },
    providerOf: (component) => providerOf(component) ?? (mayReturn(component) ? providers.secondary : undefined),
    holds: (condition, signal) => holds(fleet, condition, signal),
    verdictMs: update.execute_timeout_ms + update.commit_timeout_ms,
    resetReason(component, signal) {
      const where = resetReasons[component];
      return where === undefined ? undefined : readResetReason(fleet, component, where, signal);
    },
    log: (message, fields) => log("info", message, fields),
  });
  let isUp = false;
  const campaigns = new Campaigns({
    journal,
    calls,
    clock,
    nowMs,
    limits: {
      prepareMs: update.prepare_timeout_ms,
      executeMs: update.execute_timeout_ms,
      commitMs: update.commit_timeout_ms,
      rollbackMs: update.rollback_timeout_ms,
      maxRestarts: update.max_restarts,
      maxParallel: update.max_parallel,
    },
    retryMs: update.retry_ms,
    serviceRetryMs: update.service_retry_ms,
    rollbackTries: ROLLBACK_TRIES,
    onChange: (id) => updates.changed(id),
    onAlarm: ({ id }, stuck) => {
      updates.alarm(id, stuck);
      if (stuck.length > 0) log("error", "components need service", { update: id, components: stuck });
    },
    onProblem: (problem, where) => log("warn", "a step of an update failed", { error: problem, where }),
    isUp: () => isUp,
  });
  const updates: Updates = new Updates({
    journal,
    campaigns,
    bulk,
    staging,
    role: update.role,
    verdictTimeoutMs: update.verdict_timeout_ms,
    ownComponents: own,
    implicitPrepare: update.implicit_prepare,
    maxPackages: update.max_packages,
    maxSubscribers: update.max_status_subscribers,
    providerOf,
    knows: (component) =>
      own.includes(component) || fleet.ecu(component) !== undefined || providerOf(component) !== undefined,
    discover: (signal) => discovery.refresh(signal),
    describeTimeoutMs: DESCRIBE_TIMEOUT_MS,
  });
  return {
    updates,
    bulk,
    campaigns,
    async resume() {
      // a target that cannot be read fails its own updates, not this start
      for (const provider of providers.all)
        await provider
          .boot?.()
          .catch((error: unknown) => log("error", "an update target", { kind: provider.kind, error }));
      nodes.start();
      if (update.secondaries.length > 0) await discovery.refresh(AbortSignal.timeout(DESCRIBE_TIMEOUT_MS));
      await campaigns.resume();
      isUp = true;
    },
    reload(wanted) {
      const next = rulesOf(wanted);
      return () => {
        rules = next;
      };
    },
    announce: nodes.announce,
    withdraw: nodes.withdraw,
    async close() {
      await nodes.withdraw();
      await campaigns.stop();
      for (const provider of providers.all) await provider.dispose?.();
      await discovery.dispose();
    },
  };
}

const ROOT_NOTE = "tuf";
const TIME_NOTE = "time";

/** @throws Fault invalidConfig */
function trustedRoot(file: string, journal: Journal, nowMs: () => number): TufVerifier {
  let root: string;
  try {
    root = readFileSync(file, "utf8");
    JSON.parse(root);
  } catch (error) {
    throw new Fault("invalidConfig", `update.trusted_root: ${file}: ${(error as Error).message}`, undefined, error);
  }
  const store: TufStore = {
    read: () => {
      const note = journal.readNote("trust", ROOT_NOTE);
      return note === undefined ? undefined : JSON.parse(note);
    },
    write: (state) => journal.writeNote("trust", ROOT_NOTE, JSON.stringify(state)),
  };
  return new TufVerifier({ root, store, nowMs });
}

function gateOf(update: UpdateConfig): GateSettings {
  return {
    bootTimeoutMs: update.health_timeout_ms,
    intervalMs: update.health_interval_ms,
    soakMs: update.soak_ms,
    minPolls: update.health_min_polls,
    maxFaults: update.health_max_faults,
    maxSeverity: update.health_max_severity,
  };
}

/** Components that this node stands for: itself, and what it installs on without talking to an ECU or another node. */
function ownComponents({ component, targets }: UpdateConfig): readonly string[] {
  const elsewhere = new Set(["uds-flash", "sovd-secondary"]);
  const local = Object.entries(targets).filter(([, { provider }]) => !elsewhere.has(provider));
  const names = [...(component === "" ? [] : [component]), ...local.map(([name]) => name)];
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

interface Providers {
  readonly all: readonly UpdateProvider[];
  readonly byComponent: ReadonlyMap<string, UpdateProvider>;
  readonly secondary: UpdateProvider;
}

type Targets = Readonly<Record<string, TargetConfig>>;

async function createProviders(parts: SoftwareParts, bulk: Bulk, discovery: Discovery): Promise<Providers> {
  const { config, fleet, clock, hold, log } = parts;
  const { update } = config;
  const targets: Targets = Object.fromEntries(
    Object.entries(update.targets).map(([component, target]) => [component.toLowerCase(), target]),
  );
  const of = (kind: string) =>
    Object.fromEntries(Object.entries(targets).filter(([, { provider }]) => provider === kind));
  const relayed = mapValues(of("sovd-secondary"), secondaryTarget);
  const secondary = new SovdSecondaryProvider({
    targetOf: (component) => relayed[component] ?? discovery.targetOf(component),
    clock,
    token: update.token,
    tls: tlsOf(update),
    timeoutMs: config.http.request_timeout_ms,
    pollMs: update.status_interval_ms,
    watchdogMs: update.verdict_timeout_ms,
  });
  const udsTargets: Record<string, UdsTarget> = {};
  for (const [component, target] of Object.entries(of("uds-flash"))) {
    udsTargets[component] = await udsTarget(component, target);
  }
  const builtIn: UpdateProvider[] = [
    secondary,
    new SlotProvider(mapValues(of("slot"), slotTarget(update)), runCommand),
    new CommandProvider(mapValues(of("command"), commandTarget), runCommand),
    new UdsFlashProvider({ targets: udsTargets, fleet, bulk, clock, ...(hold === undefined ? {} : { hold }) }),
  ];
  const all = [...builtIn, ...(await furtherProviders(parts, of, new Set(builtIn.map(({ kind }) => kind))))];
  const byKind = new Map(all.map((provider) => [provider.kind, provider]));
  const byComponent = new Map<string, UpdateProvider>();
  for (const [component, { provider: kind }] of Object.entries(targets)) {
    const provider = byKind.get(kind);
    if (provider === undefined)
      throw new Fault("invalidConfig", `update.targets.${component}: unknown provider ${kind}`);
    byComponent.set(component, provider);
  }
  log("info", "update targets", {
    targets: Object.fromEntries([...byComponent].map(([name, { kind }]) => [name, kind])),
  });
  return { all, byComponent, secondary };
}

/** The kinds the program adds, and the one of the configured module. */
async function furtherProviders(
  { config, clock, log, more = {} }: SoftwareParts,
  of: (kind: string) => Targets,
  known: ReadonlySet<string>,
): Promise<UpdateProvider[]> {
  const note: ProviderContext["log"] = (message, fields = {}) => log("info", message, fields);
  const contextOf = (targets: Targets) => ({
    targets,
    log: note,
    fault: (kind: FaultKind, message: string, details?: FaultDetails) => new Fault(kind, message, details),
  });
  const made = await Promise.all(Object.entries(more).map(([kind, create]) => create(contextOf(of(kind)))));
  const { provider: file, targets, abandon_timeout_ms: patienceMs } = config.update;
  if (file === undefined) return made;
  const taken = new Set([...known, ...Object.keys(more)]);
  const rest = Object.fromEntries(Object.entries(targets).filter(([, { provider }]) => !taken.has(provider)));
  const own = await makeOfModule("update.provider", file, contextOf(rest));
  const where = `update.provider: ${file}`;
  // it alone needs the whole of TypeBox
  const { providerOfModule } = await import("#update/software/providers/module.ts");
  return [...made, providerOfModule(own, { where, known: taken, clock, patienceMs, log: note })];
}

function secondaryTarget(target: TargetConfig, component: string): SecondaryTarget {
  const url = required(target.url, component, "url").replace(/\/+$/, "");
  const { remote_component = component, token } = target;
  return { url, component: remote_component, ...(token === undefined ? {} : { token }) };
}

const slotTarget =
  (update: UpdateConfig) =>
  (target: TargetConfig, component: string): SlotTarget => ({
    folder: required(target.folder, component, "folder"),
    activate: target.activate,
    health: target.health,
    timeoutMs: target.timeout_ms,
    trialStarts: target.trial_starts,
    ...identity(target, component, update),
  });

function commandTarget(target: TargetConfig, component: string): CommandTarget {
  const { prepare, execute, verify, commit, rollback, version } = target;
  return {
    folder: required(target.folder, component, "folder"),
    commands: { prepare, execute, verify, commit, rollback, version },
    timeoutMs: target.timeout_ms,
    hardwareId: target.hardware_id,
    serial: target.serial,
  };
}

async function udsTarget(component: string, target: TargetConfig): Promise<UdsTarget> {
  return {
    recipe: readRecipe(required(target.recipe, component, "recipe")),
    keyOfSeed:
      target.key_module === undefined
        ? undefined
        : ((await functionOfModule(`update.targets.${component}.key_module`, target.key_module)) as KeyOfSeed),
    hardwareId: target.hardware_id,
    serial: target.serial,
  };
}

/** The node's own hardware id and serial stand for its own component. */
function identity(target: TargetConfig, component: string, update: UpdateConfig) {
  const own = component === update.component.toLowerCase();
  const text = (value: string | undefined, ofNode: string) => value ?? (own && ofNode !== "" ? ofNode : undefined);
  return { hardwareId: text(target.hardware_id, update.hardware_id), serial: text(target.serial, update.serial) };
}

function tlsOf({ tls_ca: ca, tls_certificate: cert, tls_key: key }: UpdateConfig) {
  if (ca === undefined && cert === undefined) return undefined;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function required(value: string | undefined, component: string, key: string): string {
  if (value === undefined) throw new Fault("invalidConfig", `update.targets.${component}.${key} is missing`);
  return value;
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, make: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, make(value, key)]));
}
