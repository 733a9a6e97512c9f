/** Types, compu methods and limits of a description as short text. */
import { toHex } from "#core/bytes.ts";
import type {
  CompuMethod,
  CompuScale,
  CompuValues,
  DiagCodedType,
  InternalConstr,
  Limit,
  NormalDOP,
  StandardLengthType,
} from "../generated/description.ts";

/** Longest list of scales that a compu method's text shows. */
const MAX_SCALES = 64;

/** `A_UINT_32 16 bit LE`, `A_ASCIISTRING 0…17 bytes ZERO`. */
export function codedTypeText(type: DiagCodedType | undefined): string {
  if (type === undefined) return "no coded type";
  const { base_data_type: base = "A_INT_32", base_type_encoding: encoding, is_high_low_byte_order: isHighLow } = type;
  return [base, lengthText(type), isHighLow === false ? "LE" : "", encoding ?? ""]
    .filter((word) => word !== "")
    .join(" ");
}

function lengthText(type: DiagCodedType): string {
  switch (type.specific_data_type) {
    case "StandardLengthType":
      return `${type.specific_data.bit_length ?? 0} bit${maskText(type.specific_data)}`;
    case "LeadingLengthInfoType":
      return `after its length in ${type.specific_data.bit_length ?? 0} bit`;
    case "MinMaxLengthType": {
      const { min_length: min = 0, max_length: max, termination = "END_OF_PDU" } = type.specific_data;
      return `${min}…${max ?? ""} bytes ${termination}`;
    }
    case "ParamLengthInfoType":
      return `as long as ${type.specific_data.length_key?.short_name ?? "?"} says`;
    default:
      return "of no length";
  }
}

function maskText({ bit_mask: mask = [], condensed }: StandardLengthType): string {
  return mask.length === 0 ? "" : ` mask ${toHex(Uint8Array.from(mask))}${condensed ? " condensed" : ""}`;
}

/** A compu method: its category and a line for each scale. */
export interface CompuView {
  readonly category: string;
  readonly scales: readonly string[];
}

/** Undefined for IDENTICAL, which says nothing. */
export function compuView(method: CompuMethod | undefined): CompuView | undefined {
  const { category = "IDENTICAL", internal_to_phys: table } = method ?? {};
  if (category === "IDENTICAL") return undefined;
  const scales = table?.compu_scales ?? [];
  const fallback = table?.compu_default_value?.values;
  const lines = scales.slice(0, MAX_SCALES).map((scale) => scaleText(category, scale));
  if (scales.length > MAX_SCALES) lines.push(`… ${scales.length - MAX_SCALES} more`);
  if (fallback !== undefined) lines.push(`else ${valueText(fallback)}`);
  if (table?.prog_code !== undefined) lines.push(`code ${table.prog_code.code_file ?? "?"}`);
  return { category, scales: lines };
}

function scaleText(category: string, scale: CompuScale): string {
  const range = rangeText(scale.lower_limit, scale.upper_limit);
  if (category === "TEXT_TABLE" || category === "TAB_INTP") return `${range || "any"} = ${valueText(scale.consts)}`;
  const { numerator = [], denominator = [] } = scale.rational_co_effs ?? {};
  if (scale.rational_co_effs === undefined) return `${range || "any"} = ${valueText(scale.consts)}`;
  const above = polynomialText(numerator);
  const below = polynomialText(denominator);
  const formula = below === "1" || below === "0" ? above : `(${above}) / (${below})`;
  return range === "" ? formula : `${range}: ${formula}`;
}

/** `-40 + 0.5·x`: coefficients in ascending powers. */
function polynomialText(coefficients: readonly number[]): string {
  const powers = ["", "·x", "·x²", "·x³"];
  const terms = coefficients.flatMap((factor, power) => {
    if (factor === 0) return [];
    if (power === 0) return [String(factor)];
    const x = powers[power] ?? `·x^${power}`;
    return [factor === 1 ? x.slice(1) : `${factor}${x}`];
  });
  return terms.length === 0 ? "0" : terms.join(" + ").replaceAll("+ -", "- ");
}

function valueText(values: CompuValues | undefined): string {
  const text = values?.vt ?? values?.vt_ti;
  return text === undefined ? String(values?.v ?? "?") : JSON.stringify(text);
}

/** `1`, `0…9`, `(0…9]`, `≥ 5`; empty when unbounded. */
export function rangeText(lower: Limit | undefined, upper: Limit | undefined): string {
  const from = boundText(lower);
  const to = boundText(upper);
  if (from === undefined && to === undefined) return "";
  if (to === undefined) return `${lower?.interval_type === "CLOSED" ? "≥" : ">"} ${from}`;
  if (from === undefined) return `${upper?.interval_type === "CLOSED" ? "≤" : "<"} ${to}`;
  const isClosed = lower?.interval_type === "CLOSED" && upper?.interval_type === "CLOSED";
  if (isClosed) return from === to ? from : `${from}…${to}`;
  return `${lower?.interval_type === "CLOSED" ? "[" : "("}${from}…${to}${upper?.interval_type === "CLOSED" ? "]" : ")"}`;
}

function boundText(limit: Limit | undefined): string | undefined {
  return limit === undefined || limit.interval_type === "INFINITE" ? undefined : (limit.value ?? "");
}

/** Limits that values must keep; empty without any. */
export function constraintText({ internal_constr: internal, phys_constr: physical }: NormalDOP): string {
  const text = (constraint: InternalConstr | undefined, of: string) => {
    const range = rangeText(constraint?.lower_limit, constraint?.upper_limit);
    return range === "" ? "" : `${of} ${range}`;
  };
  return [text(internal, "internal"), text(physical, "physical")].filter((part) => part !== "").join(", ");
}
