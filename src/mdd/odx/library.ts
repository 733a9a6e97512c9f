/** All documents of a set, and how one finds another by name. */
import { child, list, type OdxElement, type Scope, shortName } from "./element.ts";
import type { Report } from "./report.ts";

export interface Library {
  readonly containers: readonly Scope[];
  readonly layers: readonly Scope[];
  readonly containerByName: ReadonlyMap<string, Scope>;
  readonly layerByName: ReadonlyMap<string, Scope>;
  /** Objects that short names may mean, per layer, made at first use. */
  readonly named: Map<Scope, ReadonlyMap<string, OdxElement>>;
}

/** Joins documents. A name that stands twice means the first one; the report tells. */
export function createLibrary(containers: readonly Scope[], report: Report): Library {
  const layers = containers.flatMap((container) => container.layers);
  return {
    containers,
    layers,
    containerByName: byName(containers, report),
    layerByName: byName(layers, report),
    named: new Map(),
  };
}

function byName(scopes: readonly Scope[], report: Report): Map<string, Scope> {
  const named = new Map<string, Scope>();
  for (const scope of scopes) {
    if (!named.has(scope.name)) named.set(scope.name, scope);
    else report.at(scope.root, "warning", `${scope.root.tag} ${scope.name} appears twice, the first one counts`);
  }
  return named;
}

/** What a short name may mean: ODX keeps these apart by the kind of reference. */
export type NameKind = "dop" | "table" | "diag-comm" | "global-negative";

/** Object of a layer's own by short name. */
export function ownNamed(library: Library, layer: Scope, kind: NameKind, name: string): OdxElement | undefined {
  let names = library.named.get(layer);
  if (names === undefined) {
    names = indexNames(layer.root);
    library.named.set(layer, names);
  }
  return names.get(`${kind} ${name}`);
}

function indexNames(layer: OdxElement): Map<string, OdxElement> {
  const names = new Map<string, OdxElement>();
  const add = (kind: NameKind, element: OdxElement) => {
    const key = `${kind} ${shortName(element)}`;
    if (!names.has(key)) names.set(key, element);
  };
  // a COMPARAM-SUBSET has its data object properties without a dictionary around them
  for (const group of [
    ...(child(layer, "DIAG-DATA-DICTIONARY-SPEC")?.children ?? []),
    ...list(layer, "DATA-OBJECT-PROPS"),
  ]) {
    if (group.tag === "DATA-OBJECT-PROP") add("dop", group);
    else for (const element of group.children) add(group.tag === "TABLES" ? "table" : "dop", element);
  }
  for (const element of list(layer, "DIAG-COMMS", "DIAG-SERVICE", "SINGLE-ECU-JOB")) add("diag-comm", element);
  for (const element of list(layer, "GLOBAL-NEG-RESPONSES", "GLOBAL-NEG-RESPONSE")) add("global-negative", element);
  return names;
}
