/** The kinds of values a key can have. Each reads a TOML value and says in words what it wanted instead. */
import { isObject } from "#core/json.ts";
import type { Leaf, LeafOptions } from "./node.ts";

/** A value that a leaf refuses; the message says what was expected. */
export class Invalid extends Error {}

function refuse(expected: string, value: unknown): never {
  const shown = typeof value === "object" ? "a table or list" : JSON.stringify(String(value));
  throw new Invalid(`expected ${expected}, got ${shown}`);
}

interface Kind<T> {
  readonly type: string;
  readonly parse: (value: unknown) => T;
  readonly format?: (value: T) => unknown;
}

function leaf<T>(kind: Kind<T>, value: T, doc: string, options: LeafOptions = {}): Leaf<T> {
  return { kind: "leaf", ...kind, default: value, doc, optional: false, ...options };
}

/** The same leaf without a default: absent means undefined. */
export function optional<T>(of: Leaf<T>): Leaf<T | undefined> {
  const { format } = of;
  return {
    ...of,
    default: undefined,
    optional: true,
    ...(format === undefined
      ? {}
      : { format: (value: T | undefined) => (value === undefined ? value : format(value)) }),
  } as Leaf<T | undefined>;
}

const TEXT: Kind<string> = {
  type: "text",
  parse: (value) => (typeof value === "string" ? value : refuse("text", value)),
};
export const text = (value: string, doc: string, options?: LeafOptions) => leaf(TEXT, value, doc, options);
export const path = (value: string, doc: string, options?: LeafOptions) =>
  leaf({ ...TEXT, type: "path" }, value, doc, options);

/** Text that has to match. `type` names the form for the documentation and the error. */
export const pattern = (type: string, form: RegExp, value: string, doc: string, options?: LeafOptions) =>
  leaf(
    { type, parse: (raw) => (typeof raw === "string" && form.test(raw) ? raw : refuse(type, raw)) },
    value,
    doc,
    options,
  );

const BOOL: Kind<boolean> = {
  type: "true or false",
  parse: (value) => (typeof value === "boolean" ? value : refuse("true or false", value)),
};
export const bool = (value: boolean, doc: string, options?: LeafOptions) => leaf(BOOL, value, doc, options);

const TRUE_WORDS = new Set(["enabled", "true", "yes", "on", "1", "active", "open", "valid"]);
const FALSE_WORDS = new Set(["disabled", "false", "no", "off", "0", "inactive", "closed", "invalid"]);

/** A boolean that the file spells as a word, as communication parameters do. */
export const boolWord = (value: boolean, doc: string, options?: LeafOptions) =>
  leaf<boolean>(
    {
      type: "text that means true or false",
      parse: (raw) => {
        const word = String(raw).toLowerCase();
        if (TRUE_WORDS.has(word)) return true;
        return FALSE_WORDS.has(word) ? false : refuse("a word for true or false", raw);
      },
      format: String,
    },
    value,
    doc,
    options,
  );

/** Whole number within `min` and `max`; larger 64-bit values of the file are cut to the largest exact one. */
function integer(type: string, min: number, max: number): Kind<number> {
  return {
    type,
    parse: (value) => {
      const number = typeof value === "bigint" ? toSafe(value) : value;
      if (typeof number !== "number" || !Number.isInteger(number) || number < min || number > max) {
        return refuse(
          max === Number.MAX_SAFE_INTEGER ? `an integer from ${min}` : `an integer ${min} to ${max}`,
          value,
        );
      }
      return number;
    },
  };
}

function toSafe(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

const U64 = integer("integer", 0, Number.MAX_SAFE_INTEGER);
export const u64 = (value: number, doc: string, options?: LeafOptions) => leaf(U64, value, doc, options);
export const u32 = (value: number, doc: string, options?: LeafOptions) =>
  leaf(integer("integer, 32 bit", 0, 0xffff_ffff), value, doc, options);
export const u16 = (value: number, doc: string, options?: LeafOptions) =>
  leaf(integer("integer, 16 bit", 0, 0xffff), value, doc, options);
/** Integer from `min` on, for what makes no sense below. */
export const atLeast = (min: number, value: number, doc: string, options?: LeafOptions) =>
  leaf(integer(`integer ≥ ${min}`, min, Number.MAX_SAFE_INTEGER), value, doc, options);

/** One of some words or numbers, exact. */
export const choice = <const T extends string | number>(
  words: readonly T[],
  value: NoInfer<T>,
  doc: string,
  options?: LeafOptions,
) =>
  leaf<T>(
    {
      type: words.join(" | "),
      parse: (raw) => (words.includes(raw as T) ? (raw as T) : refuse(`one of ${words.join(", ")}`, raw)),
    },
    value as T,
    doc,
    options,
  );

/** One of some words in any case, returned as the schema spells it. */
export const word = <const T extends string>(
  words: readonly T[],
  value: NoInfer<T>,
  doc: string,
  options?: LeafOptions,
) =>
  leaf<T>(
    {
      type: words.join(" | "),
      parse: (raw) =>
        words.find((candidate) => candidate.toLowerCase() === String(raw).toLowerCase()) ??
        refuse(`one of ${words.join(", ")}`, raw),
    },
    value as T,
    doc,
    options,
  );

function listKind<T>(type: string, item: Kind<T>): Kind<readonly T[]> {
  return {
    type,
    parse: (value) => (Array.isArray(value) ? value.map(item.parse) : refuse(`a ${type}`, value)),
  };
}

export const textList = (value: readonly string[], doc: string, options?: LeafOptions) =>
  leaf(listKind("list of text", TEXT), value, doc, options);
export const choiceList = <const T extends string>(
  words: readonly T[],
  value: readonly NoInfer<T>[],
  doc: string,
  options?: LeafOptions,
) => leaf<readonly T[]>(listKind(`list of ${words.join(", ")}`, choice(words, words[0] as T, "")), value, doc, options);
export const bytes = (value: readonly number[], doc: string, options?: LeafOptions) =>
  leaf(listKind("list of bytes", integer("byte", 0, 0xff)), value, doc, options);

/** A time as the CDA writes it in communication parameters. */
export interface Duration {
  readonly secs: number;
  readonly nanos: number;
}

export const duration = (value: Duration, doc: string, options?: LeafOptions) =>
  leaf<Duration>(
    {
      type: "{ secs, nanos }",
      parse: (raw) => {
        if (!isObject(raw) || Object.keys(raw).some((key) => key !== "secs" && key !== "nanos")) {
          return refuse("a table { secs, nanos }", raw);
        }
        return { secs: U64.parse(raw.secs), nanos: integer("nanoseconds", 0, 999_999_999).parse(raw.nanos) };
      },
    },
    value,
    doc,
    options,
  );

/** Milliseconds of a duration of the file. */
export function durationMs({ secs, nanos }: Duration): number {
  return secs * 1_000 + nanos / 1_000_000;
}

/** A table of any keys whose values are all of one sort; `check` refuses a wrong entry. */
export const record = <T>(
  type: string,
  check: (key: string, value: unknown) => asserts value is T,
  value: Readonly<Record<string, T>>,
  doc: string,
  options?: LeafOptions,
) =>
  leaf<Readonly<Record<string, T>>>(
    {
      type,
      parse: (raw) => {
        if (!isObject(raw)) return refuse("a table", raw);
        const entries = Object.entries(raw).map(([key, item]): [string, T] => {
          check(key, item);
          return [key, item];
        });
        return Object.fromEntries(entries);
      },
    },
    value,
    doc,
    options,
  );

/** Any shape that fits no other kind. */
export const custom = <T>(kind: Kind<T>, value: T, doc: string, options?: LeafOptions) =>
  leaf(kind, value, doc, options);

export { refuse };
