import type { DiagService, DOP, Param, Protocol, ProtStack, SingleEcuJob } from "../generated/description.ts";
import { label, type OdxElement, type Scope } from "./element.ts";
import type { Library } from "./library.ts";
import type { OdxLimits } from "./limits.ts";
import { faultAt, type Report } from "./report.ts";

/** A service or job, told apart. */
export type BuiltDiagComm =
  | { readonly kind: "DiagService"; readonly value: DiagService }
  | { readonly kind: "SingleEcuJob"; readonly value: SingleEcuJob };

/** Builders that need each other in a circle: types name length keys, structures hold parameters, protocols hold com params. */
export interface Builders {
  readonly dop: (context: Context, element: OdxElement) => DOP | undefined;
  readonly param: (context: Context, element: OdxElement) => Param | undefined;
  readonly diagComm: (context: Context, element: OdxElement) => BuiltDiagComm | undefined;
  readonly protocol: (context: Context, layer: OdxElement) => Protocol | undefined;
  readonly protStack: (context: Context, element: OdxElement) => ProtStack | undefined;
}

/** What the builders share while a set is converted. */
export interface Context {
  readonly library: Library;
  readonly report: Report;
  readonly limits: OdxLimits;
  readonly isLenient: boolean;
  /** Lower case; empty: every audience. */
  readonly audiences: readonly string[];
  readonly imports: Map<Scope, readonly Scope[]>;
  readonly parents: Map<Scope, readonly Scope[]>;
  readonly globalNegatives: Map<Scope, readonly OdxElement[]>;
  /** What an element became: built once, shared wherever it is referred to. */
  readonly built: Map<OdxElement, unknown>;
  readonly build: Builders;
  depth: number;
}

const UNDER_WAY = Symbol("under way");

/** Whether an element is being built right now: referring to it again would close a circle, which the format cannot hold. */
export function isUnderWay(context: Context, element: OdxElement): boolean {
  return context.built.get(element) === UNDER_WAY;
}

/**
 * What `build` makes of an element, made once. A circle is an error in the report and gives undefined.
 * @throws Fault invalidData when objects refer to each other deeper than the limit
 */
export function once<T>(context: Context, element: OdxElement, build: () => T): T | undefined {
  const known = context.built.get(element);
  if (known === UNDER_WAY) {
    context.report.at(element, "error", `${label(element)} needs itself`);
    return undefined;
  }
  if (known !== undefined) return known as T;
  if (context.depth >= context.limits.maxNesting)
    throw faultAt(element, `${label(element)} is nested deeper than ${context.limits.maxNesting}`);
  context.built.set(element, UNDER_WAY);
  context.depth++;
  const value = build();
  context.depth--;
  context.built.set(element, value);
  return value;
}
