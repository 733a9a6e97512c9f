/** What a database holds, as a plain tree. */
import type { MddContainer } from "../container/messages.ts";
import type { Database } from "../query/database.ts";
import { listJobs } from "../query/jobs.ts";
import { functionalGroupsOf, layersOf, type Scope, variantsOf } from "../query/layers.ts";
import { protocolsOf } from "../query/protocols.ts";
import { serviceIndex } from "../query/service-index.ts";
import { type StateChart, stateChartsOf } from "../query/state-charts.ts";
import { detectionPlan, type MatchingParameter } from "../query/variants.ts";
import type { LoadedMdd } from "./load.ts";
import { type ServiceView, type ViewOptions, viewService } from "./view.ts";

export interface ContainerView {
  readonly version: string;
  readonly ecuName: string;
  readonly revision?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly chunks: readonly ChunkView[];
}

export interface ChunkView {
  readonly type: number;
  readonly name?: string;
  readonly storedBytes: number;
  readonly uncompressedBytes?: number;
  readonly compression?: string;
  readonly signatures: readonly string[];
}

export interface ScopeView {
  readonly kind: "base variant" | "variant" | "functional group";
  readonly name: string;
  readonly parents: readonly { readonly kind: string; readonly name: string }[];
  readonly patterns: readonly (readonly MatchingParameter[])[];
  /** Services that no scope before has shown. */
  readonly services: readonly ServiceView[];
  /** Names of those that one before has shown. */
  readonly shownBefore: readonly string[];
  readonly jobs: readonly string[];
  readonly stateCharts: readonly StateChart[];
}

export interface MddView {
  readonly container: ContainerView;
  readonly ecuName: string;
  readonly revision?: string;
  readonly protocols: readonly string[];
  readonly scopes: readonly ScopeView[];
}

export interface InspectOptions extends Partial<ViewOptions> {
  /** Only this variant or functional group, in any case. */
  readonly scope?: Scope;
  /** Only services of this short name, in any case. */
  readonly service?: string;
}

/** The tree of a file. @throws Fault invalidDatabase */
export function inspectMdd({ container, database, positions }: LoadedMdd, options: InspectOptions = {}): MddView {
  const scopes =
    options.scope === undefined ? [...variantsOf(database), ...functionalGroupsOf(database)] : [options.scope];
  const shown = new Set<number>();
  return {
    container: containerView(container),
    ecuName: database.ecuName,
    ...(database.revision !== undefined && { revision: database.revision }),
    protocols: protocolsOf(database),
    scopes: scopes.map((scope) => scopeView(database, scope, shown, { positions, ...options })),
  };
}

function containerView({ version, ecuName, revision, metadata, chunks }: MddContainer): ContainerView {
  return {
    version,
    ecuName,
    ...(revision !== undefined && { revision }),
    metadata: Object.fromEntries(metadata),
    chunks: chunks.map(({ type, name, data, uncompressedSize, compressionAlgorithm, signatures }) => ({
      type,
      ...(name !== undefined && { name }),
      storedBytes: data?.length ?? 0,
      ...(uncompressedSize !== undefined && { uncompressedBytes: uncompressedSize }),
      ...(compressionAlgorithm !== undefined && { compression: compressionAlgorithm }),
      signatures: signatures.map(({ algorithm }) => algorithm),
    })),
  };
}

function scopeView(
  database: Database,
  scope: Scope,
  shown: Set<number>,
  options: ViewOptions & InspectOptions,
): ScopeView {
  const wanted = options.service?.toLowerCase();
  const services = serviceIndex(database, scope).services.filter(
    ({ shortName }) => wanted === undefined || shortName.toLowerCase() === wanted,
  );
  const fresh = services.filter(({ table }) => !shown.has(table));
  for (const { table } of fresh) shown.add(table);
  const { session, security } = stateChartsOf(database, scope);
  return {
    kind: kindOf(database, scope),
    name: scope.name,
    parents: layersOf(database, scope)
      .slice(1)
      .map(({ kind, name }) => ({ kind, name })),
    patterns: patternsOf(database, scope),
    services: fresh.map((service) => viewService(database, service, options)),
    shownBefore: services.filter((service) => !fresh.includes(service)).map(({ shortName }) => shortName),
    jobs: listJobs(database, scope).map(({ id }) => id),
    stateCharts: [session, security].filter((chart) => chart !== undefined),
  };
}

function kindOf(database: Database, scope: Scope): ScopeView["kind"] {
  if (scope.kind === "group") return "functional group";
  return variantsOf(database)[scope.index]?.isBaseVariant ? "base variant" : "variant";
}

function patternsOf(database: Database, scope: Scope): ScopeView["patterns"] {
  if (scope.kind === "group") return [];
  return detectionPlan(database).variants.find(({ variant }) => variant.index === scope.index)?.patterns ?? [];
}
