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

/** Decoded answer of a service, by its short name: parameter short name to JSON value. Absent: not answered or negative. */
export type DetectionAnswers = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

export type DetectionResult =
  | { readonly state: "Detected"; readonly variant: VariantScope; readonly isFallback: boolean }
  | { readonly state: "NotDetected" };

/** What became of the members of a duplicate group; `Offline` when nobody answered. */
export type DuplicateResult = DetectionResult | { readonly state: "Duplicate" } | { readonly state: "Offline" };

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
  const bytes = hexDigits(value);
  return bytes !== undefined && bytes === hexDigits(expected);
}

function equalsNumber(value: number | bigint, expected: string): boolean {
  const text = expected.trim();
  return String(value) === text || (/^[+-]?\d/.test(text) && Number(text) === Number(value));
}

/** Digits of a byte field in any notation, upper case; undefined when the text is none. */
function hexDigits(text: string): string | undefined {
  const digits = text.replace(/0x/gi, "").replace(/[\s,]+/g, "");
  return digits !== "" && digits.length % 2 === 0 && /^[0-9a-f]+$/i.test(digits) ? digits.toUpperCase() : undefined;
}

/** One member of a group of databases that claim the same address. */
export interface DuplicateMember {
  readonly name: string;
  readonly plan: DetectionPlan;
}

/**
 * Decides which of several databases at one address is the ECU there, from one set of answers: the first member with a variant of its
 * own wins and the others are duplicates; a base variant proves nothing in a group. `answers` undefined: nobody answered.
 */
export function evaluateDuplicates(
  members: readonly DuplicateMember[],
  answers: DetectionAnswers | undefined,
): ReadonlyMap<string, DuplicateResult> {
  const offline: DuplicateResult = { state: "Offline" };
  if (answers === undefined) return new Map(members.map(({ name }) => [name, offline]));
  const results = members.map(({ name, plan }) => ({ name, result: evaluateVariants(plan, answers, false) }));
  const winner = results.find(({ result }) => result.state === "Detected");
  const loser: DuplicateResult = winner === undefined ? { state: "NotDetected" } : { state: "Duplicate" };
  return new Map(results.map((entry) => [entry.name, entry === winner ? entry.result : loser]));
}
