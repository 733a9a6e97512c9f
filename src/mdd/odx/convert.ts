/** ODX 2.2 (ISO 22901-1) to diagnostic databases. */
import { Fault } from "#core/errors.ts";
import type { DTC, EcuData, FunctionalGroup, Variant } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { PlainChunk } from "../writer/mdd.ts";
import { codeFileChunks, type PartialJobs } from "./code-files.ts";
import type { Builders, Context } from "./context.ts";
import { buildDop } from "./dops.ts";
import { buildDtc } from "./dtcs.ts";
import { child, list, type OdxElement, type Scope, textOf } from "./element.ts";
import { buildFunctionalGroup, buildProtocol, buildVariant } from "./layers.ts";
import { createLibrary } from "./library.ts";
import { DEFAULT_ODX_LIMITS, type OdxLimits } from "./limits.ts";
import { parentsOf } from "./links.ts";
import { buildParam } from "./params.ts";
import { createParseContext, parseOdx } from "./parse.ts";
import { Report, type ReportEntry } from "./report.ts";
import { buildDiagComm } from "./services.ts";
import { buildProtStack } from "./stacks.ts";
import { unlessEmpty } from "./values.ts";
import type { OdxSource } from "./zip.ts";

export interface ConvertOptions {
  /** Only the database of this base variant (or `functional_groups`). */
  readonly ecuName?: string;
  /** Embed whole code files of jobs. */
  readonly includeJobs?: boolean;
  /** Embed parts of code files that are archives. */
  readonly partialJobs?: readonly PartialJobs[];
  /** Keep services for these audiences (any case); none: all. */
  readonly withAudiences?: readonly string[];
  /** What is only doubtful becomes a warning instead of an error. */
  readonly isLenient?: boolean;
  readonly limits?: Partial<OdxLimits>;
  readonly onProgress?: (text: string) => void;
}

export interface ConvertedDatabase {
  readonly ecuName: string;
  readonly description: EcuData;
  /** Chunks to stand behind the database. */
  readonly codeFiles: readonly PlainChunk[];
}

export interface ConvertResult {
  readonly databases: readonly ConvertedDatabase[];
  /** What was left out or is doubtful, with places; no errors, these are thrown. */
  readonly report: readonly ReportEntry[];
}

/** Name under which the CDA looks for groups that belong to no ECU. */
export const FUNCTIONAL_GROUPS = "functional_groups";

/** Date of the schema that databases carry. */
const SCHEMA_VERSION = "2025-05-10";

const BUILDERS: Builders = {
  dop: buildDop,
  param: buildParam,
  diagComm: buildDiagComm,
  protocol: buildProtocol,
  protStack: buildProtStack,
};

/**
 * Converts a set of files: those whose name contains `.odx` are documents, others may be code files. One database per base variant,
 * with the ECU variants that refer to it; without base variants one of the functional groups.
 * @throws Fault invalidData naming file and line of what is damaged or missing (`details.report`: all that was found), notFound when no
 * base variant has the wanted name
 */
export function convertOdx(sources: readonly OdxSource[], options: ConvertOptions = {}): ConvertResult {
  const limits = { ...DEFAULT_ODX_LIMITS, ...options.limits };
  const report = new Report(limits.maxReportEntries);
  const context = readDocuments(sources, options, limits, report);
  const databases = describe(context, options);
  const code = { isIncluded: options.includeJobs ?? false, partial: options.partialJobs ?? [] };
  const withCode = databases.map((description) => ({
    ecuName: description.ecu_name!,
    description,
    codeFiles: codeFileChunks(description, sources, code, report, limits),
  }));
  report.throwOnErrors();
  return { databases: withCode, report: report.finish() };
}

function readDocuments(
  sources: readonly OdxSource[],
  { isLenient = false, withAudiences = [], onProgress }: ConvertOptions,
  limits: OdxLimits,
  report: Report,
): Context {
  const parsing = createParseContext(limits, report, isLenient);
  const containers = sources
    .filter(({ name }) => name.toLowerCase().includes(".odx"))
    .flatMap((source) => {
      onProgress?.(`reading ${source.name}`);
      return parseOdx(source.name, source.read(), parsing) ?? [];
    });
  return {
    library: createLibrary(containers, report),
    report,
    limits,
    isLenient,
    audiences: withAudiences.map((name) => name.toLowerCase()),
    imports: new Map(),
    parents: new Map(),
    globalNegatives: new Map(),
    built: new Map(),
    build: BUILDERS,
    depth: 0,
  };
}

function describe(context: Context, { ecuName, onProgress }: ConvertOptions): EcuData[] {
  const { layers } = context.library;
  const ofKind = (tag: string) => layers.filter(({ root }) => root.tag === tag);
  const bases = ofKind("BASE-VARIANT");
  const groups = ofKind("FUNCTIONAL-GROUP");
  const variants = ofKind("ECU-VARIANT");
  if (bases.length === 0 && groups.length === 0)
    throw new Fault("invalidData", "the ODX files hold neither a base variant nor a functional group");
  const owners = new Map(variants.map((variant) => [variant, ownerOf(context, variant, bases)]));
  const wanted = bases.filter(({ name }) => ecuName === undefined || name === ecuName);
  const describeOne = (name: string, base: Scope | undefined) => {
    onProgress?.(`converting ${name}`);
    const own = variants.filter((variant) => owners.get(variant) === base);
    return describeEcu(context, name, base, base === undefined ? [] : [base, ...own], groups);
  };
  if (bases.length === 0 && (ecuName ?? FUNCTIONAL_GROUPS) === FUNCTIONAL_GROUPS)
    return [describeOne(FUNCTIONAL_GROUPS, undefined)];
  if (wanted.length === 0)
    throw new Fault(
      "notFound",
      `no base variant is named ${ecuName}; there are: ${bases.map(({ name }) => name).join(", ")}`,
    );
  return wanted.map((base) => describeOne(base.name, base));
}

/** The base variant that an ECU variant belongs to; the only one there is, when it does not say. */
function ownerOf(context: Context, variant: Scope, bases: readonly Scope[]): Scope | undefined {
  const owner = parentsOf(context, variant).find((parent) => bases.includes(parent));
  if (owner !== undefined || bases.length === 1) return owner ?? bases[0];
  context.report.at(variant.root, "warning", `ECU-VARIANT ${variant.name} belongs to no base variant and is left out`);
  return undefined;
}

function describeEcu(
  context: Context,
  name: string,
  base: Scope | undefined,
  variants: readonly Scope[],
  groups: readonly Scope[],
): EcuData {
  const revisionOwner = (base ?? groups[0])!.container.root;
  return defined<EcuData>({
    version: SCHEMA_VERSION,
    ecu_name: name,
    revision: revisionOf(revisionOwner),
    variants: buildAll<Variant>(context, variants, buildVariant),
    functional_groups: buildAll<FunctionalGroup>(context, groups, buildFunctionalGroup),
    dtcs: unlessEmpty(dtcsOf(context, variants)),
  });
}

function buildAll<T>(
  context: Context,
  layers: readonly Scope[],
  build: (context: Context, element: OdxElement) => T | undefined,
): T[] {
  return layers.flatMap(({ root }) => build(context, root) ?? []);
}

/** REVISION-LABEL of the last revision of the container. */
function revisionOf(container: OdxElement): string | undefined {
  const last = list(child(container, "ADMIN-DATA"), "DOC-REVISIONS", "DOC-REVISION").at(-1);
  return last && textOf(last, "REVISION-LABEL");
}

/** Trouble codes of every DTC-DOP: of the database's own variants and of all layers that are nobody's variant. */
function dtcsOf(context: Context, variants: readonly Scope[]): DTC[] {
  const others = ["BASE-VARIANT", "ECU-VARIANT"];
  const layers = context.library.layers.filter((layer) => variants.includes(layer) || !others.includes(layer.root.tag));
  return layers.flatMap(({ root }) =>
    list(child(root, "DIAG-DATA-DICTIONARY-SPEC"), "DTC-DOPS", "DTC-DOP").flatMap((dop) =>
      list(dop, "DTCS", "DTC").flatMap((dtc) => buildDtc(context, dtc) ?? []),
    ),
  );
}
