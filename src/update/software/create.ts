/** Puts the parts of the software update together, as the configuration says. */
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { Turns } from "#core/turns.ts";
import { readKey } from "#security/keys.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Bulk } from "./bulk/bulk.ts";
import { type CallsOptions, createCalls } from "./campaign/calls.ts";
import { Campaigns, type CampaignsOptions } from "./campaign/campaigns.ts";
import { awaitFound } from "./campaign/found.ts";
import type { GateSettings } from "./campaign/gate.ts";
import { isMet } from "./campaign/preconditions.ts";
import { dropRelayed } from "./campaign/relayed.ts";
import { readResetReason } from "./campaign/reset-reason.ts";
import { Staging } from "./campaign/staging.ts";
import { type CampaignLimits, FINAL_STATES } from "./campaign/states.ts";
import { createDiscovery } from "./discovery/create.ts";
import type { OpenMdns } from "./discovery/mdns.ts";
import type { SignHead } from "./journal/heads.ts";
import { Journal } from "./journal/journal.ts";
import type { UpdateProvider } from "./provider.ts";
import { createProviders, type Log, ownComponents, type ProviderParts, tlsOf } from "./providers/create.ts";
import { createTrust } from "./trust/create.ts";
import { Updates, type UpdatesOptions } from "./updates.ts";

type UpdateConfig = Config["update"];

export interface SoftwareParts extends Omit<ProviderParts, "discovery"> {
  readonly persistence: Persistence;
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

/** Opens the journal, makes the providers and calls their `boot`. Nothing else moves before `resume`. @throws Fault invalidConfig */
export async function createSoftware(parts: SoftwareParts): Promise<Software> {
  const { config, bulk, clock, log } = parts;
  const { update } = config;
  const nowMs = Date.now;
  const journal = await openJournal(parts, nowMs);
  const targets = await findTargets(parts);
  const { discovery, nodes, providers } = targets;
  // a start that ends before anything works is one as well: a trial would never end in a crash loop that is shorter than loading databases.
  // A target that cannot be read fails its own updates, not this start
  const booted = each(providers.all, log, (provider) => provider.boot?.());
  const staging = new Staging({ bulk, repository: update.repository, timeoutMs: config.http.request_timeout_ms });
  const rules = rulesOf(update, await createTrust(update, journal, nowMs));
  let upSinceMs = clock.now();
  const searched: CallsOptions["searched"] = (names, signal) =>
    awaitFound(parts, names, upSinceMs + rules.now().gate.bootTimeoutMs, signal);
  const calls = createCalls(callsOptions(parts, targets, { journal, staging, nowMs, rules, searched }));
  const { campaigns, tidied } = createCampaigns(parts, { journal, calls, nowMs }, () => updates);
  const updates = createUpdates(parts, targets, { journal, staging, campaigns, forget: calls.forget });
  return {
    updates,
    bulk,
    campaigns,
    async resume() {
      upSinceMs = clock.now();
      await booted;
      nodes.start();
      if (update.secondaries.length > 0) await discovery.refresh(AbortSignal.timeout(DESCRIBE_TIMEOUT_MS));
      await campaigns.resume();
    },
    reload: rules.reload,
    announce: nodes.announce,
    withdraw: nodes.withdraw,
    async close() {
      await booted;
      await nodes.withdraw();
      await campaigns.stop();
      await tidied();
      await each(providers.all, log, (provider) => provider.dispose?.());
      await discovery.dispose();
      await journal.close();
    },
  };
}

/** The campaigns, and what tidies up behind them: `tidied` resolves when that has ended. */
function createCampaigns(
  { config: { update }, bulk, clock, log }: SoftwareParts,
  { journal, calls, nowMs }: Pick<CampaignsOptions, "journal" | "calls" | "nowMs">,
  updates: () => Updates,
): { readonly campaigns: Campaigns; tidied(): Promise<void> } {
  const tidying = new Turns();
  const campaigns = new Campaigns({
    journal,
    calls,
    clock,
    nowMs,
    limits: limitsOf(update),
    retryMs: update.retry_ms,
    serviceRetryMs: update.service_retry_ms,
    rollbackTries: ROLLBACK_TRIES,
    onChange(id) {
      updates().changed(id);
      const record = campaigns.get(id);
      if (record === undefined || !FINAL_STATES.has(record.state)) return;
      const dropped = tidying.run(() => dropRelayed(bulk, journal.campaigns(), record));
      dropped.catch((error) => log("warn", "images handed on were kept", { error }));
    },
    onAlarm: ({ id }, stuck) => {
      updates().alarm(id, stuck);
      if (stuck.length > 0) log("error", "components need service", { update: id, components: stuck });
    },
    onProblem: (problem, where) => log("warn", "a step of an update failed", { error: problem, where }),
  });
  return { campaigns, tidied: () => tidying.run(() => undefined) };
}

/** One after the other; what fails at one is logged and keeps no other from it. */
async function each(
  providers: readonly UpdateProvider[],
  log: Log,
  work: (provider: UpdateProvider) => Promise<void> | undefined,
): Promise<void> {
  for (const provider of providers) {
    try {
      await work(provider);
    } catch (error) {
      log("error", "an update target", { kind: provider.kind, error });
    }
  }
}

async function openJournal({ config, persistence, log }: SoftwareParts, nowMs: () => number): Promise<Journal> {
  const journal = new Journal({
    persistence,
    nowMs,
    maxRecords: config.update.max_audit_records,
    onHead: ({ seq, hash, campaign, component, event, to, result }) =>
      log("info", "audit head", { seq, hash, update: campaign, component, event, to, result }),
    sign: await headSigner(config.update.audit_key),
    onSigned: (head) => log("info", "audit head signed", { ...head }),
    onProblem: (error) =>
      log("warn", "a step of the journal comes again: pruning, signing, or what a crash cut", { error }),
  });
  await journal.open();
  return journal;
}

/** @throws Fault invalidConfig */
async function headSigner(file: string | undefined): Promise<SignHead | undefined> {
  if (file === undefined) return undefined;
  const { signerOf } = await import("./journal/heads.ts");
  return signerOf(readKey(file, "private", "update.audit_key"));
}

/** Which components there are, and who installs on each. */
async function findTargets(parts: SoftwareParts) {
  const { config, fleet, clock, log, mdns } = parts;
  const { update } = config;
  const own = ownComponents(update);
  const nodes = await createDiscovery({ config, clock, tls: tlsOf(update), components: own, log, open: mdns });
  const { discovery } = nodes;
  const providers = await createProviders({ ...parts, discovery });
  const isEcu = (component: string) => fleet.ecu(component) !== undefined;
  const providerOf = (component: string): UpdateProvider | undefined =>
    providers.byComponent.get(component) ??
    (discovery.targetOf(component) === undefined ? undefined : providers.secondary);
  // an announced node that starts anew is away for a while, not gone: what runs on it waits as for any silent one
  const mayReturn = (component: string) => update.mdns.browse && !own.includes(component) && !isEcu(component);
  return {
    own,
    nodes,
    discovery,
    providers,
    providerOf,
    patientProviderOf: (component: string) =>
      providerOf(component) ?? (mayReturn(component) ? providers.secondary : undefined),
    knows(component: string) {
      const isKnown = own.includes(component) || isEcu(component) || providerOf(component) !== undefined;
      if (!isKnown && !fleet.ready) throw new Fault("notReady", "The vehicle's databases are still being loaded");
      return isKnown;
    },
  };
}

type Targets = Awaited<ReturnType<typeof findTargets>>;
type Rules = Pick<CallsOptions, "gate" | "trust" | "allowDowngrade" | "allowExpired">;

/** What a new configuration changes while the program runs. */
function rulesOf(update: UpdateConfig, trustOf: Awaited<ReturnType<typeof createTrust>>) {
  const read = (wanted: UpdateConfig): Rules => ({
    gate: gateOf(wanted),
    trust: trustOf(wanted),
    allowDowngrade: wanted.allow_downgrade,
    allowExpired: wanted.allow_expired,
  });
  let now = read(update);
  return {
    now: () => now,
    reload(wanted: UpdateConfig) {
      const next = read(wanted);
      return () => {
        now = next;
      };
    },
  };
}

interface CallsParts extends Pick<CallsOptions, "journal" | "staging" | "nowMs" | "searched"> {
  readonly rules: { now(): Rules };
}

function callsOptions(
  { config, fleet, bulk, clock, log }: SoftwareParts,
  { patientProviderOf, discovery }: Targets,
  { journal, staging, nowMs, rules, searched }: CallsParts,
): CallsOptions {
  const { update } = config;
  const resetReasons = new Map(
    Object.entries(update.targets).map(([component, { reset_reason }]) => [component.toLowerCase(), reset_reason]),
  );
  return {
    journal,
    bulk,
    staging,
    clock,
    nowMs,
    searched,
    get gate() {
      return rules.now().gate;
    },
    get trust() {
      return rules.now().trust;
    },
    get allowDowngrade() {
      return rules.now().allowDowngrade;
    },
    get allowExpired() {
      return rules.now().allowExpired;
    },
    providerOf: patientProviderOf,
    silent: () => discovery.silent,
    holds: (condition, signal) => isMet(fleet, condition, signal),
    verdictMs: update.execute_timeout_ms + update.commit_timeout_ms,
    resetReason(component, signal) {
      const where = resetReasons.get(component);
      return where === undefined ? undefined : readResetReason(fleet, component, where, signal);
    },
    log: (message, fields) => log("info", message, fields),
  };
}

type UpdatesParts = Pick<UpdatesOptions, "journal" | "staging" | "campaigns" | "forget">;

function createUpdates(
  { config: { update }, bulk }: SoftwareParts,
  { own, providerOf, knows, discovery }: Targets,
  parts: UpdatesParts,
): Updates {
  return new Updates({
    ...parts,
    bulk,
    role: update.role,
    verdictTimeoutMs: update.verdict_timeout_ms,
    ownComponents: own,
    implicitPrepare: update.implicit_prepare,
    maxPackages: update.max_packages,
    maxSubscribers: update.max_status_subscribers,
    providerOf,
    knows,
    discover: (signal) => discovery.refresh(signal),
    describeTimeoutMs: DESCRIBE_TIMEOUT_MS,
  });
}

function limitsOf(update: UpdateConfig): CampaignLimits {
  return {
    prepareMs: update.prepare_timeout_ms,
    executeMs: update.execute_timeout_ms,
    commitMs: update.commit_timeout_ms,
    rollbackMs: update.rollback_timeout_ms,
    maxRestarts: update.max_restarts,
    maxParallel: update.max_parallel,
  };
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
