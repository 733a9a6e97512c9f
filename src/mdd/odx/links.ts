/** ODXLINKs and short name references (ISO 22901-1 §7.3.13). What cannot be found is an error with its place, unless the caller says less. */
import type { Context } from "./context.ts";
import { child, label, list, type OdxElement, type Scope, shortName } from "./element.ts";
import { type NameKind, ownNamed } from "./library.ts";
import { faultAt, type Severity } from "./report.ts";

/** The element that `ref` (with ID-REF) leads to, if it has one of `tags`. */
export function resolve(
  context: Context,
  ref: OdxElement,
  tags: readonly string[],
  unresolved: Severity = "error",
): OdxElement | undefined {
  const found = follow(context, ref);
  if (found === undefined) {
    const { DOCREF } = ref.attributes;
    const where = DOCREF === undefined ? "" : ` in ${DOCREF}`;
    context.report.at(ref, unresolved, `${ref.tag}: nothing has ID ${ref.attributes["ID-REF"]}${where}`);
  } else if (!tags.includes(found.tag)) {
    context.report.at(
      ref,
      unresolved,
      `${ref.tag} leads to ${found.tag} ${shortName(found)}, not to ${tags.join(" or ")}`,
    );
    return undefined;
  }
  return found;
}

/** The same for a child `tag` of `element`; undefined without a word when there is none. */
export function resolveChild(
  context: Context,
  element: OdxElement,
  tag: string,
  tags: readonly string[],
): OdxElement | undefined {
  const ref = child(element, tag);
  return ref && resolve(context, ref, tags);
}

/** Every reference of a list that leads somewhere. */
export function resolveAll(context: Context, refs: readonly OdxElement[], tags: readonly string[]): OdxElement[] {
  return refs.flatMap((ref) => resolve(context, ref, tags) ?? []);
}

function follow(context: Context, ref: OdxElement): OdxElement | undefined {
  const id = ref.attributes["ID-REF"] ?? "";
  const { DOCREF: document, DOCTYPE: type } = ref.attributes;
  if (document === undefined) return near(context, ref.scope, id);
  const { containerByName, layerByName } = context.library;
  const layer = layerByName.get(document);
  const container = containerByName.get(document);
  const first = type === "LAYER" ? layer : container;
  const second = type === "LAYER" ? container : layer;
  return (first && inDocument(first, id)) ?? (second && inDocument(second, id));
}

/** ID of a container or of any layer in it; of a layer, else of the rest of its container. */
function inDocument(scope: Scope, id: string): OdxElement | undefined {
  const own = scope.ids.get(id);
  if (own !== undefined) return own;
  if (scope.container !== scope) return inDocument(scope.container, id);
  for (const layer of scope.layers) {
    const found = layer.ids.get(id);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A link without DOCREF: this layer, its file, then what the layer imports. */
function near(context: Context, scope: Scope, id: string): OdxElement | undefined {
  const local = inDocument(scope, id);
  if (local !== undefined || scope.container === scope) return local;
  for (const imported of importsOf(context, scope)) {
    const found = imported.ids.get(id);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Layers that a layer's IMPORT-REFS name. */
export function importsOf(context: Context, layer: Scope): readonly Scope[] {
  return linkedLayers(context, context.imports, layer, list(layer.root, "IMPORT-REFS", "IMPORT-REF"), [
    "ECU-SHARED-DATA",
  ]);
}

export const PARENT_TAGS: readonly string[] = [
  "PROTOCOL",
  "FUNCTIONAL-GROUP",
  "ECU-SHARED-DATA",
  "BASE-VARIANT",
  "ECU-VARIANT",
];

/** Layers that a layer inherits from, nearest kind first (ISO 22901-1 §7.3.2.4: variant, group, protocol, shared data). */
export function parentsOf(context: Context, layer: Scope): readonly Scope[] {
  const order = ["BASE-VARIANT", "FUNCTIONAL-GROUP", "PROTOCOL", "ECU-SHARED-DATA"];
  const refs = list(layer.root, "PARENT-REFS", "PARENT-REF");
  const parents = linkedLayers(context, context.parents, layer, refs, PARENT_TAGS);
  return [...parents].sort((a, b) => order.indexOf(a.root.tag) - order.indexOf(b.root.tag));
}

/** @throws Fault invalidData when a layer is inherited over more steps than the limit */
export function checkInheritance({ limits }: Context, layer: Scope, depth: number): void {
  if (depth > limits.maxNesting)
    throw faultAt(layer.root, `${label(layer.root)} is inherited over more than ${limits.maxNesting} layers`);
}

/** Links from layer to layer are followed once, because following them may need them. */
function linkedLayers(
  context: Context,
  known: Map<Scope, readonly Scope[]>,
  layer: Scope,
  refs: readonly OdxElement[],
  tags: readonly string[],
): readonly Scope[] {
  const before = known.get(layer);
  if (before !== undefined) return before;
  known.set(layer, []);
  const layers = resolveAll(context, refs, tags).map((root) => root.scope);
  known.set(layer, layers);
  return layers;
}

/**
 * The object that a short name means where `layer` stands: its own, an imported one, an inherited one; at last any layer of the same
 * file, which is how converted databases came to be before.
 */
export function findNamed(context: Context, layer: Scope, kind: NameKind, name: string): OdxElement | undefined {
  const seen = new Set<Scope>();
  const inherited = search(context, layer, kind, name, seen);
  if (inherited !== undefined) return inherited;
  for (const other of layer.container.layers) {
    const found = seen.has(other) ? undefined : ownNamed(context.library, other, kind, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function search(
  context: Context,
  layer: Scope,
  kind: NameKind,
  name: string,
  seen: Set<Scope>,
  depth = 0,
): OdxElement | undefined {
  if (seen.has(layer)) return undefined;
  seen.add(layer);
  checkInheritance(context, layer, depth);
  const own = ownNamed(context.library, layer, kind, name);
  if (own !== undefined) return own;
  for (const imported of importsOf(context, layer)) {
    const found = ownNamed(context.library, imported, kind, name);
    if (found !== undefined) return found;
  }
  for (const parent of parentsOf(context, layer)) {
    if (isExcluded(context, layer, parent, kind, name)) continue;
    const found = search(context, parent, kind, name, seen, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** NOT-INHERITED lists of a PARENT-REF by the kind of name they exclude. */
export const NOT_INHERITED: Readonly<Record<NameKind, readonly [wrapper: string, entry: string]>> = {
  "diag-comm": ["NOT-INHERITED-DIAG-COMMS", "NOT-INHERITED-DIAG-COMM"],
  dop: ["NOT-INHERITED-DOPS", "NOT-INHERITED-DOP"],
  table: ["NOT-INHERITED-TABLES", "NOT-INHERITED-TABLE"],
  "global-negative": ["NOT-INHERITED-GLOBAL-NEG-RESPONSES", "NOT-INHERITED-GLOBAL-NEG-RESPONSE"],
};

/** Names that a PARENT-REF keeps away. */
export function notInherited(parentRef: OdxElement, [wrapper, entry]: readonly [string, string]): string[] {
  return list(parentRef, wrapper, entry).map((one) => one.children[0]?.attributes["SHORT-NAME"] ?? "");
}

/** Whether a layer's link to this parent keeps the name away. */
export function isExcluded(context: Context, layer: Scope, parent: Scope, kind: NameKind, name: string): boolean {
  return list(layer.root, "PARENT-REFS", "PARENT-REF").some(
    (ref) => follow(context, ref) === parent.root && notInherited(ref, NOT_INHERITED[kind]).includes(name),
  );
}

/** What a SNREF child of `element` means; nothing of that name is an error. Undefined without a word when there is no such child. */
export function resolveName(
  context: Context,
  element: OdxElement,
  tag: string,
  kind: NameKind,
): OdxElement | undefined {
  const ref = child(element, tag);
  if (ref === undefined) return undefined;
  const name = ref.attributes["SHORT-NAME"] ?? "";
  const found = findNamed(context, ref.scope, kind, name);
  if (found === undefined) context.report.at(ref, "error", `${tag}: nothing here is named ${name}`);
  return found;
}
