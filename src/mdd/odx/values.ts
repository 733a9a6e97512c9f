/** Simple values of elements: numbers, words, names. A value that is none of its kind is an error with its place. */
import type { LongName } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import { child, label, type OdxElement, shortName, textOf } from "./element.ts";

/** Absent rather than empty: the schema's lists may be left out. */
export function unlessEmpty<T>(elements: readonly T[]): readonly T[] | undefined {
  return elements.length === 0 ? undefined : elements;
}

/** SHORT-NAME; an element without one is an error. */
export function nameOf(context: Context, element: OdxElement): string {
  const name = shortName(element);
  if (name === "") context.report.at(element, "error", `${element.tag} has no SHORT-NAME`);
  return name;
}

export function longNameOf(element: OdxElement): LongName | undefined {
  const name = child(element, "LONG-NAME");
  return name && defined<LongName>({ value: name.text, ti: name.attributes.TI });
}

/** A child that the standard demands. */
export function requiredChild(context: Context, element: OdxElement, tag: string): OdxElement | undefined {
  const found = child(element, tag);
  if (found === undefined) context.report.at(element, "error", `${label(element)} has no ${tag}`);
  return found;
}

const INTEGER = /^[+-]?\d{1,15}$/;
const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

function numberOf(context: Context, element: OdxElement, pattern: RegExp): number | undefined {
  const text = element.text.trim();
  if (pattern.test(text)) return Number(text);
  context.report.at(
    element,
    "error",
    `${element.tag}: '${text.slice(0, 40)}' is no ${pattern === INTEGER ? "integer" : "number"}`,
  );
  return undefined;
}

const UINT32_MAX = 0xffff_ffff;
const INT32_MIN = -0x8000_0000;
const INT32_MAX = 0x7fff_ffff;

function ranged(context: Context, element: OdxElement | undefined, min: number, max: number): number | undefined {
  const value = element && numberOf(context, element, INTEGER);
  if (element === undefined || value === undefined || (value >= min && value <= max)) return value;
  context.report.at(element, "error", `${element.tag}: ${value} is not within ${min} to ${max}`);
  return undefined;
}

/** A child as unsigned 32-bit integer; undefined when absent. */
export function unsignedOf(context: Context, element: OdxElement, tag: string): number | undefined {
  return ranged(context, child(element, tag), 0, UINT32_MAX);
}

/** The same for one that must be there. */
export function requiredUnsigned(context: Context, element: OdxElement, tag: string): number | undefined {
  return ranged(context, requiredChild(context, element, tag), 0, UINT32_MAX);
}

export function unsignedText(context: Context, element: OdxElement): number | undefined {
  return ranged(context, element, 0, UINT32_MAX);
}

export function signedOf(context: Context, element: OdxElement, tag: string): number | undefined {
  return ranged(context, child(element, tag), INT32_MIN, INT32_MAX);
}

const SPECIAL_FLOATS: Readonly<Record<string, number>> = {
  INF: Number.POSITIVE_INFINITY,
  "-INF": Number.NEGATIVE_INFINITY,
  NaN: Number.NaN,
};

/** Text of an element as double (xs:double). */
export function floatText(context: Context, element: OdxElement): number | undefined {
  return SPECIAL_FLOATS[element.text.trim()] ?? numberOf(context, element, FLOAT);
}

export function floatOf(context: Context, element: OdxElement, tag: string): number | undefined {
  const found = child(element, tag);
  return found && floatText(context, found);
}

/** An attribute as boolean; undefined when absent. */
export function flagOf(context: Context, element: OdxElement, name: string): boolean | undefined {
  return booleanText(context, element, name, element.attributes[name]);
}

/** A child as boolean; undefined when absent. */
export function booleanOf(context: Context, element: OdxElement, tag: string): boolean | undefined {
  return booleanText(context, element, tag, textOf(element, tag));
}

/** xs:boolean. */
function booleanText(
  context: Context,
  place: OdxElement,
  what: string,
  words: string | undefined,
): boolean | undefined {
  if (words === undefined) return undefined;
  const text = words.trim();
  if (text === "true" || text === "1") return true;
  if (text !== "false" && text !== "0")
    context.report.at(place, "error", `${what}: '${text.slice(0, 40)}' is neither true nor false`);
  return false;
}

/** A word of a closed set. */
export function wordOf<T>(
  context: Context,
  element: OdxElement,
  word: string | undefined,
  words: Readonly<Record<string, T>>,
): T | undefined {
  if (word === undefined) return undefined;
  const text = word.trim();
  if (Object.hasOwn(words, text)) return words[text];
  context.report.at(
    element,
    "error",
    `${element.tag}: '${text.slice(0, 40)}' is none of ${Object.keys(words).join(", ")}`,
  );
  return undefined;
}

/** SHORT-NAME attribute of a SNREF child. */
export function snrefOf(element: OdxElement, tag: string): string | undefined {
  return child(element, tag)?.attributes["SHORT-NAME"];
}
