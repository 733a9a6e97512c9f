/** Compu methods, both ways (ISO 22901-1 §7.3.6.6): internal values, as coded, to physical ones, as shown, and back. */
import type { CodecErrorKind } from "./errors.ts";
import { type Comparable, type Interval, isWithin } from "./limits.ts";
import { Base } from "./plan.ts";

export const Category = {
  IDENTICAL: 0,
  LINEAR: 1,
  SCALE_LINEAR: 2,
  TEXT_TABLE: 3,
  COMPU_CODE: 4,
  TAB_INTP: 5,
  RAT_FUNC: 6,
  SCALE_RAT_FUNC: 7,
} as const;
export type Category = (typeof Category)[keyof typeof Category];

/** A text of the database and its JSON bytes. */
export interface ConstText {
  readonly text: string;
  readonly json: Uint8Array;
}

export interface Scale {
  /** Of the value that goes in. */
  readonly limits: Interval;
  /** LINEAR kinds: the limits after conversion. */
  readonly physicalLimits: Interval;
  /** Coefficients in ascending powers. */
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
  readonly text: ConstText | undefined;
  readonly constant: number | undefined;
  /** COMPU-INVERSE-VALUE. */
  readonly inverse: number | undefined;
}

export interface Compu {
  readonly category: Category;
  readonly scales: readonly Scale[];
  /** COMPU-PHYS-TO-INTERNAL of rational functions. */
  readonly inverseScales: readonly Scale[];
  /** TEXT_TABLE with point scales only: scale by internal value. */
  readonly points: ReadonlyMap<number, Scale> | undefined;
  /** TEXT_TABLE: internal value by text. */
  readonly byText: ReadonlyMap<string, number>;
  /** COMPU-DEFAULT-VALUE. */
  readonly defaultText: ConstText | undefined;
  readonly defaultNumber: number | undefined;
}

export const PhysKind = { NUMBER: 0, TEXT: 1, RAW: 2, NONE: 3 } as const;
export type PhysKind = (typeof PhysKind)[keyof typeof PhysKind];

/** A physical value; one object is used again and again. */
export interface Phys {
  kind: PhysKind;
  number: number;
  text: ConstText | undefined;
  /** Why the value is raw or missing, or empty. */
  problem: string;
}

/** Stops an encoding with an error at the current parameter. */
export interface Failing {
  fail(kind: CodecErrorKind, text: string): never;
}

const NO_SCALE = "no scale of the compu method holds the value";

/** Physical value of an internal one, into `out`. Not for IDENTICAL. */
export function toPhysical(compu: Compu, value: Comparable, physical: Base, out: Phys): Phys {
  out.problem = "";
  if (compu.category === Category.COMPU_CODE) return raw(out, "COMPU-CODE is not supported");
  if (compu.category === Category.TEXT_TABLE) return textOf(compu, value, out);
  if (typeof value === "string" || typeof value === "object") return raw(out, "compu method needs a number");
  if (compu.category === Category.TAB_INTP) return interpolated(compu, Number(value), physical, out);
  const scale = holding(compu.scales, value) ?? (Number.isNaN(value) ? compu.scales[0] : undefined);
  if (scale === undefined) return useDefault(compu, out);
  const divisor = polynomial(scale.denominator, Number(value), 1);
  if (divisor === 0) return none(out, "division by zero");
  return number(out, polynomial(scale.numerator, Number(value), 0) / divisor, physical);
}

/** The first scale that holds a value; a loop, because it runs for every value decoded. */
function holding(scales: readonly Scale[], value: Comparable): Scale | undefined {
  for (const scale of scales) if (isWithin(scale.limits, value)) return scale;
  return undefined;
}

function polynomial(coefficients: readonly number[], x: number, ifEmpty: number): number {
  if (coefficients.length === 0) return ifEmpty;
  let sum = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i]!;
  return sum;
}

function textOf(compu: Compu, value: Comparable, out: Phys): Phys {
  const scale =
    compu.points === undefined || typeof value !== "number" ? holding(compu.scales, value) : compu.points.get(value);
  if (scale === undefined) return useDefault(compu, out);
  if (scale.text === undefined && scale.constant === undefined) return raw(out, "scale without a text");
  return constant(out, scale.text, scale.constant);
}

function interpolated(compu: Compu, value: number, physical: Base, out: Phys): Phys {
  for (let i = 0; i + 1 < compu.scales.length; i++) {
    const x0 = pointOf(compu.scales[i]!);
    const x1 = pointOf(compu.scales[i + 1]!);
    const y0 = compu.scales[i]!.constant ?? 0;
    const y1 = compu.scales[i + 1]!.constant ?? 0;
    if (value >= x0 && value <= x1)
      return number(out, x1 === x0 ? y0 : y0 + ((value - x0) * (y1 - y0)) / (x1 - x0), physical);
  }
  if (compu.defaultText !== undefined || compu.defaultNumber !== undefined) return useDefault(compu, out);
  return none(out, "value lies outside the table");
}

function pointOf(scale: Scale): number {
  return Number(scale.limits.lower?.number ?? 0);
}

function useDefault(compu: Compu, out: Phys): Phys {
  if (compu.defaultText === undefined && compu.defaultNumber === undefined) return raw(out, NO_SCALE);
  return constant(out, compu.defaultText, compu.defaultNumber);
}

function constant(out: Phys, text: ConstText | undefined, value: number | undefined): Phys {
  out.kind = text === undefined ? PhysKind.NUMBER : PhysKind.TEXT;
  out.text = text;
  out.number = value ?? 0;
  return out;
}

function number(out: Phys, value: number, physical: Base): Phys {
  out.kind = PhysKind.NUMBER;
  out.number = inPhysicalType(value, physical);
  return out;
}

function raw(out: Phys, problem: string): Phys {
  out.kind = PhysKind.RAW;
  out.problem = problem;
  return out;
}

function none(out: Phys, problem: string): Phys {
  out.kind = PhysKind.NONE;
  out.problem = problem;
  return out;
}

/** A computed number as its physical type shows it: integers are cut, single floats lose the noise behind their precision. */
function inPhysicalType(value: number, physical: Base): number {
  if (physical === Base.INT || physical === Base.UINT) return cut(value);
  return physical === Base.FLOAT32 ? shortestSingle(value) : value;
}

/** Toward zero, except that binary rounding errors must not lose a step. Never minus zero. */
export function cut(value: number): number {
  const rounded = Math.round(value);
  const result = Math.abs(value - rounded) <= 1e-9 * Math.max(1, Math.abs(value)) ? rounded : Math.trunc(value);
  return result === 0 ? 0 : result;
}

/** Smallest normal single; below it singles have too few digits for a short form that is still near. */
const MIN_NORMAL_SINGLE = 2 ** -126;

/** The shortest decimal number that is the same single-precision float. */
export function shortestSingle(value: number): number {
  const single = Math.fround(value);
  if (!Number.isFinite(single) || Math.abs(single) < MIN_NORMAL_SINGLE || Number.isInteger(single)) return single;
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(single.toPrecision(digits));
    if (Math.fround(candidate) === single) return candidate;
  }
  return Number(single.toPrecision(9));
}

/** Internal value of a physical number. Not for IDENTICAL and TEXT_TABLE. @throws Fault through `failing` */
export function toInternal(compu: Compu, value: number, isInteger: boolean, failing: Failing): number {
  switch (compu.category) {
    case Category.LINEAR:
      return linearInverse(compu.scales[0]!, value, isInteger, failing);
    case Category.SCALE_LINEAR: {
      const scale = compu.scales.find((s) => isWithin(s.physicalLimits, value));
      if (scale === undefined)
        return failing.fail("UdsLookupError", "Failed to find matching scale for SCALE-LINEAR conversion");
      return linearInverse(scale, value, isInteger, failing);
    }
    case Category.RAT_FUNC:
    case Category.SCALE_RAT_FUNC:
      return rationalInverse(compu, value, isInteger, failing);
    case Category.TAB_INTP:
      return tableInverse(compu, value, isInteger, failing);
    default:
      return failing.fail("RequestNotSupported", "COMPU-CODE is not supported");
  }
}

function linearInverse(scale: Scale, value: number, isInteger: boolean, failing: Failing): number {
  const offset = scale.numerator[0] ?? 0;
  const factor = scale.numerator[1] ?? 0;
  if (factor === 0) {
    if (scale.inverse !== undefined) return scale.inverse;
    return failing.fail(
      "InvalidDatabase",
      "Factor (V1) cannot be zero for inverse conversion. Use COMPU-INVERSE-VALUE for constant functions",
    );
  }
  const exact = ((scale.denominator[0] ?? 1) * value - offset) / factor;
  const internal = isInteger ? cut(exact) : exact;
  if (!isWithin(scale.limits, internal)) return outOfRange(value, failing);
  return internal;
}

function rationalInverse(compu: Compu, value: number, isInteger: boolean, failing: Failing): number {
  if (compu.inverseScales.length === 0)
    return failing.fail("RequestNotSupported", "the compu method has no COMPU-PHYS-TO-INTERNAL");
  const scale = compu.inverseScales.find((s) => isWithin(s.limits, value));
  if (scale === undefined) return outOfRange(value, failing);
  const divisor = polynomial(scale.denominator, value, 1);
  if (divisor === 0) return outOfRange(value, failing);
  const exact = polynomial(scale.numerator, value, 0) / divisor;
  return isInteger ? cut(exact) : exact;
}

function tableInverse(compu: Compu, value: number, isInteger: boolean, failing: Failing): number {
  if (!isMonotonic(compu.scales)) return failing.fail("RequestNotSupported", "TAB-INTP is not monotonic");
  for (let i = 0; i + 1 < compu.scales.length; i++) {
    const y0 = compu.scales[i]!.constant ?? 0;
    const y1 = compu.scales[i + 1]!.constant ?? 0;
    if (value < Math.min(y0, y1) || value > Math.max(y0, y1)) continue;
    const x0 = pointOf(compu.scales[i]!);
    const x1 = pointOf(compu.scales[i + 1]!);
    const exact = y1 === y0 ? x0 : x0 + ((value - y0) * (x1 - x0)) / (y1 - y0);
    return isInteger ? cut(exact) : exact;
  }
  return outOfRange(value, failing);
}

function isMonotonic(scales: readonly Scale[]): boolean {
  const steps = scales.slice(1).map((scale, i) => (scale.constant ?? 0) - (scales[i]!.constant ?? 0));
  return steps.every((step) => step >= 0) || steps.every((step) => step <= 0);
}

function outOfRange(value: number, failing: Failing): never {
  return failing.fail("ParameterConversionError", `Value ${value} is out of range`);
}
