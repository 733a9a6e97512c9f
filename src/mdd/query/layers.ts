import { Fault } from "#core/errors.ts";
import {
  type DiagLayer,
  EcuSharedData,
  FunctionalGroup,
  type ParentRef,
  ParentRefType,
  Protocol,
  Variant,
} from "#mdd/generated/dataformat.ts";
import { type Database, each, invalidDatabase, MAX_TABLES_DEEP, memoised, reading, required } from "./database.ts";

/** Whose services are meant: a variant of the ECU or a functional group, by its place in the database. */
export interface Scope {
  readonly kind: "variant" | "group";
  readonly index: number;
  readonly name: string;
}

export interface VariantScope extends Scope {
  readonly kind: "variant";
  readonly isBaseVariant: boolean;
}

export type LayerKind = "Variant" | "Protocol" | "FunctionalGroup" | "EcuSharedData";

/** A diagnostic layer as seen from a scope: `hidden` are the short names of services and jobs that must not be taken from it. */
export interface Layer {
  readonly kind: LayerKind;
  readonly name: string;
  readonly diagLayer: DiagLayer;
  readonly hidden: ReadonlySet<string>;
}

/** Ways through a graph of shared parents grow exponentially; no real database comes near this many layers. */
const MAX_LAYERS = 4096;

const NOTHING_HIDDEN: ReadonlySet<string> = new Set();

/** Every variant, in database order: base variants first. */
export function variantsOf(database: Database): readonly VariantScope[] {
  return memoised(database, "variants", () =>
    reading("EcuData.variants", () =>
      Array.from({ length: database.root.variantsLength() }, (_, index) => {
        const variant = required(database.root.variants(index), `EcuData.variants[${index}]`);
        return {
          kind: "variant" as const,
          index,
          name: layerName(variant.diagLayer(), `EcuData.variants[${index}]`),
          isBaseVariant: variant.isBaseVariant(),
        };
      }),
    ),
  );
}

/** The base variant; undefined in a functional description. */
export function baseVariant(database: Database): VariantScope | undefined {
  return variantsOf(database).find((variant) => variant.isBaseVariant);
}

/** The variant of this name, in any case. */
export function findVariant(database: Database, name: string): VariantScope | undefined {
  const wanted = name.toLowerCase();
  return variantsOf(database).find((variant) => variant.name.toLowerCase() === wanted);
}

/** Every functional group of the database itself, in database order. */
export function functionalGroupsOf(database: Database): readonly Scope[] {
  return memoised(database, "groups", () =>
    reading("EcuData.functional_groups", () =>
      Array.from({ length: database.root.functionalGroupsLength() }, (_, index) => {
        const group = required(database.root.functionalGroups(index), `EcuData.functional_groups[${index}]`);
        return { kind: "group" as const, index, name: layerName(group.diagLayer(), `functional_groups[${index}]`) };
      }),
    ),
  );
}

/**
 * The functional group of this name, in any case.
 * @throws Fault notFound
 */
export function functionalGroup(database: Database, name: string): Scope {
  const wanted = name.toLowerCase();
  const group = functionalGroupsOf(database).find((candidate) => candidate.name.toLowerCase() === wanted);
  if (group === undefined) throw new Fault("notFound", `Functional group '${name}' not found`);
  return group;
}

/**
 * The layers a scope draws on, nearest first: its own, then its parents in reverse declaration order, depth first. NOT-INHERITED
 * names stay hidden on the whole way below the reference that lists them (ISO 22901-1). A layer that is reached again
 * with the same names hidden can add nothing and is left out.
 */
export function layersOf(database: Database, scope: Scope): readonly Layer[] {
  return memoised(database, `layers:${scope.kind}:${scope.index}`, () =>
    reading(scope.name, () => collectLayers(database, scope)),
  );
}

interface Pending {
  readonly ref: ParentRef;
  readonly hidden: ReadonlySet<string>;
  readonly depth: number;
}

function collectLayers(database: Database, scope: Scope): Layer[] {
  const owner = ownerOf(database, scope);
  const diagLayer = required(owner.diagLayer(), `${scope.name}.diag_layer`);
  const kind = scope.kind === "variant" ? "Variant" : "FunctionalGroup";
  const layers: Layer[] = [{ kind, name: scope.name, diagLayer, hidden: NOTHING_HIDDEN }];
  const seen = new Set<string>([`${diagLayer.bb_pos}|`]);
  const stack: Pending[] = parentRefs(owner, NOTHING_HIDDEN, 0);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const parent = resolveParent(next);
    if (parent === undefined) continue;
    const mark = `${parent.layer.diagLayer.bb_pos}|${[...parent.layer.hidden].sort().join("|")}`;
    if (seen.has(mark)) continue;
    seen.add(mark);
    if (layers.length >= MAX_LAYERS) throw invalidDatabase(scope.name, `more than ${MAX_LAYERS} parent layers`);
    layers.push(parent.layer);
    stack.push(...parent.refs);
  }
  return layers;
}

function ownerOf(database: Database, scope: Scope): Variant | FunctionalGroup {
  const { root } = database;
  const owner = scope.kind === "variant" ? root.variants(scope.index) : root.functionalGroups(scope.index);
  return required(owner, scope.name);
}

interface HasParents {
  parentRefsLength(): number;
  parentRefs(index: number): ParentRef | null;
}

function parentRefs(owner: HasParents, hidden: ReadonlySet<string>, depth: number): Pending[] {
  if (depth >= MAX_TABLES_DEEP) throw invalidDatabase("parent_refs", `nested deeper than ${MAX_TABLES_DEEP}`);
  return each(owner.parentRefsLength(), (i) => owner.parentRefs(i)).map((ref) => ({ ref, hidden, depth }));
}

/** A TABLE reference and a reference without a layer have nothing to give. */
function resolveParent({ ref, hidden, depth }: Pending): { layer: Layer; refs: Pending[] } | undefined {
  const parent = referredLayer(ref);
  const diagLayer = parent?.owner.diagLayer();
  if (parent === undefined || diagLayer === null || diagLayer === undefined) return undefined;
  const own = hiddenBy(ref, hidden);
  const name = diagLayer.shortName() ?? "";
  const refs = parent.owner instanceof EcuSharedData ? [] : parentRefs(parent.owner, own, depth + 1);
  return { layer: { kind: parent.kind, name, diagLayer, hidden: own }, refs };
}

function referredLayer(
  ref: ParentRef,
): { kind: LayerKind; owner: Variant | Protocol | FunctionalGroup | EcuSharedData } | undefined {
  switch (ref.refType()) {
    case ParentRefType.Variant:
      return found("Variant", ref.ref(new Variant()));
    case ParentRefType.Protocol:
      return found("Protocol", ref.ref(new Protocol()));
    case ParentRefType.FunctionalGroup:
      return found("FunctionalGroup", ref.ref(new FunctionalGroup()));
    case ParentRefType.EcuSharedData:
      return found("EcuSharedData", ref.ref(new EcuSharedData()));
    default:
      return undefined;
  }
}

function found<T>(kind: LayerKind, owner: T | null): { kind: LayerKind; owner: T } | undefined {
  return owner === null ? undefined : { kind, owner };
}

function hiddenBy(ref: ParentRef, inherited: ReadonlySet<string>): ReadonlySet<string> {
  const length = ref.notInheritedDiagCommShortNamesLength();
  if (length === 0) return inherited;
  return new Set([...inherited, ...each(length, (i) => ref.notInheritedDiagCommShortNames(i))]);
}

function layerName(layer: DiagLayer | null, element: string): string {
  return required(layer?.shortName(), `${element}.diag_layer.short_name`);
}
