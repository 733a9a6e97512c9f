/** What differs between two databases: layers, services, parameters and all that they say. */
import type {
  DiagLayer,
  EcuData,
  FunctionalGroup,
  MatchingParameter,
  ParentRef,
  Variant,
} from "../generated/description.ts";
import { type ElementField, fieldsOf, isUnion } from "../schema.ts";
import { nameOf } from "./walk.ts";

type Described = Readonly<Record<string, unknown>>;

/** One difference. `place` names what differs by the names on the way to it. */
export interface Change {
  readonly change: "added" | "removed" | "changed";
  /** `variant`, `service`, `parameter`, … or the field that has another value. */
  readonly kind: string;
  readonly place: string;
  /** Values of a changed field. */
  readonly from?: unknown;
  readonly to?: unknown;
}

export interface DiffOptions {
  /** Changes listed of one object. Default 1000; more are summed up in one. */
  readonly maxChanges?: number;
}

const DEFAULT_MAX_CHANGES = 1000;

/** Words for the tables people speak of. */
const KINDS: Readonly<Record<string, string>> = {
  Variant: "variant",
  FunctionalGroup: "functional group",
  DiagService: "service",
  SingleEcuJob: "job",
  Param: "parameter",
  DTC: "trouble code",
  StateChart: "state chart",
  ComParamRef: "com param",
  Response: "response",
  CompuScale: "scale",
};

interface Diff {
  readonly maxChanges: number;
  /** Differences of two objects, relative to them: what is shared is compared once. */
  readonly known: Map<object, Map<object, readonly Change[]>>;
}

/** Differences of two descriptions. Layers are compared where they stand; what they inherit, at the parent. */
export function diffDatabases(a: EcuData, b: EcuData, options: DiffOptions = {}): readonly Change[] {
  const diff: Diff = { maxChanges: options.maxChanges ?? DEFAULT_MAX_CHANGES, known: new Map() };
  const head = (["ecu_name", "revision", "version"] as const).flatMap((name) => diffValue(name, a[name], b[name]));
  return [
    ...head,
    ...diffNamed("layer", parentLayers(a), parentLayers(b), (x, y) => diffTable(diff, "DiagLayer", x, y)),
    ...diffLayered(diff, "variant", a.variants, b.variants),
    ...diffLayered(diff, "functional group", a.functional_groups, b.functional_groups),
    ...diffList(diff, "DTC", "dtcs", a.dtcs ?? [], b.dtcs ?? []),
  ];
}

type Layered = Variant & FunctionalGroup;

function diffLayered(diff: Diff, kind: string, a: readonly Layered[] = [], b: readonly Layered[] = []): Change[] {
  // The base variants belong together whatever their names: two ECUs, or one that was renamed.
  const base = a.find(({ is_base_variant }) => is_base_variant)?.diag_layer?.short_name;
  const named = (layered: readonly Layered[]) =>
    byKey(layered, ({ diag_layer, is_base_variant: isBase }) => (isBase && base) || (diag_layer?.short_name ?? ""));
  return diffNamed(kind, named(a), named(b), (x, y) => [
    ...diffValue("is_base_variant", x.is_base_variant, y.is_base_variant),
    ...diffValue("parents", parentsText(x.parent_refs), parentsText(y.parent_refs)),
    ...diffValue("patterns", patternsText(x), patternsText(y)),
    ...diffTable(diff, "DiagLayer", x.diag_layer ?? {}, y.diag_layer ?? {}),
  ]);
}

function parentsText(refs: readonly ParentRef[] = []): readonly string[] {
  return refs.map(({ ref_type: type, ref, not_inherited_diag_comm_short_names: without = [] }) => {
    const name = ref === undefined ? "?" : (nameOf(ref as Described) ?? "?");
    return `${type ?? "?"} ${name}${without.length === 0 ? "" : ` without ${without.join(", ")}`}`;
  });
}

/** A base variant's patterns are of another type than the schema says, so nobody follows them. */
function patternsText({ is_base_variant: isBase, variant_pattern: patterns = [] }: Variant): readonly string[] {
  if (isBase) return [];
  const text = ({ diag_service, out_param, expected_value }: MatchingParameter) =>
    `${diag_service?.diag_comm?.short_name}.${out_param?.short_name} = ${expected_value}`;
  return patterns.map(({ matching_parameter: all = [] }) => all.map(text).join(" and "));
}

/** Protocols, shared data and other layers that are only there as parents, by kind and name. */
function parentLayers({ variants = [], functional_groups: groups = [] }: EcuData): Map<string, DiagLayer> {
  const layers = new Map<string, DiagLayer>();
  const seen = new Set<object>([...variants, ...groups]);
  const collect = (refs: readonly ParentRef[] = []): void => {
    for (const { ref_type: type, ref } of refs) {
      if (ref === undefined || type === "TableDop" || seen.has(ref)) continue;
      seen.add(ref);
      const { diag_layer: layer, parent_refs } = ref as Layered;
      if (layer !== undefined) layers.set(`${type} ${layer.short_name ?? ""}`, layer);
      collect(parent_refs);
    }
  };
  for (const { parent_refs } of [...variants, ...groups]) collect(parent_refs);
  return layers;
}

function diffNamed<T>(
  kind: string,
  a: ReadonlyMap<string, T>,
  b: ReadonlyMap<string, T>,
  compare: (a: T, b: T) => readonly Change[],
): Change[] {
  const changes: Change[] = [];
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const [x, y] = [a.get(key), b.get(key)];
    if (x === undefined) changes.push({ change: "added", kind, place: key });
    else if (y === undefined) changes.push({ change: "removed", kind, place: key });
    else changes.push(...inside(key, compare(x, y)));
  }
  return changes;
}

function inside(place: string, changes: readonly Change[]): Change[] {
  return changes.map((change) => ({ ...change, place: change.place === "" ? place : `${place}/${change.place}` }));
}

function limited({ maxChanges }: Diff, changes: Change[]): Change[] {
  if (changes.length <= maxChanges) return changes;
  const more = { change: "changed", kind: `${changes.length - maxChanges} more differences`, place: "" } as const;
  return [...changes.slice(0, maxChanges), more];
}

/** Fields that hold what is compared elsewhere or tells nothing. */
const SKIPPED: ReadonlySet<string> = new Set(["parent_refs", "param_type", "dop_type", "id"]);

function diffTable(diff: Diff, table: string, a: Described, b: Described): readonly Change[] {
  if (a === b) return [];
  const known = diff.known.get(a) ?? new Map<object, readonly Change[]>();
  diff.known.set(a, known);
  const before = known.get(b);
  if (before !== undefined) return before;
  const changes = fieldsOf(table)
    .filter(({ name }) => !SKIPPED.has(name))
    .flatMap(({ name, type }) => {
      const [x, y] = [a[name], b[name]];
      if (x === undefined && y === undefined) return [];
      if (type.kind === "list") return diffAnyList(diff, type.of, name, a, b);
      const of = isUnion(type) ? sameType(a, b, name) : type.kind === "table" ? type.of : undefined;
      if (of === undefined || x === undefined || y === undefined) return diffValue(name, summary(x), summary(y));
      return inside(SILENT.has(name) ? "" : name, diffTable(diff, of, x as Described, y as Described)).map(trimmed);
    });
  const result = limited(diff, changes);
  known.set(b, result);
  return result;
}

/** Steps of a path that tell a person nothing. */
const SILENT: ReadonlySet<string> = new Set(["specific_data", "diag_comm"]);

const trimmed = (change: Change): Change => ({ ...change, place: change.place.replace(/^\//, "") });

function sameType(a: Described, b: Described, name: string): string | undefined {
  const [x, y] = [a[`${name}_type`], b[`${name}_type`]];
  return x === y ? (x as string | undefined) : undefined;
}

/** A table that is only on one side, or of another type there, is named and not shown. */
function summary(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return nameOf(value as Described) ?? "(a table)";
}

function diffValue(kind: string, from: unknown, to: unknown): Change[] {
  if (JSON.stringify(from) === JSON.stringify(to)) return [];
  return [{ change: "changed", kind, place: "", ...(from !== undefined && { from }), ...(to !== undefined && { to }) }];
}

function diffAnyList(diff: Diff, of: ElementField, name: string, a: Described, b: Described): Change[] {
  const [x, y] = [a[name] ?? [], b[name] ?? []] as [readonly Described[], readonly Described[]];
  if (of.kind === "table") return diffList(diff, of.of, name, x, y);
  if (of.kind !== "union") return diffValue(name, x, y);
  const types = (side: Described) => (side[`${name}_type`] ?? []) as readonly string[];
  if (JSON.stringify(types(a)) !== JSON.stringify(types(b))) return diffValue(name, types(a), types(b));
  return x.flatMap((element, i) => inside(`${name}[${i}]`, diffTable(diff, types(a)[i]!, element, y[i]!)));
}

/** Elements belong together by their names; those without, by their order. */
function diffList(diff: Diff, table: string, name: string, a: readonly Described[], b: readonly Described[]): Change[] {
  if (a === b) return [];
  const isNamed = [...a, ...b].every((element) => nameOf(element) !== undefined);
  const key = isNamed ? (element: Described) => nameOf(element)! : (_: Described, i: number) => `${name}[${i}]`;
  const kind = KINDS[table] ?? name;
  const moved = isNamed && table === "Param" ? orderOf(a, b) : [];
  return [...diffNamed(kind, byKey(a, key), byKey(b, key), (x, y) => diffTable(diff, table, x, y)), ...moved];
}

/** The order of parameters decides where those without a position stand. */
function orderOf(a: readonly Described[], b: readonly Described[]): Change[] {
  const names = (list: readonly Described[], other: readonly Described[]) => {
    const common = new Set(other.map(nameOf));
    return list.map(nameOf).filter((name) => common.has(name));
  };
  return diffValue("order of parameters", names(a, b), names(b, a));
}

/** A second element of one name gets a number. */
function byKey<T>(list: readonly T[], keyOf: (element: T, index: number) => string): Map<string, T> {
  const map = new Map<string, T>();
  list.forEach((element, i) => {
    const key = keyOf(element, i);
    let unique = key;
    for (let n = 2; map.has(unique); n++) unique = `${key}#${n}`;
    map.set(unique, element);
  });
  return map;
}
