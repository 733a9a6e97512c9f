/** From DIAG-CODED-TYPE, COMPU-METHOD and constraints in the FlatBuffer to plans. A text instead of a plan tells what is wrong. */
import {
  type CompuMethod,
  type CompuScale,
  type CompuValues,
  DataType,
  type DiagCodedType,
  type InternalConstr,
  IntervalType,
  LeadingLengthInfoType,
  type Limit,
  MinMaxLengthType,
  ParamLengthInfoType,
  type ScaleConstr,
  SpecificDataType,
  StandardLengthType,
  Termination,
  ValidType,
} from "#mdd/generated/dataformat.ts";
import { bigOf, maskPositions } from "./bits.ts";
import { Category, type Compu, type ConstText, type Scale } from "./compu.ts";
import { jsonBytes } from "./json-bytes.ts";
import { type Bound, boundOf, type Constraint, type Interval, numberBound, UNBOUNDED } from "./limits.ts";
import { Base, type CodedType, End, IntEncoding, LengthKind } from "./plan.ts";
import { TextEncoding } from "./text.ts";

/** Elements of a vector that are read at most; more can only be a damaged length. */
export const MAX_ELEMENTS = 1 << 16;

const MAX_INTEGER_BITS = 64;

/** Longest value of fixed length; a message cannot be longer. */
export const MAX_VALUE_BITS = 8 * (16 << 20);

const BASES: Readonly<Record<DataType, Base>> = {
  [DataType.A_INT_32]: Base.INT,
  [DataType.A_UINT_32]: Base.UINT,
  [DataType.A_FLOAT_32]: Base.FLOAT32,
  [DataType.A_FLOAT_64]: Base.FLOAT64,
  [DataType.A_ASCIISTRING]: Base.TEXT,
  [DataType.A_UTF_8_STRING]: Base.TEXT,
  [DataType.A_UNICODE_2_STRING]: Base.TEXT,
  [DataType.A_BYTEFIELD]: Base.BYTES,
};

/** The kind of values of a base data type; PHYSICAL-TYPEs use the same numbers. */
export function baseOf(type: number): Base {
  return BASES[type as DataType] ?? Base.NONE;
}

const INT_ENCODINGS: Readonly<Record<string, IntEncoding>> = {
  "1C": IntEncoding.ONES,
  SM: IntEncoding.SIGN_MAGNITUDE,
  "BCD-P": IntEncoding.BCD_PACKED,
  "BCD-UP": IntEncoding.BCD_UNPACKED,
};

const TEXT_ENCODINGS: Readonly<Record<string, TextEncoding>> = {
  "ISO-8859-2": TextEncoding.ISO_8859_2,
  "WINDOWS-1252": TextEncoding.WINDOWS_1252,
  "UTF-8": TextEncoding.UTF_8,
};

function intEncodingOf(base: Base, name: string): IntEncoding {
  const encoding = INT_ENCODINGS[name];
  if (base === Base.INT) return encoding ?? IntEncoding.TWOS;
  return encoding !== undefined && encoding >= IntEncoding.BCD_PACKED ? encoding : IntEncoding.UNSIGNED;
}

function textEncodingOf(type: DataType, name: string, isLittleEndian: boolean): TextEncoding {
  if (type === DataType.A_UTF_8_STRING) return TextEncoding.UTF_8;
  if (type === DataType.A_UNICODE_2_STRING) return isLittleEndian ? TextEncoding.UCS_2_LE : TextEncoding.UCS_2;
  return TEXT_ENCODINGS[name] ?? TextEncoding.ISO_8859_1;
}

/** Compiles a coded type. `registerOf` gives the register of a length key by its short name. */
export function compileCoded(
  type: DiagCodedType | null,
  lengthUnitBits: 1 | 8,
  registerOf: (name: string) => number,
): CodedType | string {
  if (type === null) return "no DIAG-CODED-TYPE";
  const dataType = type.baseDataType();
  const base = baseOf(dataType);
  const isLittleEndian = !type.isHighLowByteOrder();
  const encoding = (type.baseTypeEncoding() ?? "").toUpperCase();
  const common = {
    base,
    lengthKind: LengthKind.STANDARD as LengthKind,
    isLittleEndian,
    intEncoding: intEncodingOf(base, encoding),
    textEncoding: textEncodingOf(dataType, encoding, isLittleEndian),
    bits: 0,
    valueBits: 0,
    mask: undefined,
    condensed: undefined,
    minBytes: 0,
    maxBytes: Number.MAX_SAFE_INTEGER,
    end: End.OF_PDU as End,
    lengthRegister: -1,
    lengthKeyName: "",
    lengthUnitBits,
  };
  switch (type.specificDataType()) {
    case SpecificDataType.StandardLengthType:
      return standard(common, type.specificData(new StandardLengthType()), dataType);
    case SpecificDataType.LeadingLengthInfoType: {
      const bits = type.specificData(new LeadingLengthInfoType())?.bitLength() ?? 0;
      if (bits < 1 || bits > MAX_INTEGER_BITS) return `leading length of ${bits} bits`;
      return { ...common, lengthKind: LengthKind.LEADING, bits, valueBits: bits };
    }
    case SpecificDataType.MinMaxLengthType:
      return minMax(common, type.specificData(new MinMaxLengthType()));
    case SpecificDataType.ParamLengthInfoType: {
      const name = type.specificData(new ParamLengthInfoType())?.lengthKey()?.shortName();
      if (typeof name !== "string") return "PARAM-LENGTH-INFO-TYPE without LENGTH-KEY";
      return { ...common, lengthKind: LengthKind.PARAM, lengthRegister: registerOf(name), lengthKeyName: name };
    }
    default:
      return "DIAG-CODED-TYPE of unknown kind";
  }
}

function standard(common: CodedType, type: StandardLengthType | null, dataType: DataType): CodedType | string {
  const bits = type?.bitLength() ?? 0;
  const problem = lengthProblem(common.base, bits, dataType);
  if (type === null || problem !== "") return problem || "no STANDARD-LENGTH-TYPE";
  const plain = { ...common, bits, valueBits: bits };
  const bytes = type.bitMaskArray();
  if (bytes === null || bytes.length === 0 || common.base === Base.FLOAT32 || common.base === Base.FLOAT64)
    return plain;
  const mask = BigInt.asUintN(bits, bigOf(bytes));
  if (!type.condensed()) return { ...plain, mask };
  const condensed = maskPositions(mask, bits);
  return condensed.length === 0
    ? "condensed mask without a one"
    : { ...plain, mask, condensed, valueBits: condensed.length };
}

function lengthProblem(base: Base, bits: number, dataType: DataType): string {
  if (bits === 0) return "length 0";
  if (bits > (base <= Base.UINT ? MAX_INTEGER_BITS : MAX_VALUE_BITS)) return `length of ${bits} bits`;
  if (base === Base.FLOAT32 && bits !== 32) return `A_FLOAT32 of ${bits} bits`;
  if (base === Base.FLOAT64 && bits !== 64) return `A_FLOAT64 of ${bits} bits`;
  return dataType === DataType.A_UNICODE_2_STRING && bits % 16 !== 0 ? `A_UNICODE2STRING of ${bits} bits` : "";
}

function minMax(common: CodedType, type: MinMaxLengthType | null): CodedType | string {
  if (type === null) return "no MIN-MAX-LENGTH-TYPE";
  if (common.base < Base.TEXT) return "MIN-MAX-LENGTH-TYPE of a number";
  const minBytes = type.minLength();
  const maxBytes = type.maxLength() || Number.MAX_SAFE_INTEGER;
  if (maxBytes < minBytes) return `MAX-LENGTH ${maxBytes} is below MIN-LENGTH ${minBytes}`;
  const termination = type.termination();
  const end =
    termination === Termination.ZERO ? End.ZERO : termination === Termination.HEX_FF ? End.HEX_FF : End.OF_PDU;
  return { ...common, lengthKind: LengthKind.MIN_MAX, minBytes, maxBytes, end };
}

/** A limit; undefined: unbounded. */
function compileBound(limit: Limit | null, base: Base): Bound | undefined {
  if (limit === null || limit.intervalType() === IntervalType.INFINITE) return undefined;
  return boundOf(limit.value() ?? "", limit.intervalType() === IntervalType.OPEN, base === Base.BYTES);
}

/** An interval of two limits of values of `base`. */
export function compileInterval(lower: Limit | null, upper: Limit | null, base: Base): Interval {
  return { lower: compileBound(lower, base), upper: compileBound(upper, base) };
}

/** INTERNAL-CONSTR or PHYS-CONSTR; undefined when it forbids nothing. */
export function compileConstraint(constraint: InternalConstr | null, base: Base): Constraint | undefined {
  if (constraint === null) return undefined;
  const scales = elements(constraint.scaleConstrLength(), (i) => constraint.scaleConstr(i)).map(
    (scale: ScaleConstr) => ({
      ...compileInterval(scale.lowerLimit(), scale.upperLimit(), base),
      isValid: scale.validity() === ValidType.VALID,
      label: scale.shortLabel()?.value() ?? "",
    }),
  );
  const interval = compileInterval(constraint.lowerLimit(), constraint.upperLimit(), base);
  if (interval.lower === undefined && interval.upper === undefined && scales.every((s) => s.isValid)) return undefined;
  return { ...interval, scales };
}

/** The elements of a vector, null ones left out. */
export function elements<T>(length: number, get: (index: number) => T | null): T[] {
  const found: T[] = [];
  for (let i = 0; i < Math.min(length, MAX_ELEMENTS); i++) {
    const element = get(i);
    if (element !== null) found.push(element);
  }
  return found;
}

const IDENTICAL: Compu = {
  category: Category.IDENTICAL,
  scales: [],
  inverseScales: [],
  points: undefined,
  byText: new Map(),
  defaultText: undefined,
  defaultNumber: undefined,
};

/** Compiles a compu method for values of a coded type. */
export function compileCompu(method: CompuMethod | null, base: Base): Compu | string {
  const category = (method?.category() ?? Category.IDENTICAL) as Category;
  if (method === null || category === Category.IDENTICAL) return IDENTICAL;
  const forward = method.internalToPhys();
  const inverse = method.physToInternal();
  const scales = elements(forward?.compuScalesLength() ?? 0, (i) => forward!.compuScales(i)).map((s) =>
    compileScale(s, category, base),
  );
  const inverseScales = elements(inverse?.compuScalesLength() ?? 0, (i) => inverse!.compuScales(i)).map((s) =>
    compileScale(s, category, base),
  );
  const problem = compuProblem(category, scales);
  if (problem !== "") return problem;
  const whenNone = forward?.compuDefaultValue() ?? null;
  const values = whenNone?.values() ?? null;
  const defaultText = textOf(values);
  const defaultInverse = numberOf(whenNone?.inverseValues() ?? inverse?.compuDefaultValue()?.values() ?? null);
  const isTable = category === Category.TEXT_TABLE;
  return {
    category,
    scales,
    inverseScales,
    points: isTable && base <= Base.UINT ? pointsOf(scales) : undefined,
    byText: isTable ? textsOf(scales, base, defaultText, defaultInverse) : IDENTICAL.byText,
    defaultText,
    defaultNumber: numberOf(values),
  };
}

function compuProblem(category: Category, scales: readonly Scale[]): string {
  const isLinear = category === Category.LINEAR || category === Category.SCALE_LINEAR;
  if (category === Category.LINEAR && scales.length !== 1) return `LINEAR with ${scales.length} scales`;
  if (isLinear && scales.some((s) => s.numerator.length !== 2 || s.denominator.length > 1))
    return "a linear scale needs two numerators and at most one denominator";
  if (isLinear && scales.some((s) => s.denominator[0] === 0)) return "a linear scale divides by zero";
  return "";
}

function compileScale(scale: CompuScale, category: Category, base: Base): Scale {
  const coefficients = scale.rationalCoEffs();
  const numerator = elements(coefficients?.numeratorLength() ?? 0, (i) => coefficients!.numerator(i));
  const denominator = elements(coefficients?.denominatorLength() ?? 0, (i) => coefficients!.denominator(i));
  const given = compileInterval(scale.lowerLimit(), scale.upperLimit(), base);
  // ISO 22901-1 §7.3.6.6.4: a TEXTTABLE scale with LOWER-LIMIT alone is a point
  const isPoint = category === Category.TEXT_TABLE && scale.upperLimit() === null && given.lower !== undefined;
  const limits = isPoint ? { lower: given.lower, upper: given.lower } : given;
  const constants = scale.consts();
  return {
    limits,
    physicalLimits: category === Category.SCALE_LINEAR ? transformed(limits, numerator, denominator) : UNBOUNDED,
    numerator,
    denominator,
    text: textOf(constants),
    constant: numberOf(constants),
    inverse: numberOf(scale.inverseValues()),
  };
}

/** Limits of a linear scale behind the conversion; a negative factor swaps them. */
function transformed(limits: Interval, numerator: readonly number[], denominator: readonly number[]): Interval {
  const factor = numerator[1] ?? 0;
  const convert = (bound: Bound | undefined) =>
    bound === undefined
      ? undefined
      : numberBound(
          ((numerator[0] ?? 0) + factor * Number(bound.number)) / (denominator[0] ?? 1),
          factor !== 0 && bound.isOpen,
        );
  const isFalling = factor / (denominator[0] ?? 1) < 0;
  const lower = convert(isFalling ? limits.upper : limits.lower);
  return { lower, upper: convert(isFalling ? limits.lower : limits.upper) };
}

function textOf(values: CompuValues | null): ConstText | undefined {
  const text = values?.vt() ?? values?.vtTi();
  return typeof text === "string" ? { text, json: jsonBytes(text) } : undefined;
}

/** A number, where values without text and number are a lost zero. */
function numberOf(values: CompuValues | null): number | undefined {
  if (values === null) return undefined;
  return values.v() ?? (values.vt() === null && values.vtTi() === null ? 0 : undefined);
}

function pointsOf(scales: readonly Scale[]): ReadonlyMap<number, Scale> | undefined {
  const points = new Map<number, Scale>();
  for (const scale of scales) {
    const { lower, upper } = scale.limits;
    if (lower === undefined || upper === undefined || lower.isOpen || upper.isOpen) return undefined;
    if (lower.number !== upper.number || typeof lower.number !== "number") return undefined;
    if (!points.has(lower.number)) points.set(lower.number, scale);
  }
  return points;
}

/** Internal value of each text: COMPU-INVERSE-VALUE, else the nearest limit; of equal texts the first. */
function textsOf(
  scales: readonly Scale[],
  base: Base,
  defaultText: ConstText | undefined,
  defaultInverse: number | undefined,
): ReadonlyMap<string, number> {
  const texts = new Map<string, number>();
  for (const scale of scales) {
    const internal = scale.inverse ?? nearest(scale.limits, base);
    if (scale.text !== undefined && internal !== undefined && !texts.has(scale.text.text))
      texts.set(scale.text.text, internal);
  }
  if (defaultText !== undefined && defaultInverse !== undefined && !texts.has(defaultText.text))
    texts.set(defaultText.text, defaultInverse);
  return texts;
}

function nearest({ lower, upper }: Interval, base: Base): number | undefined {
  const bound = lower ?? upper;
  if (bound === undefined || Number.isNaN(bound.number)) return undefined;
  const step = bound.isOpen && base <= Base.UINT ? (bound === lower ? 1 : -1) : 0;
  return Number(bound.number) + step;
}
