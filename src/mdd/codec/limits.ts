/** LIMITs and constraints: intervals of numbers, texts or byte fields (ISO 22901-1 §7.3.6.6, §7.3.6.7). */

/** A value that limits can be asked about. */
export type Comparable = number | bigint | string | Uint8Array;

/** One end of an interval. Limit values are text in the database; each reading of it is kept. */
export interface Bound {
  /** NaN: not a number, so it holds for none. */
  readonly number: number | bigint;
  readonly text: string;
  /** Undefined: not the limit of a byte field. */
  readonly bytes: Uint8Array | undefined;
  readonly isOpen: boolean;
}

/** An absent end is unbounded. */
export interface Interval {
  readonly lower: Bound | undefined;
  readonly upper: Bound | undefined;
}

export interface Constraint extends Interval {
  readonly scales: readonly (Interval & { readonly isValid: boolean; readonly label: string })[];
}

export const UNBOUNDED: Interval = { lower: undefined, upper: undefined };

/** The bound of a limit's text, for values that are byte fields or not; empty text reads as 0. */
export function boundOf(text: string, isOpen: boolean, isByteField: boolean): Bound {
  return { number: numberOf(text), text, bytes: isByteField ? limitBytes(text) : undefined, isOpen };
}

/** A bound at a number. */
export function numberBound(number: number, isOpen = false): Bound {
  return { number, text: String(number), bytes: undefined, isOpen };
}

function numberOf(text: string): number | bigint {
  const number = Number(text.trim());
  return /^[+-]?\d{16,}$/.test(text.trim()) ? BigInt(text.trim()) : number;
}

/** Byte fields in limits: tokens of hex digits, each with or without 0x. */
function limitBytes(text: string): Uint8Array | undefined {
  const digits = text
    .split(/[\s,]+/)
    .map((token) => token.replace(/^0x/i, ""))
    .map((token) => (token.length % 2 === 1 ? `0${token}` : token))
    .join("");
  if (/[^0-9a-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** True when `value` lies in the interval. Texts know equality only; byte fields compare as big-endian numbers, ends inclusive. */
export function isWithin(interval: Interval, value: Comparable): boolean {
  if (typeof value === "string") return isNamed(interval, value);
  if (typeof value === "object") return isWithinBytes(interval, value);
  const { lower, upper } = interval;
  if (lower !== undefined && !(lower.isOpen ? value > lower.number : value >= lower.number)) return false;
  return upper === undefined || (upper.isOpen ? value < upper.number : value <= upper.number);
}

function isNamed({ lower, upper }: Interval, value: string): boolean {
  const bound = lower ?? upper;
  return bound === undefined || bound.text === value;
}

function isWithinBytes({ lower, upper }: Interval, value: Uint8Array): boolean {
  if (lower !== undefined && (lower.bytes === undefined || compareBytes(value, lower.bytes) < 0)) return false;
  return upper === undefined || (upper.bytes !== undefined && compareBytes(value, upper.bytes) <= 0);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i - length + a.length] ?? 0) - (b[i - length + b.length] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Why a value breaks a constraint, or empty. A number is never out of bounds for being NaN. */
export function constraintProblem(constraint: Constraint, value: Comparable): string {
  if (typeof value === "string" || Number.isNaN(value)) return "";
  if (!isWithin(constraint, value)) return "value lies outside its limits";
  for (const scale of constraint.scales)
    if (!scale.isValid && isWithin(scale, value)) return scale.label === "" ? "value is not valid" : scale.label;
  return "";
}
