import { type Database, each, memoised, reading, required } from "./database.ts";
import { baseVariant, type VariantScope, variantsOf } from "./layers.ts";

/** One condition of a variant pattern: what `parameter` of the answer to `service` must read. */
export interface MatchingParameter {
  readonly service: string;
  readonly parameter: string;
  readonly expected: string;
}

/** A service to send for variant detection; `table` is where its DiagService lies. */
export interface DetectionService {
  readonly shortName: string;
  readonly table: number;
}

export interface VariantPatterns {
  readonly variant: VariantScope;
  /** Any of these must hold; a pattern holds when all of its conditions do. */
  readonly patterns: readonly (readonly MatchingParameter[])[];
}

/** Everything variant detection needs, extracted once. */
export interface DetectionPlan {
  readonly services: readonly DetectionService[];
  readonly variants: readonly VariantPatterns[];
  readonly base: VariantScope | undefined;
}

/**
 * Decoded answers by service short name: parameter short name to JSON value, `undefined` for a negative response, which is an answer
 * too. An empty map means that nobody answered.
 */
export type DetectionAnswers = ReadonlyMap<string, Readonly<Record<string, unknown>> | undefined>;

/** `Offline`: nobody answered, so what was known before stays. */
export type DetectionResult =
  | { readonly state: "Detected"; readonly variant: VariantScope; readonly isFallback: boolean }
  | { readonly state: "NotDetected" }
  | { readonly state: "Offline" };

/** What became of a member of a duplicate group. */
export type DuplicateResult = DetectionResult | { readonly state: "Duplicate" };

/**
 * Patterns of the non-base variants in database order and the services they ask for, each once. A base variant's patterns are never
 * followed: the converter stores tables of another kind there.
 */
export function detectionPlan(database: Database): DetectionPlan {
  return memoised(database, "detection", () =>
    reading("Variant.variant_pattern", () => {
      const services = new Map<string, DetectionService>();
      const variants = variantsOf(database)
        .filter((variant) => !variant.isBaseVariant)
        .map((variant) => ({ variant, patterns: readPatterns(database, variant, services) }));
      return { services: [...services.values()], variants, base: baseVariant(database) };
    }),
  );
}

function readPatterns(database: Database, { index, name }: VariantScope, services: Map<string, DetectionService>) {
  const variant = required(database.root.variants(index), name);
  return each(variant.variantPatternLength(), (i) => variant.variantPattern(i)).map((pattern) =>
    each(pattern.matchingParameterLength(), (i) => pattern.matchingParameter(i)).map((matching) => {
      const service = required(matching.diagService(), `${name}: MatchingParameter.diag_service`);
      const shortName = required(service.diagComm()?.shortName(), `${name}: DiagComm.short_name`);
      if (!services.has(shortName)) services.set(shortName, { shortName, table: service.bb_pos });
      const parameter = required(matching.outParam()?.shortName(), `${name}: MatchingParameter.out_param`);
      return { service: shortName, parameter, expected: matching.expectedValue() ?? "" };
    }),
  );
}

/**
 * The first variant in database order with a pattern that holds; else the base variant when the caller falls back to it. Pure: the
 * same answers give the same result.
 */
export function evaluateVariants(
  plan: DetectionPlan,
  answers: DetectionAnswers,
  fallbackToBase: boolean,
): DetectionResult {
  if (answers.size === 0) return { state: "Offline" };
  const match = plan.variants.find(({ patterns }) => patterns.some((pattern) => holds(pattern, answers)));
  if (match !== undefined) return { state: "Detected", variant: match.variant, isFallback: false };
  if (fallbackToBase && plan.base !== undefined) return { state: "Detected", variant: plan.base, isFallback: true };
  return { state: "NotDetected" };
}

/** A pattern without conditions says nothing and matches nothing. */
function holds(pattern: readonly MatchingParameter[], answers: DetectionAnswers): boolean {
  return (
    pattern.length > 0 &&
    pattern.every(({ service, parameter, expected }) => equalsExpected(answers.get(service)?.[parameter], expected))
  );
}

/**
 * Whether a decoded JSON value is the expected text: equal as text, as numbers (`3` and `3.0`), or as byte fields
 * (`0x04 0x80` and `0480`).
 */
export function equalsExpected(value: unknown, expected: string): boolean {
  if (typeof value === "number" || typeof value === "bigint") return equalsNumber(value, expected);
  if (typeof value === "boolean") return String(value) === expected.toLowerCase();
  if (typeof value !== "string") return false;
  if (value === expected) return true;
  return BYTE_FIELD.test(value) && hexDigits(value) === hexDigits(expected);
}

function equalsNumber(value: number | bigint, expected: string): boolean {
  const text = expected.trim();
  return String(value) === text || (/^[+-]?\d/.test(text) && Number(text) === Number(value));
}

/** How decoded byte fields read. */
const BYTE_FIELD = /^0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*$/i;

/** Digits of a byte field in any notation, upper case. */
function hexDigits(text: string): string {
  return text
    .replace(/0x/gi, "")
    .replace(/[\s,]+/g, "")
    .toUpperCase();
}

/** One member of a group of databases that claim the same address. */
export interface DuplicateMember {
  readonly name: string;
  readonly plan: DetectionPlan;
}

/**
 * Decides which of several databases at one address is the ECU there, from one set of answers: the first member with a variant of its
 * own wins and the others are duplicates; a base variant proves nothing in a group.
 */
export function evaluateDuplicates(
  members: readonly DuplicateMember[],
  answers: DetectionAnswers,
): ReadonlyMap<string, DuplicateResult> {
  const results = members.map(({ name, plan }) => ({ name, result: evaluateVariants(plan, answers, false) }));
  const winner = results.find(({ result }) => result.state === "Detected");
  return new Map(
    results.map((entry) => {
      const isLoser = winner !== undefined && entry !== winner;
      return [entry.name, isLoser ? { state: "Duplicate" as const } : entry.result];
    }),
  );
}
