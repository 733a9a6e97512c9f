/** What a client sends for a simple DOP, as the internal value that goes on the wire. */
import { narrow } from "./bits.ts";
import { Category, type Failing, toInternal } from "./compu.ts";
import { type Comparable, constraintProblem } from "./limits.ts";
import { Base, type Internal, type Scalar } from "./plan.ts";
import type { ByteFormat } from "./render.ts";
import { encodeText } from "./text.ts";

/**
 * Internal value of a JSON value (or bigint).
 * @throws Fault through `failing` when it is of the wrong kind, has no internal value or breaks a constraint
 */
export function internalOf(scalar: Scalar, value: unknown, byteFormat: ByteFormat, failing: Failing): Internal {
  const { coded, compu } = scalar;
  if (compu.category === Category.TEXT_TABLE) return checkInternal(scalar, fromText(scalar, value, failing), failing);
  if (compu.category === Category.IDENTICAL) {
    const internal = identical(scalar, value, byteFormat, failing);
    if (scalar.physicalConstraint !== undefined) check(scalar.physicalConstraint, internal, failing);
    return checkInternal(scalar, internal, failing);
  }
  if (coded.base >= Base.TEXT) return failing.fail("InvalidDatabase", "compu method needs a numeric coded type");
  const physical = physicalNumber(scalar, value, failing);
  if (scalar.physicalConstraint !== undefined) check(scalar.physicalConstraint, physical, failing);
  return checkInternal(scalar, toInternal(compu, physical, coded.base < Base.FLOAT32, failing), failing);
}

function checkInternal(scalar: Scalar, internal: Internal, failing: Failing): Internal {
  if (scalar.internalConstraint !== undefined) check(scalar.internalConstraint, internal, failing);
  return internal;
}

function check(constraint: Parameters<typeof constraintProblem>[0], value: Comparable, failing: Failing): void {
  const problem = constraintProblem(constraint, value);
  if (problem !== "") failing.fail("ParameterConversionError", `${String(value)}: ${problem}`);
}

function fromText(scalar: Scalar, value: unknown, failing: Failing): number {
  if (scalar.coded.base >= Base.TEXT)
    return failing.fail("InvalidDatabase", "TextTable conversion only supports numeric data types");
  if (typeof value !== "string") return failing.fail("UdsLookupError", "Failed to convert value to string");
  const text = value.replaceAll('"', "");
  return scalar.compu.byText.get(text) ?? failing.fail("UdsLookupError", "Failed to find matching TextTable value");
}

function identical(scalar: Scalar, value: unknown, byteFormat: ByteFormat, failing: Failing): Internal {
  const { base } = scalar.coded;
  if (base === Base.BYTES) {
    if (typeof value !== "string") return failing.fail("ParameterConversionError", "Invalid value for ByteField");
    return parseBytes(value, byteFormat, failing);
  }
  if (base === Base.TEXT) {
    if (typeof value !== "string") return failing.fail("ParameterConversionError", "Invalid value for AsciiString");
    const bytes = encodeText(value, scalar.coded.textEncoding);
    return bytes ?? failing.fail("ParameterConversionError", "text has characters that its encoding does not know");
  }
  const number = numeric(scalar, value, failing);
  if (base >= Base.FLOAT32) return finite(Number(number), failing);
  if (typeof number === "number" && !Number.isInteger(number)) return invalid(base, String(value), failing);
  if (base === Base.UINT && number < 0) return invalid(base, String(value), failing);
  return number;
}

const TYPE_NAMES: Readonly<Record<Base, string>> = {
  [Base.INT]: "Int32",
  [Base.UINT]: "UInt32",
  [Base.FLOAT32]: "Float",
  [Base.FLOAT64]: "Float",
  [Base.TEXT]: "AsciiString",
  [Base.BYTES]: "ByteField",
  [Base.NONE]: "a DOP without physical type",
};

function invalid(base: Base, value: string, failing: Failing): never {
  return failing.fail("ParameterConversionError", `Invalid value for ${TYPE_NAMES[base]}: ${value}`);
}

function finite(value: number, failing: Failing): number {
  return Number.isFinite(value) ? value : invalid(Base.FLOAT64, String(value), failing);
}

/** Physical number for a compu method that computes. */
function physicalNumber(scalar: Scalar, value: unknown, failing: Failing): number {
  if (typeof value !== "number" && typeof value !== "bigint" && typeof value !== "string")
    return failing.fail("ParameterConversionError", "Invalid JSON value for numeric conversion");
  return finite(Number(numeric(scalar, value, failing)), failing);
}

/** Longest text read as a number: 64 binary digits and their prefix fit, and reading takes no time to speak of. */
const MAX_NUMBER_TEXT = 128;

/** A number, or a string read by the physical type. */
function numeric(scalar: Scalar, value: unknown, failing: Failing): number | bigint {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value !== "string")
    return failing.fail(
      "ParameterConversionError",
      `Non-numeric JSON value ${JSON.stringify(value)} could not be converted to string`,
    );
  if (value.length > MAX_NUMBER_TEXT) return invalid(scalar.physical, `${value.length} characters`, failing);
  switch (scalar.physical) {
    case Base.UINT:
      return parseUnsigned(value, failing);
    case Base.INT:
      return /^[+-]?\d+$/.test(value) ? narrow(BigInt(value.replace("+", ""))) : invalid(Base.INT, value, failing);
    case Base.FLOAT32:
    case Base.FLOAT64:
      if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return invalid(scalar.physical, value, failing);
      return finite(Number(value), failing);
    default:
      return invalid(scalar.physical, value, failing);
  }
}

const RADIX_NAMES: Readonly<Record<string, string>> = { "0x": "hex", "0b": "binary", "0o": "octal" };

/** Decimal, or with 0x, 0b or 0o. */
function parseUnsigned(text: string, failing: Failing): number | bigint {
  if (/^\+?\d+$/.test(text)) return narrow(BigInt(text.replace("+", "")));
  const prefix = text.slice(0, 2).toLowerCase();
  const radix = RADIX_NAMES[prefix];
  if (radix === undefined || text.length === 2) return invalid(Base.UINT, text, failing);
  try {
    return narrow(BigInt(prefix + text.slice(2)));
  } catch {
    return failing.fail("ParameterConversionError", `Non-${radix} character found`);
  }
}

/**
 * Bytes of text. Hex: tokens split at blanks or commas, each with or without 0x; of an odd number of digits the last stands alone.
 */
function parseBytes(text: string, format: ByteFormat, failing: Failing): Uint8Array {
  if (format === "base64") return parseBase64(text, failing);
  const bytes: number[] = [];
  for (const token of text.split(/[ ,]+/)) {
    const digits = token.replace(/^0x/i, "");
    if (/[^0-9a-f]/i.test(digits)) return failing.fail("ParameterConversionError", "Non-hex character found");
    for (let i = 0; i < digits.length; i += 2) bytes.push(Number.parseInt(digits.slice(i, i + 2), 16));
  }
  return Uint8Array.from(bytes);
}

function parseBase64(text: string, failing: Failing): Uint8Array {
  if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text))
    return failing.fail("ParameterConversionError", "Invalid value for ByteField: not base64");
  return new Uint8Array(Buffer.from(text, "base64"));
}
