import type { JsonSchema } from "../query/value-schema.ts";

/**
 * Where our schemas rightly differ from those of the CDA, applied rule by rule: byte fields are hex strings, not arrays; scaled values
 * have their physical type; defaults are typed, and absent when there is none; fields of fixed or counted length are arrays; the
 * alternatives of a multiplexer name their case. What no rule covers is returned as a path with a reason.
 */
export function schemaDifferences(ours: JsonSchema | undefined, theirs: JsonSchema | undefined, path = ""): string[] {
  if (theirs === undefined)
    return ours === undefined ? [] : Object.keys(properties(ours)).map((name) => `+${path}/${name}`);
  if (ours === undefined) return [`-${path}`];
  if (ours.type === "array") return compareArray(ours, theirs, path);
  if (theirs["any-of"] !== undefined) return compareAlternatives(ours, theirs["any-of"] as JsonSchema[], path);
  return ours.type === "object" ? compareObject(ours, theirs, path) : compareValue(ours, theirs, path);
}

function compareObject(ours: JsonSchema, theirs: JsonSchema, path: string): string[] {
  const [own, other] = [properties(ours), properties(theirs)];
  const names = new Set([...Object.keys(own), ...Object.keys(other)]);
  return [...names].flatMap((name) => {
    if (other[name] === undefined) return [`+${path}/${name}`];
    return schemaDifferences(own[name], other[name], `${path}/${name}`);
  });
}

function compareArray(ours: JsonSchema, theirs: JsonSchema, path: string): string[] {
  const isFixed = ours.minItems !== undefined && ours.minItems === ours.maxItems;
  const items = Array.isArray(theirs) ? theirs[0] : isFixed ? theirs : theirs.items;
  if (!Array.isArray(theirs) && !isFixed && theirs.type !== "array") return [`${path}: no array`];
  return schemaDifferences(ours.items as JsonSchema, items, `${path}[]`);
}

/** The CDA lists the structures of the cases without names, and no default case. */
function compareAlternatives(ours: JsonSchema, theirs: readonly JsonSchema[], path: string): string[] {
  const own = (ours.anyOf as JsonSchema[]).map((option) => {
    const { Selector, ...rest } = properties(option);
    return Selector === undefined ? option : Object.values(rest)[0];
  });
  return theirs.flatMap((option, i) => schemaDifferences(own[i], option, `${path}|${i}`));
}

function compareValue(ours: JsonSchema, theirs: JsonSchema, path: string): string[] {
  const type =
    ours.format === "hex" ? "array" : ours.format === "double" && theirs.type === "integer" ? "integer" : ours.type;
  const { format: _, enum: own, ...rest } = ours;
  const { enum: other, ...expected } = theirs;
  const shown = { ...rest, type, default: String(ours.default ?? "") };
  const texts = new Set((other ?? []) as string[]);
  const added = ((own ?? []) as string[]).filter((text) => !texts.delete(text)).map((text) => `+${path}=${text}`);
  if (texts.size > 0) return [`-${path}=${[...texts]}`];
  const sorted = (schema: object) => JSON.stringify(Object.entries(schema).sort(([a], [b]) => (a < b ? -1 : 1)));
  return sorted(shown) === sorted(expected) ? added : [`${path}: ${sorted(shown)} is not ${sorted(expected)}`];
}

function properties(schema: JsonSchema): Record<string, JsonSchema> {
  return (schema.properties ?? {}) as Record<string, JsonSchema>;
}
