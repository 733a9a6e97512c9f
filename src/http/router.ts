/**
 * Finds a route by method and path: any case, percent-encoded segments, several base paths, fixed segments before parameters.
 * Exact raw paths are remembered, so that a path asked for again costs one look-up.
 */
import type { Method, Route } from "#sovd/route.ts";
import { paramNames } from "#sovd/route.ts";

export interface Match<T> {
  readonly value: T;
  /** Parameters in lower case, decoded. Shared between requests of the same path. */
  readonly params: Readonly<Record<string, string>>;
  /** Base path of the mount; empty for routes at the root. */
  readonly base: string;
}

/** The path exists, the method does not. */
export interface WrongMethod {
  /** Methods that do, as for `Allow`. */
  readonly allow: string;
}

interface Leaf<T> {
  readonly value: T;
  readonly names: readonly string[];
}

interface Node<T> {
  readonly fixed: Map<string, Node<T>>;
  parameter: Node<T> | undefined;
  readonly leaves: Map<string, Leaf<T>>;
}

interface Mount<T> {
  readonly base: string;
  readonly segments: readonly string[];
  readonly root: Node<T>;
}

/** Longer paths match nothing. */
const MAX_SEGMENTS = 32;
const MAX_CACHED_PATHS = 4096;
/** Longer paths are looked up each time, so that the memory stays small whatever is asked. */
const MAX_CACHED_LENGTH = 256;

function createNode<T>(): Node<T> {
  return { fixed: new Map(), parameter: undefined, leaves: new Map() };
}

export class Router<T> {
  readonly #mounts: readonly Mount<T>[];
  readonly #cache = new Map<string, Map<string, Match<T>>>();

  /** `toValue` makes what a match carries of each route. */
  constructor(routes: readonly Route[], basePaths: readonly string[], toValue: (route: Route) => T) {
    const tree = createNode<T>();
    const top = createNode<T>();
    for (const route of routes) add(route.mount === "root" ? top : tree, route, toValue(route));
    const mounts = basePaths.map((base) => ({ base, segments: segmentsOf(base) ?? [], root: tree }));
    this.#mounts = [...mounts, { base: "", segments: [], root: top }];
  }

  /** `path` as sent, without query. Total on any text. */
  match(method: string, path: string): Match<T> | WrongMethod | undefined {
    return this.#cache.get(method)?.get(path) ?? this.#find(method, path);
  }

  #find(method: string, path: string): Match<T> | WrongMethod | undefined {
    const segments = segmentsOf(path);
    if (segments === undefined) return undefined;
    const allowed = new Set<string>();
    for (const mount of this.#mounts) {
      if (!startsWith(segments, mount.segments)) continue;
      const values: string[] = [];
      const leaf = find(mount.root, segments, mount.segments.length, method, values, allowed);
      if (leaf !== undefined) return this.#remember(method, path, matchOf(leaf, values, mount.base));
    }
    return allowed.size === 0 ? undefined : { allow: allowText(allowed) };
  }

  #remember(method: string, path: string, match: Match<T>): Match<T> {
    if (path.length > MAX_CACHED_LENGTH) return match;
    let cache = this.#cache.get(method);
    if (cache === undefined || cache.size >= MAX_CACHED_PATHS) {
      cache = new Map();
      this.#cache.set(method, cache);
    }
    cache.set(path, match);
    return match;
  }
}

function add<T>(root: Node<T>, route: Route, value: T): void {
  let node = root;
  for (const segment of route.path.split("/")) {
    if (segment !== "") node = segment.startsWith("{") ? parameterOf(node) : fixedOf(node, segment.toLowerCase());
  }
  if (node.leaves.has(route.method)) throw new Error(`route declared twice: ${route.method} ${route.path}`);
  node.leaves.set(route.method, { value, names: paramNames(route.path) });
}

function parameterOf<T>(node: Node<T>): Node<T> {
  node.parameter ??= createNode();
  return node.parameter;
}

function fixedOf<T>(node: Node<T>, segment: string): Node<T> {
  let next = node.fixed.get(segment);
  if (next === undefined) {
    next = createNode();
    node.fixed.set(segment, next);
  }
  return next;
}

/** Depth-first, the fixed branch first; methods found on dead ends are noted in `allowed`. */
function find<T>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  method: Method | string,
  values: string[],
  allowed: Set<string>,
): Leaf<T> | undefined {
  const segment = segments[at];
  if (segment === undefined) {
    const leaf = node.leaves.get(method);
    if (leaf === undefined) for (const known of node.leaves.keys()) allowed.add(known);
    return leaf;
  }
  const fixed = node.fixed.get(segment);
  const found = fixed === undefined ? undefined : find(fixed, segments, at + 1, method, values, allowed);
  if (found !== undefined || node.parameter === undefined || segment === "") return found;
  values.push(segment);
  const leaf = find(node.parameter, segments, at + 1, method, values, allowed);
  if (leaf === undefined) values.pop();
  return leaf;
}

function matchOf<T>(leaf: Leaf<T>, values: readonly string[], base: string): Match<T> {
  const params: Record<string, string> = {};
  for (const [i, name] of leaf.names.entries()) params[name] = values[i]!;
  return { value: leaf.value, params, base };
}

/** HEAD works wherever GET does. */
function allowText(methods: ReadonlySet<string>): string {
  const names = [...methods].map((method) => method.toUpperCase());
  if (methods.has("get")) names.push("HEAD");
  return names.sort().join(", ");
}

function startsWith(segments: readonly string[], prefix: readonly string[]): boolean {
  for (let i = 0; i < prefix.length; i++) if (segments[i] !== prefix[i]) return false;
  return true;
}

/** Decoded lower-case segments without trailing empty ones; undefined when there are too many. */
function segmentsOf(path: string): string[] | undefined {
  let end = path.length;
  while (end > 0 && path.charCodeAt(end - 1) === SLASH) end--;
  const segments: string[] = [];
  let start = path.charCodeAt(0) === SLASH ? 1 : 0;
  while (start <= end && end > 0) {
    const next = path.indexOf("/", start);
    const stop = next === -1 || next > end ? end : next;
    if (segments.length === MAX_SEGMENTS) return undefined;
    segments.push(decodeSegment(path.slice(start, stop)));
    start = stop + 1;
  }
  return segments;
}

const SLASH = 0x2f;

/** A segment that is no valid encoding stays as it is. */
function decodeSegment(segment: string): string {
  if (!segment.includes("%")) return segment.toLowerCase();
  try {
    return decodeURIComponent(segment).toLowerCase();
  } catch {
    return segment.toLowerCase();
  }
}

/** Decoded text with these is no path; such a request is shown as it came. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_PATH = /[\x00-\x20<>`\x7f]/;

/** Path and query as answers show them: decoded, lower case, no trailing slashes. */
export function shownPath(path: string, query: string): string {
  const decoded = (segmentsOf(path) ?? [path]).join("/");
  const shown = `/${decoded}${query === "" ? "" : `?${decodeSegment(query)}`}`;
  return NO_PATH.test(shown) ? `${withoutSlashes(path)}${query === "" ? "" : `?${query}`}` : shown;
}

/** Path as links carry it: lower case, escaped where it must be, no trailing slashes. */
export function linkPath(path: string): string {
  return `/${(segmentsOf(path) ?? []).map(encodeURIComponent).join("/")}`;
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (end > 0 && path.charCodeAt(end - 1) === SLASH) end--;
  return end === 0 ? "/" : path.slice(0, end);
}
