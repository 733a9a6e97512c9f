/** Checks raw values against the schema and fills in defaults, all problems at once. */
import { Invalid } from "./leaf.ts";
import type { Infer, Keys, ListOf, MapOf, Node, Section } from "./node.ts";
import { define, isTree, merge, type Path, type Tree } from "./tree.ts";

export interface Finding {
  readonly path: Path;
  readonly message: string;
}

export interface Findings {
  readonly problems: Finding[];
  readonly warnings: Finding[];
}

interface Walk extends Findings {
  /** Whether absent keys take their default; not so in overrides of another place. */
  readonly fill: boolean;
  readonly closed: boolean;
}

/** Values of a section. They are usable only when `findings.problems` stayed empty. */
export function resolve<K extends Keys>(schema: Section<K>, raw: Tree, findings: Findings): Infer<Section<K>> {
  const walk: Walk = { problems: findings.problems, warnings: findings.warnings, fill: true, closed: false };
  return walkKeys(schema.keys, raw, [], walk) as Infer<Section<K>>;
}

function walkNode(node: Node, raw: unknown, path: Path, walk: Walk): unknown {
  if (node.kind === "leaf") return walkLeaf(node, raw, path, walk);
  if (node.kind === "list") return walkList(node, raw, path, walk);
  if (raw === undefined && node.kind === "section" && node.optional) return undefined;
  if (raw !== undefined && !isTree(raw)) {
    walk.problems.push({ path, message: "expected a table" });
    return undefined;
  }
  const table = raw ?? {};
  if (node.kind === "map") return walkMap(node, table, path, walk);
  if (node.kind === "partial") return walkKeys(node.of.keys, table, path, { ...walk, fill: false, closed: true });
  return walkKeys(node.keys, table, path, walk);
}

function walkLeaf(node: Extract<Node, { kind: "leaf" }>, raw: unknown, path: Path, walk: Walk): unknown {
  if (raw === undefined) return node.default;
  if (node.dead !== undefined) walk.warnings.push({ path, message: `has no effect: ${node.dead}` });
  try {
    return node.parse(raw);
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    walk.problems.push({ path, message: error.message });
    return node.default;
  }
}

function walkKeys(keys: Keys, raw: Tree, path: Path, walk: Walk): Tree {
  const values: Tree = {};
  for (const [key, node] of Object.entries(keys)) {
    const value = Object.hasOwn(raw, key) ? raw[key] : undefined;
    if (value !== undefined || walk.fill) define(values, key, walkNode(node, value, [...path, key], walk));
  }
  for (const key of Object.keys(raw)) {
    if (Object.hasOwn(keys, key)) continue;
    const finding = { path: [...path, key], message: `unknown key${nearest(key, Object.keys(keys))}` };
    (walk.closed ? walk.problems : walk.warnings).push(finding);
  }
  return values;
}

function walkMap(node: MapOf, raw: Tree, path: Path, walk: Walk): Tree {
  const values: Tree = {};
  for (const [key, value] of Object.entries(merge(node.default, raw))) {
    const at = [...path, key];
    const wrong = node.checkKey(key);
    if (wrong !== undefined) walk.problems.push({ path: at, message: wrong });
    define(values, key, walkNode(node.item, value, at, walk));
  }
  return values;
}

function walkList(node: ListOf, raw: unknown, path: Path, walk: Walk): readonly unknown[] {
  if (raw === undefined) return [];
  if (!Array.isArray(raw)) {
    walk.problems.push({ path, message: "expected a list of tables" });
    return [];
  }
  return raw.map((item, index) => walkNode(node.item, item, [...path, index], walk));
}

/** A hint for a key that is one slip away from a known one. */
function nearest(key: string, known: readonly string[]): string {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, "");
  const hit = known.find((candidate) => plain(candidate) === plain(key) || editedOnce(candidate, key));
  return hit === undefined ? "" : `; did you mean ${hit}?`;
}

/** Whether one letter was added, lost or changed. */
function editedOnce(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return Math.max(a.length, b.length) - start - end <= 1;
}
