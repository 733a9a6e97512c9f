/** Walks the description of a database, each object once however often it is shared. */
import { type ElementField, fieldsOf, isUnion, ROOT_TABLE } from "../schema.ts";

type Described = Readonly<Record<string, unknown>>;

/** Called for each table of the description once, with the first path that leads to it. */
export type Visit = (table: string, described: Described, path: string) => void;

/** Visits `described`, a `table`, and all that it holds, parents first. */
export function walkDescription(described: object, visit: Visit, table: string = ROOT_TABLE): void {
  walk(table, described as Described, "", visit, new Set());
}

function walk(table: string, described: Described, path: string, visit: Visit, seen: Set<object>): void {
  if (seen.has(described)) return;
  seen.add(described);
  visit(table, described, path === "" ? table : path);
  for (const { name, type } of fieldsOf(table)) {
    const value = described[name];
    if (value === undefined) continue;
    const here = path === "" ? name : `${path}.${name}`;
    if (type.kind !== "list") {
      const of = isUnion(type) ? (described[`${name}_type`] as string) : tableOf(type);
      if (of !== undefined) walk(of, value as Described, here, visit, seen);
      continue;
    }
    const kinds = described[`${name}_type`] as readonly string[] | undefined;
    const common = tableOf(type.of);
    if (kinds === undefined && common === undefined) continue;
    (value as readonly Described[]).forEach((element, i) => {
      const of = kinds?.[i] ?? common;
      if (of !== undefined) walk(of, element, `${here}[${nameOf(element) ?? i}]`, visit, seen);
    });
  }
}

function tableOf(type: ElementField): string | undefined {
  return type.kind === "table" ? type.of : undefined;
}

/** The name by which a description's object is known: its own, or that of what it stands for. */
export function nameOf(described: Described): string | undefined {
  for (const own of [described, described.diag_comm, described.diag_layer, described.com_param] as (
    | Described
    | undefined
  )[])
    if (typeof own?.short_name === "string") return own.short_name;
  return undefined;
}
