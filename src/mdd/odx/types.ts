/** Coded and physical types, limits and constraints (ISO 22901-1 §7.3.6.2, §7.3.6.5). */
import type {
  DataType,
  DiagCodedType,
  InternalConstr,
  IntervalType,
  Limit,
  PhysicalType,
  Radix,
  ScaleConstr,
  Termination,
  Text,
  ValidType,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import { child, list, type OdxElement } from "./element.ts";
import { resolveChild } from "./links.ts";
import { flagOf, requiredUnsigned, unlessEmpty, unsignedOf, wordOf } from "./values.ts";

const DATA_TYPES: Readonly<Record<string, DataType>> = {
  A_INT32: "A_INT_32",
  A_UINT32: "A_UINT_32",
  A_FLOAT32: "A_FLOAT_32",
  A_FLOAT64: "A_FLOAT_64",
  A_ASCIISTRING: "A_ASCIISTRING",
  A_UTF8STRING: "A_UTF_8_STRING",
  A_UNICODE2STRING: "A_UNICODE_2_STRING",
  A_BYTEFIELD: "A_BYTEFIELD",
};

const TERMINATIONS: Readonly<Record<string, Termination>> = {
  "END-OF-PDU": "END_OF_PDU",
  ZERO: "ZERO",
  "HEX-FF": "HEX_FF",
};

const RADIXES: Readonly<Record<string, Radix>> = { HEX: "HEX", DEC: "DEC", BIN: "BIN", OCT: "OCT" };
const INTERVALS: Readonly<Record<string, IntervalType>> = { OPEN: "OPEN", CLOSED: "CLOSED", INFINITE: "INFINITE" };
const VALIDITIES: Readonly<Record<string, ValidType>> = {
  VALID: "VALID",
  "NOT-VALID": "NOT_VALID",
  "NOT-DEFINED": "NOT_DEFINED",
  "NOT-AVAILABLE": "NOT_AVAILABLE",
};

/** DIAG-CODED-TYPE of whatever kind its xsi:type names. */
export function buildCodedType(context: Context, element: OdxElement): DiagCodedType {
  const { attributes } = element;
  return {
    ...defined({
      base_type_encoding: attributes["BASE-TYPE-ENCODING"],
      base_data_type: wordOf(context, element, attributes["BASE-DATA-TYPE"] ?? "", DATA_TYPES),
      is_high_low_byte_order: flagOf(context, element, "IS-HIGHLOW-BYTE-ORDER"),
    }),
    ...specificType(context, element),
  } as DiagCodedType;
}

function specificType(context: Context, element: OdxElement): Partial<DiagCodedType> {
  const kind = element.attributes["xsi:type"] ?? "";
  switch (kind) {
    case "STANDARD-LENGTH-TYPE":
      return {
        type: "STANDARD_LENGTH_TYPE",
        specific_data_type: "StandardLengthType",
        specific_data: defined({
          bit_length: requiredUnsigned(context, element, "BIT-LENGTH"),
          bit_mask: maskOf(context, element),
          condensed: flagOf(context, element, "IS-CONDENSED"),
        }),
      };
    case "LEADING-LENGTH-INFO-TYPE":
      return {
        type: "LEADING_LENGTH_INFO_TYPE",
        specific_data_type: "LeadingLengthInfoType",
        specific_data: defined({ bit_length: requiredUnsigned(context, element, "BIT-LENGTH") }),
      };
    case "MIN-MAX-LENGTH-TYPE":
      return {
        type: "MIN_MAX_LENGTH_TYPE",
        specific_data_type: "MinMaxLengthType",
        specific_data: defined({
          min_length: requiredUnsigned(context, element, "MIN-LENGTH"),
          max_length: unsignedOf(context, element, "MAX-LENGTH"),
          termination: wordOf(context, element, element.attributes.TERMINATION ?? "", TERMINATIONS),
        }),
      };
    case "PARAM-LENGTH-INFO-TYPE": {
      const key = resolveChild(context, element, "LENGTH-KEY-REF", ["PARAM"]);
      return {
        type: "PARAM_LENGTH_INFO_TYPE",
        specific_data_type: "ParamLengthInfoType",
        specific_data: defined({ length_key: key && context.build.param(context, key) }),
      };
    }
    default:
      context.report.at(element, "error", `DIAG-CODED-TYPE of unknown xsi:type '${kind}'`);
      return {};
  }
}

/** BIT-MASK (xs:hexBinary), most significant byte first. */
function maskOf(context: Context, element: OdxElement): number[] | undefined {
  const mask = child(element, "BIT-MASK");
  if (mask === undefined) return undefined;
  const digits = mask.text.trim();
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    context.report.at(mask, "error", `BIT-MASK '${digits.slice(0, 40)}' is not hexadecimal`);
    return undefined;
  }
  return Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function buildPhysicalType(context: Context, element: OdxElement | undefined): PhysicalType | undefined {
  if (element === undefined) return undefined;
  return defined<PhysicalType>({
    precision: unsignedOf(context, element, "PRECISION"),
    base_data_type: wordOf(context, element, element.attributes["BASE-DATA-TYPE"] ?? "", DATA_TYPES),
    display_radix: wordOf(context, element, element.attributes["DISPLAY-RADIX"], RADIXES),
  });
}

/** A limit: its text as written, and CLOSED when nothing is said. */
export function buildLimit(context: Context, element: OdxElement | undefined): Limit | undefined {
  if (element === undefined) return undefined;
  const interval_type = wordOf(context, element, element.attributes["INTERVAL-TYPE"] ?? "CLOSED", INTERVALS);
  return defined<Limit>({ value: element.text === "" ? undefined : element.text, interval_type });
}

export function limitsOf(
  context: Context,
  element: OdxElement,
): { lower_limit: Limit | undefined; upper_limit: Limit | undefined } {
  return {
    lower_limit: buildLimit(context, child(element, "LOWER-LIMIT")),
    upper_limit: buildLimit(context, child(element, "UPPER-LIMIT")),
  };
}

/** Text with its translation id. */
export function buildText(element: OdxElement | undefined): Text | undefined {
  return element && defined<Text>({ value: element.text, ti: element.attributes.TI });
}

/** INTERNAL-CONSTR or PHYS-CONSTR. */
export function buildConstraint(context: Context, element: OdxElement | undefined): InternalConstr | undefined {
  if (element === undefined) return undefined;
  const scales = list(element, "SCALE-CONSTRS", "SCALE-CONSTR").map((scale) =>
    defined<ScaleConstr>({
      short_label: buildText(child(scale, "SHORT-LABEL")),
      ...limitsOf(context, scale),
      validity: wordOf(context, scale, scale.attributes.VALIDITY ?? "", VALIDITIES),
    }),
  );
  return defined<InternalConstr>({ ...limitsOf(context, element), scale_constr: unlessEmpty(scales) });
}
