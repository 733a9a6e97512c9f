/** Makes the backends of all targets, as the configuration says. */
import type { Config } from "#config/types.ts";
import { Fault, type FaultDetails, type FaultKind } from "#core/errors.ts";
import { functionOfModule, makeOfModule } from "#core/module.ts";
import type { Clock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import type { Discovery } from "#update/software/discovery/discovery.ts";
import type { CreateProvider, ProviderContext, UpdateProvider } from "#update/software/provider.ts";
import { CommandProvider, type CommandTarget } from "./command.ts";
import { runCommand } from "./command-runner.ts";
import type { SecondaryTarget, TlsFiles } from "./secondary-client.ts";
import { SlotProvider, type SlotTarget } from "./slot.ts";
import { SovdSecondaryProvider } from "./sovd-secondary.ts";
import type { KeyOfSeed, UdsTarget } from "./uds-flash.ts";
import type { Recipe } from "./uds-recipe.ts";

type UpdateConfig = Config["update"];
type TargetConfig = UpdateConfig["targets"][string];
export type Log = (
  level: "info" | "warn" | "error",
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

export interface ProviderParts {
  readonly config: Config;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly bulk: Bulk;
  readonly discovery: Discovery;
  readonly log: Log;
  /** A backend of its own kinds, beside those built in: kind → how it is made. */
  readonly more?: Readonly<Record<string, CreateProvider>>;
  /** Holds an ECU for a flash. */
  readonly hold?: (component: string, campaign: string) => Promise<() => void>;
}

export interface Providers {
  readonly all: readonly UpdateProvider[];
  readonly byComponent: ReadonlyMap<string, UpdateProvider>;
  readonly secondary: UpdateProvider;
}

const UDS_FLASH = "uds-flash";

type Targets = Readonly<Record<string, TargetConfig>>;

/** Backends for all targets of the configuration. @throws Fault invalidConfig */
export async function createProviders(parts: ProviderParts): Promise<Providers> {
  const { config, clock, discovery, log } = parts;
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
  const builtIn: UpdateProvider[] = [
    secondary,
    new SlotProvider(mapValues(of("slot"), slotTarget(update)), runCommand),
    new CommandProvider(mapValues(of("command"), commandTarget), runCommand),
    ...(await udsFlash(parts, of(UDS_FLASH))),
  ];
  const kinds = new Set([...builtIn.map(({ kind }) => kind), UDS_FLASH]);
  const all = [...builtIn, ...(await furtherProviders(parts, of, kinds))];
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
  { config, clock, log, more = {} }: ProviderParts,
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

/** The backend of classic ECUs, which a node without any does not load. */
async function udsFlash({ fleet, bulk, clock, hold }: ProviderParts, configured: Targets): Promise<UpdateProvider[]> {
  if (Object.keys(configured).length === 0) return [];
  const { UdsFlashProvider } = await import("./uds-flash.ts");
  const { readRecipe } = await import("./uds-recipe.ts");
  const targets: Record<string, UdsTarget> = {};
  for (const [component, target] of Object.entries(configured)) {
    targets[component] = await udsTarget(component, target, readRecipe(required(target.recipe, component, "recipe")));
  }
  return [new UdsFlashProvider({ targets, fleet, bulk, clock, ...(hold === undefined ? {} : { hold }) })];
}

async function udsTarget(component: string, target: TargetConfig, recipe: Recipe): Promise<UdsTarget> {
  return {
    recipe,
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

function required(value: string | undefined, component: string, key: string): string {
  if (value === undefined) throw new Fault("invalidConfig", `update.targets.${component}.${key} is missing`);
  return value;
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, make: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, make(value, key)]));
}

/** Components that this node stands for: itself, and what it installs on without talking to an ECU or another node. */
export function ownComponents({ component, targets }: UpdateConfig): readonly string[] {
  const elsewhere = new Set([UDS_FLASH, "sovd-secondary"]);
  const local = Object.entries(targets).filter(([, { provider }]) => !elsewhere.has(provider));
  const names = [...(component === "" ? [] : [component]), ...local.map(([name]) => name)];
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

/** Files of mutual TLS between nodes; undefined without any. */
export function tlsOf({ tls_ca: ca, tls_certificate: cert, tls_key: key }: UpdateConfig): TlsFiles | undefined {
  if (ca === undefined && cert === undefined) return undefined;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
