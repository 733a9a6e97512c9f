/** Raw configuration values as they come from a file, the environment or the command line, before the schema has looked at them. */
import { isObject } from "#core/json.ts";

export type Tree = { [key: string]: unknown };
export type Path = readonly (string | number)[];

export function isTree(value: unknown): value is Tree {
  return isObject(value) && !(value instanceof Date);
}

/** A key as text: `can.ecu_mappings[0].ecu_name`, quoted where TOML wants it. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const key = keyText(part);
    return text === "" ? key : `${text}.${key}`;
  }, "");
}

/** One key as TOML writes it. */
export function keyText(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

/** The value at a path; undefined when there is none. */
export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Tree)[part];
  }
  return value;
}

/** Puts a value at a path, making the tables on the way. */
export function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  let table = tree;
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(table, key) ? table[key] : undefined;
    table = isTree(next) ? next : define(table, key, {});
  }
  define(table, path.at(-1) as string, value);
}

/** Tables merge, everything else is replaced by what comes later. */
export function merge(under: Tree, over: Tree): Tree {
  const merged: Tree = {};
  for (const [key, value] of Object.entries(under)) define(merged, key, value);
  for (const [key, value] of Object.entries(over)) {
    const before = Object.hasOwn(merged, key) ? merged[key] : undefined;
    define(merged, key, isTree(before) && isTree(value) ? merge(before, value) : value);
  }
  return merged;
}

/** An own property whatever its name: `__proto__` from a file must not reach a prototype. */
export function define<T>(table: Tree, key: string, value: T): T {
  Object.defineProperty(table, key, { value, writable: true, enumerable: true, configurable: true });
  return value;
}
