import type {
  CompuCategory,
  CompuMethod,
  CompuScale,
  CompuValues,
  DataType,
  DiagCodedType,
  InternalConstr,
  IntervalType,
  Limit,
  Param,
  PhysicalType,
  PhysicalTypeDataType,
  ProgCode,
  Radix,
  ScaleConstr,
  Termination,
  Unit,
  ValidType,
} from "../../generated/description.ts";
import { defined } from "./defined.ts";

/** What all coded types share. */
export interface Encoding {
  /** BASE-TYPE-ENCODING: `BCD-P`, `2C`, … */
  readonly encoding?: string | undefined;
  readonly littleEndian?: boolean | undefined;
}

function coded(type: DataType, { encoding, littleEndian }: Encoding): DiagCodedType {
  return defined<DiagCodedType>({
    base_type_encoding: encoding,
    base_data_type: type === "A_INT_32" ? undefined : type,
    is_high_low_byte_order: littleEndian === true ? false : undefined,
  });
}

export interface Mask {
  readonly mask?: readonly number[] | undefined;
  readonly condensed?: boolean | undefined;
}

/** STANDARD-LENGTH-TYPE of `bits` bits. */
export function standardLength(type: DataType, bits: number, options: Encoding & Mask = {}): DiagCodedType {
  return {
    ...coded(type, options),
    type: "STANDARD_LENGTH_TYPE",
    specific_data_type: "StandardLengthType",
    specific_data: defined({ bit_length: bits, bit_mask: options.mask, condensed: options.condensed }),
  };
}

/** LEADING-LENGTH-INFO-TYPE: a length in bytes of `bits` bits stands before the value. */
export function leadingLength(type: DataType, bits: number, options: Encoding = {}): DiagCodedType {
  return {
    ...coded(type, options),
    specific_data_type: "LeadingLengthInfoType",
    specific_data: { bit_length: bits },
  };
}

export interface MinMax extends Encoding {
  readonly minBytes?: number | undefined;
  readonly maxBytes?: number | undefined;
  readonly termination?: Termination | undefined;
}

/** MIN-MAX-LENGTH-TYPE; to the end of the PDU unless another termination is given. */
export function minMaxLength(type: DataType, options: MinMax = {}): DiagCodedType {
  const { minBytes, maxBytes, termination } = options;
  return {
    ...coded(type, options),
    type: "MIN_MAX_LENGTH_TYPE",
    specific_data_type: "MinMaxLengthType",
    specific_data: defined({
      min_length: minBytes === 0 ? undefined : minBytes,
      max_length: maxBytes,
      termination: termination === "END_OF_PDU" ? undefined : termination,
    }),
  };
}

/** PARAM-LENGTH-INFO-TYPE: the length is the value of a LENGTH-KEY parameter. */
export function paramLength(type: DataType, lengthKey: Param, options: Encoding = {}): DiagCodedType {
  return {
    ...coded(type, options),
    type: "PARAM_LENGTH_INFO_TYPE",
    specific_data_type: "ParamLengthInfoType",
    specific_data: { length_key: lengthKey },
  };
}

export function physicalType(type: PhysicalTypeDataType, radix: Radix = "DEC", precision?: number): PhysicalType {
  return defined<PhysicalType>({
    precision,
    base_data_type: type === "A_INT_32" ? undefined : type,
    display_radix: radix === "HEX" ? undefined : radix,
  });
}

/** A limit as ODX writes it, CLOSED unless said otherwise. */
export function limit(value: string | number, interval: IntervalType = "CLOSED"): Limit {
  return defined<Limit>({ value: String(value), interval_type: interval === "OPEN" ? undefined : interval });
}

export interface Scale {
  readonly label?: string | undefined;
  readonly lower?: Limit | undefined;
  readonly upper?: Limit | undefined;
  readonly numerator?: readonly number[] | undefined;
  readonly denominator?: readonly number[] | undefined;
  readonly constant?: CompuValues | undefined;
  readonly inverse?: CompuValues | undefined;
}

export function compuScale(scale: Scale): CompuScale {
  const { label, lower, upper, numerator, denominator, constant, inverse } = scale;
  return defined<CompuScale>({
    short_label: label === undefined ? undefined : { value: label },
    lower_limit: lower,
    upper_limit: upper,
    inverse_values: inverse,
    consts: constant,
    rational_co_effs:
      numerator === undefined && denominator === undefined ? undefined : defined({ numerator, denominator }),
  });
}

/** One direction of a compu method. */
export interface Direction {
  readonly scales?: readonly CompuScale[] | undefined;
  readonly progCode?: ProgCode | undefined;
  readonly default?: CompuValues | undefined;
  readonly defaultInverse?: CompuValues | undefined;
}

function direction({ scales, progCode, default: values, defaultInverse }: Direction) {
  const none = values === undefined && defaultInverse === undefined;
  return defined({
    compu_scales: scales,
    prog_code: progCode,
    compu_default_value: none ? undefined : defined({ values, inverse_values: defaultInverse }),
  });
}

export function compuMethod(category: CompuCategory, toPhysical?: Direction, toInternal?: Direction): CompuMethod {
  return defined<CompuMethod>({
    category: category === "IDENTICAL" ? undefined : category,
    internal_to_phys: toPhysical === undefined ? undefined : direction(toPhysical),
    phys_to_internal: toInternal === undefined ? undefined : direction(toInternal),
  });
}

export const identical: CompuMethod = compuMethod("IDENTICAL");

/** physical = (offset + factor · internal) / divisor. */
export function linear(offset: number, factor: number, divisor?: number): CompuMethod {
  const denominator = divisor === undefined ? undefined : [divisor];
  return compuMethod("LINEAR", { scales: [compuScale({ numerator: [offset, factor], denominator })] });
}

/** Texts by internal value. */
export function textTable(texts: Readonly<Record<number, string>>): CompuMethod {
  const scales = Object.entries(texts).map(([value, text]) =>
    compuScale({ lower: limit(value), upper: limit(value), constant: { vt: text } }),
  );
  return compuMethod("TEXT_TABLE", { scales });
}

export interface Constraint {
  readonly lower?: Limit | undefined;
  readonly upper?: Limit | undefined;
  readonly scales?: readonly ScaleConstr[] | undefined;
}

export function constraint({ lower, upper, scales }: Constraint): InternalConstr {
  return defined<InternalConstr>({ lower_limit: lower, upper_limit: upper, scale_constr: scales });
}

export function scaleConstraint(validity: ValidType, lower?: Limit, upper?: Limit, label?: string): ScaleConstr {
  return defined<ScaleConstr>({
    short_label: label === undefined ? undefined : { value: label },
    lower_limit: lower,
    upper_limit: upper,
    validity: validity === "VALID" ? undefined : validity,
  });
}

/** A unit; `factor` and `offset` lead to SI. */
export function unit(name: string, displayName: string, factor?: number, offset?: number): Unit {
  return defined<Unit>({ short_name: name, display_name: displayName, factorsitounit: factor, offsetitounit: offset });
}
