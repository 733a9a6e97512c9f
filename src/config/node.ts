/**
 * What a configuration schema is made of. A schema is plain data: a tree of sections whose leaves know their default, their check
 * and their text. Everything else (types, loading, flags, sample, documentation) is read off that tree.
 */

/** Why a key is said to do nothing, so that a user who sets it is told. */
type DeadReason = string;

export interface LeafOptions {
  /** commander's flag syntax: `-d, --databases-path <folder>`. */
  readonly flag?: string;
  /** Environment variables that set this key beside the systematic names, with what reads their text; the first one set wins. */
  readonly env?: Readonly<Record<string, (text: string) => string | undefined>>;
  readonly dead?: DeadReason;
  /** Never printed by `config print`. */
  readonly secret?: true;
  /** Value shown in the sample where the key has no default. */
  readonly example?: unknown;
}

export interface Leaf<T> extends LeafOptions {
  readonly kind: "leaf";
  /** What the documentation calls the type. */
  readonly type: string;
  readonly default: T;
  readonly doc: string;
  /** The key may stay absent; the value is then undefined. */
  readonly optional: boolean;
  /** Typed value of a TOML value; throws `Invalid` with the reason. */
  readonly parse: (value: unknown) => T;
  /** TOML value of a typed value, where they differ. */
  readonly format?: (value: T) => unknown;
}

/** A table with named keys. */
export interface Section<K extends Keys = Keys> {
  readonly kind: "section";
  readonly doc: string;
  readonly keys: K;
  /** Absent unless the user writes it. */
  readonly optional: false;
  /** Written on one line: `key = { … }`. */
  readonly inline: boolean;
}
export interface OptionalSection<K extends Keys = Keys> extends Omit<Section<K>, "optional"> {
  readonly optional: true;
}

/** A table whose keys the user names. User entries are added to the default ones. */
export interface MapOf<N extends Node = Node> {
  readonly kind: "map";
  readonly doc: string;
  readonly keyName: string;
  readonly item: N;
  readonly default: Readonly<Record<string, unknown>>;
  readonly checkKey: (key: string) => string | undefined;
}

/** A list of tables. */
export interface ListOf<K extends Keys = Keys> {
  readonly kind: "list";
  readonly doc: string;
  readonly item: Section<K>;
}

/** The keys of a section, none of them required and without defaults: what overrides another place. */
export interface PartialOf<K extends Keys = Keys> {
  readonly kind: "partial";
  readonly doc: string;
  readonly of: Section<K>;
}

// biome-ignore lint/suspicious/noExplicitAny: a leaf is invariant in its value, and the tree holds leaves of every type
export type Node = Leaf<any> | Section | OptionalSection | MapOf | ListOf | PartialOf;
export type Keys = Readonly<Record<string, Node>>;

type InferKeys<K extends Keys> = { readonly [P in keyof K]: Infer<K[P]> };

/** Static type of the values that a node describes. */
export type Infer<N> =
  N extends Leaf<infer T>
    ? T
    : N extends OptionalSection<infer K>
      ? InferKeys<K> | undefined
      : N extends Section<infer K>
        ? InferKeys<K>
        : N extends MapOf<infer I>
          ? Readonly<Record<string, Infer<I>>>
          : N extends ListOf<infer K>
            ? readonly InferKeys<K>[]
            : N extends PartialOf<infer K>
              ? InferPartial<K>
              : never;

type InferPartial<K extends Keys> = {
  readonly [P in keyof K]?: K[P] extends Section<infer S> ? InferPartial<S> : Infer<K[P]>;
};

export function section<const K extends Keys>(doc: string, keys: K): Section<K> {
  return { kind: "section", doc, keys, optional: false, inline: false };
}

export function inlineSection<const K extends Keys>(doc: string, keys: K): Section<K> {
  return { kind: "section", doc, keys, optional: false, inline: true };
}

export function optionalSection<const K extends Keys>(doc: string, keys: K): OptionalSection<K> {
  return { kind: "section", doc, keys, optional: true, inline: false };
}

export function mapOf<N extends Node>(
  keyName: string,
  doc: string,
  item: N,
  options: { default?: Readonly<Record<string, unknown>>; checkKey?: (key: string) => string | undefined } = {},
): MapOf<N> {
  return {
    kind: "map",
    doc,
    keyName,
    item,
    default: options.default ?? {},
    checkKey: options.checkKey ?? (() => undefined),
  };
}

export function listOf<K extends Keys>(doc: string, item: Section<K>): ListOf<K> {
  return { kind: "list", doc, item };
}

/** Overrides of a section; a key that it does not know makes the file invalid. */
export function partialOf<K extends Keys>(doc: string, of: Section<K>): PartialOf<K> {
  return { kind: "partial", doc, of };
}

/** A leaf with the path to it, maps and lists left out: they have no keys of their own. */
export interface PlacedLeaf {
  readonly path: readonly string[];
  readonly leaf: Leaf<unknown>;
}

/** All leaves that have one fixed path. */
export function leavesOf(node: Node, path: readonly string[] = []): PlacedLeaf[] {
  if (node.kind === "leaf") return [{ path, leaf: node }];
  if (node.kind !== "section") return [];
  return Object.entries(node.keys).flatMap(([key, child]) => leavesOf(child, [...path, key]));
}
