/** What differs between two configurations, by key. */
import { isDeepStrictEqual } from "node:util";
import { isTree, merge, pathText, setAt, type Tree, valueAt } from "./tree.ts";
import type { Config } from "./types.ts";

/** Keys whose values differ, as text; a list or anything else that is no table is one value. */
export function changedKeys(before: Config, after: Config): string[] {
  return differences(before, after, []).sort();
}

function differences(before: unknown, after: unknown, path: readonly string[]): string[] {
  if (!isTree(before) || !isTree(after)) return isDeepStrictEqual(before, after) ? [] : [pathText(path)];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differences(before[key], after[key], [...path, key]));
}

/** `config` with the values that `other` has for these keys. */
export function withKeys(config: Config, other: Config, keys: readonly string[]): Config {
  const over: Tree = {};
  for (const key of keys) setAt(over, key.split("."), valueAt(other, key.split(".")));
  return merge(config as unknown as Tree, over) as unknown as Config;
}
