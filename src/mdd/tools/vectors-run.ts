/** What a vector says, and what a run over the vectors of one database carries from one to the next. */
import { Fault } from "#core/errors.ts";
import type { CodecOptions } from "../codec/options.ts";
import type { ResolvedComParams } from "../query/com-param-resolution.ts";
import type { Database } from "../query/database.ts";
import { baseVariant, findVariant, functionalGroup, type VariantScope } from "../query/layers.ts";
import { findService } from "../query/lookup.ts";
import type { ServiceEntry, ServiceType } from "../query/service-entry.ts";
import { type ServiceIndex, serviceIndex } from "../query/service-index.ts";
import { type EcuStates, nextStates, type StateCharts, startStates, stateChartsOf } from "../query/state-charts.ts";

/** What a vector expects; which members are there depends on the operation and the outcome. */
export interface Expected {
  readonly hex?: string;
  readonly json?: unknown;
  readonly raw?: string;
  readonly type?: string;
  readonly nrc?: { readonly code: number | null; readonly description: string | null; readonly sid: number | null };
  readonly error?: string;
  readonly kind?: string;
  readonly panic?: string;
  readonly json_error?: string;
  /** An error, or this raw value marked as such. */
  readonly error_or_raw?: unknown;
  /** `hex`, or an error. */
  readonly or_error?: boolean;
  /** Not tested. */
  readonly any?: boolean;
  readonly name?: string;
  readonly title?: string;
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly new_session?: string;
  readonly new_security?: string;
  readonly session?: string;
  readonly security?: string;
  readonly state?: string;
}

export interface Vector {
  readonly id: number;
  /** File name of the database. */
  readonly mdd: string;
  readonly op: string;
  readonly service?: {
    readonly name?: string;
    readonly type?: ServiceType;
    readonly subfunction?: number;
    readonly lookup_name?: string;
    /** Functional group. */
    readonly fg?: string;
  };
  readonly input?: {
    readonly data?: Readonly<Record<string, unknown>>;
    readonly raw?: string;
    readonly hex?: string;
    /** False: the raw answer is wanted. */
    readonly map?: boolean;
    readonly target?: string;
    readonly key?: boolean;
    readonly responses?: Readonly<Record<string, string>>;
  };
  readonly config?: { readonly strict?: boolean; readonly ignore?: boolean; readonly protocol?: string };
  readonly active_variant?: string;
  readonly cda: Expected;
  readonly recommended?: Expected;
  readonly why?: string;
}

/** Which of a vector's two answers is right where it has two. */
export type VectorMode = "recommended" | "cda";

/** What the tables of other layers know; handed in. */
export interface VectorEnvironment {
  readonly mode: VectorMode;
  readonly nrcText: (code: number) => string;
  readonly comParams: (database: Database) => ResolvedComParams;
}

/** How the file is to be read. */
export type FileReading = Pick<CodecOptions, "positions" | "lengthKeyUnit">;

/** What a run over one file carries from vector to vector. */
export interface Run extends VectorEnvironment {
  readonly database: Database;
  readonly reading: FileReading;
  variant: VariantScope | undefined;
  index: ServiceIndex | undefined;
  charts: StateCharts;
  states: EcuStates;
}

/** What one vector found: `differences` make it fail, `remarks` do not. */
export interface Findings {
  readonly differences: string[];
  readonly remarks: string[];
}

export interface VectorResult extends Findings {
  readonly vector: Vector;
}

export type Operation = (run: Run, vector: Vector, found: Findings) => void;

/** A run that begins with the base variant. */
export function startRun(database: Database, reading: FileReading, environment: VectorEnvironment): Run {
  const run: Run = {
    ...environment,
    database,
    reading,
    variant: undefined,
    index: undefined,
    charts: { session: undefined, security: undefined },
    states: { session: undefined, security: undefined },
  };
  const base = baseVariant(database);
  if (base !== undefined) enter(run, base);
  return run;
}

/** Makes the variant that a vector names the one in force. */
export function activate(run: Run, { active_variant: name }: Vector): void {
  if (name === undefined || name === run.variant?.name) return;
  const variant = findVariant(run.database, name);
  if (variant === undefined) throw new Fault("notFound", `no variant '${name}'`);
  enter(run, variant);
}

/** A variant is in force from now on, with its start states. */
export function enter(run: Run, variant: VariantScope): void {
  run.variant = variant;
  run.index = serviceIndex(run.database, variant);
  run.charts = stateChartsOf(run.database, variant);
  run.states = startStates(run.charts);
}

/** A positive answer that a vector reads moves the tracked states, as it would at run-time. */
export function follow(run: Run, vector: Vector): void {
  if (vector.op !== "decode_response" || vector.cda.type !== "Positive" || vector.service?.fg !== undefined) return;
  try {
    run.states = nextStates(run.charts, run.states, serviceOf(run, vector));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
}

/** The index of the variant in force. @throws Fault notFound in a database without variants */
export function indexOf(run: Run): ServiceIndex {
  if (run.index === undefined) throw new Fault("notFound", "the database has no base variant");
  return run.index;
}

/** The service that a vector names. @throws Fault notFound */
export function serviceOf(run: Run, { service = {} }: Vector): ServiceEntry {
  const index =
    service.fg === undefined ? indexOf(run) : serviceIndex(run.database, functionalGroup(run.database, service.fg));
  return findService(index, run.database.naming, {
    type: service.type ?? "Data",
    name: service.name ?? "",
    ...(service.lookup_name === undefined ? {} : { lookupName: service.lookup_name }),
    ...(service.subfunction === undefined ? {} : { subFunction: service.subfunction }),
  });
}

/** What is right for a vector in the mode of the run. */
export function expectedOf({ mode }: Run, { cda, recommended }: Vector): Expected {
  return mode === "cda" ? cda : (recommended ?? cda);
}
