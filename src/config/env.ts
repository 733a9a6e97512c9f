/**
 * Keys from the environment. `CDASERVER.PORT` is the form that the CDA reads (its prefix, then dots), `CDA_SERVER__PORT` and
 * `SOVD_EDGE_SERVER__PORT` are the ones a shell can set.
 */
import { type Leaf, leavesOf, type Node } from "./node.ts";
import { fromText } from "./text.ts";
import { pathText, setAt, type Tree } from "./tree.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables with our prefixes that are not keys. */
const OTHER = new Set(["CDA_CONFIG_FILE", "CDA_VERSION", "SOVD_EDGE_CONFIG_FILE"]);
const CONFIG_FILE = ["SOVD_EDGE_CONFIG_FILE", "CDA_CONFIG_FILE"];

export interface EnvLayer {
  readonly tree: Tree;
  /** Key → variable that set it. */
  readonly names: ReadonlyMap<string, string>;
  /** Variables that look like ours and are no key. */
  readonly unknown: readonly string[];
}

/** The file that the environment names. */
export function configFileOf(env: Environment): string | undefined {
  return CONFIG_FILE.map((name) => env[name]).find((value) => value !== undefined && value !== "");
}

/** What the environment says of the schema's keys. */
export function readEnvironment(schema: Node, env: Environment): EnvLayer {
  const tree: Tree = {};
  const names = new Map<string, string>();
  const unknown: string[] = [];
  const put = (path: readonly string[], value: unknown, name: string) => {
    setAt(tree, path, value);
    names.set(pathText(path), name);
  };
  for (const { path, leaf } of leavesOf(schema)) {
    for (const [name, read] of Object.entries(leaf.env ?? {}).reverse()) {
      const value = read(env[name] ?? "");
      if (value !== undefined) put(path, value, name);
    }
  }
  for (const [name, value] of Object.entries(env)) {
    const segments = value === undefined ? undefined : segmentsOf(name);
    if (segments === undefined || value === undefined) continue;
    const found = find(schema, segments);
    if (found === undefined) unknown.push(name);
    else put(found.path, fromText(found.leaf, value), name);
  }
  return { tree, names, unknown };
}

function segmentsOf(name: string): string[] | undefined {
  if (OTHER.has(name)) return undefined;
  const own = /^(?:SOVD_EDGE_|CDA_)(.+)$/.exec(name)?.[1];
  if (own !== undefined) return own.split("__");
  const dotted = /^CDA(.*\..*)$/.exec(name)?.[1];
  return dotted?.toLowerCase().split(".");
}

/** The leaf that the segments name in any case, with its path as the schema spells it. */
function find(node: Node, segments: readonly string[]): { path: string[]; leaf: Leaf<unknown> } | undefined {
  const [first, ...rest] = segments;
  if (node.kind === "leaf") return first === undefined ? { path: [], leaf: node } : undefined;
  if (first === undefined || node.kind === "list") return undefined;
  if (node.kind === "partial") return find(node.of, segments);
  const key =
    node.kind === "map" ? first : Object.keys(node.keys).find((candidate) => candidate === first.toLowerCase());
  const next = key === undefined ? undefined : node.kind === "map" ? node.item : node.keys[key];
  const found = next === undefined ? undefined : find(next, rest);
  return found === undefined ? undefined : { path: [key as string, ...found.path], leaf: found.leaf };
}
