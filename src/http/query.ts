/** Query parameters by their schema: names in any case, values as sent, unknown ones ignored, a known one twice refused. */
import type { TObject, TSchema } from "typebox";
import { Fault } from "#core/errors.ts";
import { problemsOf } from "#core/validate.ts";

type Kind = "boolean" | "integer" | "string";

interface Field {
  readonly name: string;
  readonly kind: Kind;
  /** The only values, as the schema spells them. */
  readonly words: readonly string[] | undefined;
}

export interface QuerySpec {
  readonly schema: TObject;
  /** By lower-case name. */
  readonly fields: ReadonlyMap<string, Field>;
  /** Some parameter must be there. */
  readonly demands: boolean;
}

const EMPTY: Readonly<Record<string, unknown>> = Object.freeze({});
const REFUSED = "Failed to deserialize query string: ";

/** Made once per route. */
export function querySpec(schema: TObject): QuerySpec {
  const fields = new Map<string, Field>();
  for (const [name, property] of Object.entries(schema.properties)) {
    fields.set(name.toLowerCase(), { name, kind: kindOf(property), words: wordsOf(property) });
  }
  const { required = [] } = schema as { required?: readonly string[] };
  return { schema, fields, demands: required.length > 0 };
}

function kindOf(schema: TSchema): Kind {
  const type = (schema as { type?: unknown }).type;
  return type === "boolean" || type === "integer" ? type : "string";
}

function wordsOf(schema: TSchema): readonly string[] | undefined {
  const { const: word, anyOf } = schema as { const?: unknown; anyOf?: readonly TSchema[] };
  if (typeof word === "string") return [word];
  const words = anyOf?.map(wordsOf);
  return words?.every((some) => some !== undefined) ? words.flat() : undefined;
}

/** Typed values of a raw query string. Fault `badRequest` names the parameter. */
export function parseQuery(spec: QuerySpec | undefined, raw: string): Readonly<Record<string, unknown>> {
  if (spec === undefined || (raw === "" && !spec.demands)) return EMPTY;
  const values: Record<string, unknown> = {};
  for (const pair of raw.split("&")) {
    const equals = pair.indexOf("=");
    const name = decode(equals === -1 ? pair : pair.slice(0, equals)).toLowerCase();
    const field = spec.fields.get(name);
    if (field === undefined) continue;
    if (field.name in values) throw new Fault("badRequest", `${REFUSED}duplicate field \`${field.name}\``);
    values[field.name] = convert(field, equals === -1 ? "" : decode(pair.slice(equals + 1)));
  }
  const problems = problemsOf(spec.schema, values);
  if (problems !== undefined) throw new Fault("badRequest", REFUSED + problems);
  return values;
}

function convert({ name, kind, words }: Field, text: string): unknown {
  if (words !== undefined) {
    const word = words.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
    if (word !== undefined) return word;
    throw new Fault("badRequest", `${REFUSED}${name}: expected ${words.map((one) => `\`${one}\``).join(" or ")}`);
  }
  if (kind === "boolean") {
    const word = text.toLowerCase();
    if (word === "true") return true;
    if (word === "false") return false;
    throw new Fault("badRequest", `${REFUSED}${name}: provided string was not \`true\` or \`false\``);
  }
  if (kind === "integer") {
    if (/^-?\d+$/.test(text)) return Number(text);
    throw new Fault("badRequest", `${REFUSED}${name}: invalid digit found in string`);
  }
  return text;
}

/** Form encoding; text that is no valid encoding stays as it is. */
function decode(text: string): string {
  const plain = text.replaceAll("+", " ");
  if (!plain.includes("%")) return plain;
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}
