/** How values of communication parameters are written: as text in a database, as TOML or JSON in a configuration. */
import { fromHex } from "#core/bytes.ts";
import { isObject, parsed, parsedObject } from "#core/json.ts";
import type { ComParamKind, ComParamValues, NackRetries, RetryPolicy } from "./com-params.ts";

/** Seconds per unit of a duration whose database value has no unit. */
export const DEFAULT_DURATION_FACTOR = 1e-6;

const TRUE_WORDS = new Set(["enabled", "true", "yes", "on", "1", "active", "open", "valid", "response expected"]);
const FALSE_WORDS = new Set([
  "disabled",
  "false",
  "no",
  "off",
  "0",
  "inactive",
  "closed",
  "invalid",
  "no response expected",
]);

type Parser<T> = (text: string, factorToSi: number) => T | undefined;

const PARSERS: { readonly [K in ComParamKind]: Parser<ComParamValues[K]> } = {
  duration: parseDuration,
  u32: (text) => parseDecimal(text, 0xffff_ffff),
  u16: (text) => parseDecimal(text, 0xffff),
  canId: (text) => (/^0x/i.test(text) ? parseHex(text, 0x1fff_ffff) : parseDecimal(text, 0x1fff_ffff)),
  bool: parseBool,
  bytes: parseBytes,
  text: (text) => text,
  retryPolicy: parseRetryPolicy,
  addressMode: (text) => pickWord(text, { functional: "Functional", physical: "Physical" }, ["Physical", "Functional"]),
  sendType: (text) => pickWord(text, { idle: "OnIdle", fixed: "FixedPeriod" }, ["FixedPeriod", "OnIdle"]),
  nackRetries: parseNackRetriesText,
};

/**
 * The value that `text` means. `factorToSi`: seconds per unit for durations, when the database names a unit. Undefined: no
 * value of this kind.
 */
export function parseComParam<K extends ComParamKind>(
  kind: K,
  text: string,
  factorToSi: number = DEFAULT_DURATION_FACTOR,
): ComParamValues[K] | undefined {
  const parse: Parser<ComParamValues[K]> = PARSERS[kind];
  return parse(text.trim(), factorToSi);
}

/**
 * The value that a configuration holds: `{ secs, nanos }` for durations, numbers, booleans, arrays and objects in their own
 * form, and every text that a database may hold. Undefined: no value of this kind.
 */
export function readComParamConfig<K extends ComParamKind>(kind: K, raw: unknown): ComParamValues[K] | undefined {
  if (typeof raw === "string") return parseComParam(kind, raw);
  return readStructured(kind, raw) as ComParamValues[K] | undefined;
}

function readStructured(kind: ComParamKind, raw: unknown): unknown {
  switch (kind) {
    case "duration":
      return isObject(raw) ? durationOf(raw.secs, raw.nanos) : undefined;
    case "bytes":
      return Array.isArray(raw) ? byteArray(raw) : undefined;
    case "nackRetries":
      return isObject(raw) ? nackRetriesOf(raw) : undefined;
    default:
      if (kind === "bool" && typeof raw === "boolean") return raw;
      return typeof raw === "number" ? parseComParam(kind, String(raw)) : undefined;
  }
}

function parseDuration(text: string, factorToSi: number): number | undefined {
  const value = parseNumber(text);
  if (value === undefined || !(value > 0) || !(factorToSi > 0)) return undefined;
  // Powers of ten do not divide evenly in binary: 1 000 000 µs must be 1000 ms, so round below a nanosecond.
  const ms = Math.round(value * factorToSi * 1e9) / 1e6;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

function durationOf(secs: unknown, nanos: unknown): number | undefined {
  if (!isCount(secs) || !(nanos === undefined || isCount(nanos))) return undefined;
  return secs * 1_000 + (nanos ?? 0) / 1e6;
}

function parseNumber(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function parseDecimal(text: string, max: number): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

function parseHex(text: string, max: number): number | undefined {
  if (!/^0x[0-9a-f]+$/i.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

function parseBool(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (TRUE_WORDS.has(word)) return true;
  return FALSE_WORDS.has(word) ? false : undefined;
}

function parseBytes(text: string): readonly number[] | undefined {
  if (text.startsWith("[")) return byteArray(parsed(text));
  const hex = fromHex(text.replace(/^0x/i, ""));
  return hex === undefined || hex.length === 0 ? undefined : [...hex];
}

function byteArray(raw: unknown): readonly number[] | undefined {
  if (!Array.isArray(raw) || raw.length === 0) return undefined;
  return raw.every((item) => isCount(item) && item <= 0xff) ? (raw as number[]) : undefined;
}

function parseRetryPolicy(text: string): RetryPolicy | undefined {
  return pickWord(
    text,
    { disabled: "Disabled", unlimited: "ContinueUnlimited", timeout: "ContinueUntilTimeout" } as const,
    ["Disabled", "ContinueUntilTimeout", "ContinueUnlimited"] as const,
  );
}

/** Databases write whole phrases ("Continue until RC78 timeout") or the number of the choice. */
function pickWord<T extends string>(
  text: string,
  words: Readonly<Record<string, T>>,
  byNumber: readonly T[],
): T | undefined {
  if (/^\d$/.test(text)) return byNumber[Number(text)];
  const lower = text.toLowerCase();
  for (const word of Object.keys(words)) if (lower.includes(word)) return words[word];
  return undefined;
}

function parseNackRetriesText(text: string): NackRetries | undefined {
  const json = parsedObject(text);
  return json === undefined ? undefined : nackRetriesOf(json);
}

function nackRetriesOf(raw: Readonly<Record<string, unknown>>): NackRetries | undefined {
  const retries: Record<string, number> = {};
  for (const [key, count] of Object.entries(raw)) {
    const code = parseHex(key, 0xff) ?? parseDecimal(key, 0xff);
    const times = typeof count === "string" ? parseDecimal(count, 0xffff_ffff) : count;
    if (code === undefined || !isCount(times)) return undefined;
    retries[code] = times;
  }
  return retries;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
