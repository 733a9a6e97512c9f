/** DIAG-CODED-TYPEs, from internal values to bytes (ISO 22901-1 §7.3.6.2). */
import { MAX_NUMBER_BITS, scatter, spannedBytes, writeBig, writeNumber } from "./bits.ts";
import type { Failing } from "./compu.ts";
import { Base, type CodedType, End, IntEncoding, type Internal, LengthKind } from "./plan.ts";
import { unitBytes } from "./text.ts";

/** The request under construction: zero where nothing has been written, and as long as its last byte. */
export interface Output extends Failing {
  bytes: Uint8Array;
  length: number;
  /** Makes the message at least `end` bytes long. */
  extend(end: number): void;
}

const floatView = new DataView(new ArrayBuffer(8));

/**
 * Writes an internal value that begins at bit `bit` of byte `byte`. `bytes` is the length in bytes that a length key asks for
 * (undefined: as long as the value).
 * @returns the position behind it
 * @throws Fault through `out.fail` when the value does not fit
 */
export function writeCoded(
  coded: CodedType,
  out: Output,
  byte: number,
  bit: number,
  value: Internal,
  bytes: number | undefined,
): number {
  if (typeof value === "object") return writeBytes(coded, out, byte, bit, value);
  switch (coded.lengthKind) {
    case LengthKind.STANDARD:
      return writeNumeric(coded, out, byte, bit, coded.bits, value);
    case LengthKind.LEADING: {
      const start = writeLength(coded, out, byte, bit, numberWidth(coded, value));
      return writeNumeric(coded, out, start, 0, 8 * numberWidth(coded, value), value);
    }
    default:
      return writeNumeric(coded, out, byte, 0, 8 * (bytes ?? numberWidth(coded, value)), value);
  }
}

/** Bytes that an internal value takes on the wire when nothing else says so. */
export function naturalBytes(coded: CodedType, value: Internal): number {
  return typeof value === "object" ? value.length : numberWidth(coded, value);
}

/** Fewest bytes that hold a number. */
function numberWidth(coded: CodedType, value: number | bigint): number {
  if (coded.base === Base.FLOAT32) return 4;
  if (coded.base === Base.FLOAT64) return 8;
  let bytes = 1;
  while (bytes < 8 && !isInRange(coded.intEncoding, BigInt(value), 8 * bytes)) bytes++;
  return bytes;
}

function writeNumeric(
  coded: CodedType,
  out: Output,
  byte: number,
  bit: number,
  bits: number,
  value: number | bigint,
): number {
  if (bits === 0) return byte;
  if (bits > 64) return out.fail("ParameterConversionError", `a number cannot have ${bits} bits`);
  const raw =
    coded.base >= Base.FLOAT32 ? floatBits(coded, bits, Number(value), out) : integerBits(coded, bits, value, out);
  const next = byte + spannedBytes(bit, bits);
  out.extend(next);
  const { isLittleEndian, mask, condensed } = coded;
  if (mask !== undefined || bits > MAX_NUMBER_BITS) {
    const wide = condensed === undefined ? BigInt(raw) : scatter(raw, condensed);
    writeBig(out.bytes, byte, bit, bits, isLittleEndian, wide, mask);
  } else writeNumber(out.bytes, byte, bit, bits, isLittleEndian, Number(raw));
  return next;
}

function floatBits(coded: CodedType, bits: number, value: number, out: Output): number | bigint {
  if (!Number.isFinite(value))
    return out.fail("ParameterConversionError", "Invalid value for Float: not a finite number");
  if (bits === 32) {
    if (!Number.isFinite(Math.fround(value)))
      return out.fail("ParameterConversionError", `Value ${value} is out of range`);
    floatView.setFloat32(0, value);
    return floatView.getUint32(0);
  }
  if (bits !== 64) return out.fail("InvalidDatabase", `a float cannot have ${bits} bits (type ${coded.base})`);
  floatView.setFloat64(0, value);
  return floatView.getBigUint64(0);
}

/** Range of an encoding in `bits` bits, both ends inclusive. */
function rangeOf(encoding: IntEncoding, bits: number): readonly [bigint, bigint] {
  switch (encoding) {
    case IntEncoding.UNSIGNED:
      return [0n, (1n << BigInt(bits)) - 1n];
    case IntEncoding.TWOS:
      return [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n];
    case IntEncoding.ONES:
    case IntEncoding.SIGN_MAGNITUDE:
      return [1n - (1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n];
    case IntEncoding.BCD_PACKED:
      return [0n, 10n ** BigInt(bits >>> 2) - 1n];
    default:
      return [0n, 10n ** BigInt(bits >>> 3) - 1n];
  }
}

function isInRange(encoding: IntEncoding, value: bigint, bits: number): boolean {
  const [lowest, highest] = rangeOf(encoding, bits);
  return value >= lowest && value <= highest;
}

function integerBits(coded: CodedType, bits: number, value: number | bigint, out: Output): number | bigint {
  if (typeof value === "number" && !Number.isInteger(value))
    return out.fail("ParameterConversionError", `Value ${value} is not an integer`);
  const valueBits = coded.condensed === undefined ? bits : coded.valueBits;
  if (coded.intEncoding === IntEncoding.UNSIGNED && typeof value === "number" && valueBits <= MAX_NUMBER_BITS)
    if (value >= 0 && value < 2 ** valueBits) return value;
  const wide = BigInt(value);
  const [lowest, highest] = rangeOf(coded.intEncoding, valueBits);
  if (wide > highest)
    return out.fail(
      "ParameterConversionError",
      `Value ${value} exceeds maximum ${highest} for bit length ${valueBits}`,
    );
  if (wide < lowest)
    return out.fail(
      "ParameterConversionError",
      `Value ${value} is below minimum ${lowest} for bit length ${valueBits}`,
    );
  return unsignedBits(coded.intEncoding, wide, BigInt(valueBits));
}

function unsignedBits(encoding: IntEncoding, value: bigint, bits: bigint): bigint {
  if (encoding >= IntEncoding.BCD_PACKED) return bcdBits(value, encoding === IntEncoding.BCD_PACKED ? 4n : 8n);
  if (value >= 0n) return value;
  if (encoding === IntEncoding.TWOS) return (1n << bits) + value;
  if (encoding === IntEncoding.ONES) return (1n << bits) - 1n + value;
  return (1n << (bits - 1n)) - value;
}

function bcdBits(value: bigint, digitBits: bigint): bigint {
  let bits = 0n;
  for (let shift = 0n, rest = value; rest > 0n; shift += digitBits, rest /= 10n) bits |= (rest % 10n) << shift;
  return bits;
}

function writeBytes(coded: CodedType, out: Output, byte: number, bit: number, value: Uint8Array): number {
  if (bit !== 0 && coded.lengthKind !== LengthKind.LEADING)
    return out.fail("InvalidDatabase", "texts and byte fields must start at bit 0");
  switch (coded.lengthKind) {
    case LengthKind.STANDARD:
      return writeStandardBytes(coded, out, byte, value);
    case LengthKind.LEADING:
      return put(out, writeLength(coded, out, byte, bit, value.length), value);
    case LengthKind.MIN_MAX:
      return writeMinMax(coded, out, byte, value);
    default:
      return put(out, byte, value);
  }
}

function put(out: Output, byte: number, value: Uint8Array): number {
  out.extend(byte + value.length);
  out.bytes.set(value, byte);
  return byte + value.length;
}

/** Left aligned, zeros behind. */
function writeStandardBytes(coded: CodedType, out: Output, byte: number, value: Uint8Array): number {
  const size = (coded.condensed === undefined ? coded.bits : coded.valueBits) / 8;
  if (value.length > size)
    return out.fail("BadPayload", `value of ${value.length} bytes is too long for ${size} bytes`);
  const next = byte + spannedBytes(0, coded.bits);
  out.extend(next);
  if (coded.mask === undefined) {
    out.bytes.fill(0, byte, next);
    out.bytes.set(value, byte);
    return next;
  }
  let wide = 0n;
  for (let i = 0; i < Math.ceil(size); i++) wide = (wide << 8n) | BigInt(value[i] ?? 0);
  writeBig(out.bytes, byte, 0, coded.bits, false, coded.condensed ? scatter(wide, coded.condensed) : wide, coded.mask);
  return next;
}

function writeLength(coded: CodedType, out: Output, byte: number, bit: number, length: number): number {
  if (length >= 2 ** Math.min(coded.bits, MAX_NUMBER_BITS))
    return out.fail("BadPayload", `value of ${length} bytes is too long for a length field of ${coded.bits} bits`);
  const next = byte + spannedBytes(bit, coded.bits);
  out.extend(next);
  if (coded.bits <= MAX_NUMBER_BITS) writeNumber(out.bytes, byte, bit, coded.bits, coded.isLittleEndian, length);
  else writeBig(out.bytes, byte, bit, coded.bits, coded.isLittleEndian, BigInt(length));
  return next;
}

/** The terminator is left out where it cannot stand: behind a value of full length. */
function writeMinMax(coded: CodedType, out: Output, byte: number, value: Uint8Array): number {
  if (value.length < coded.minBytes)
    return out.fail("BadPayload", `value of ${value.length} bytes is shorter than ${coded.minBytes} bytes`);
  if (value.length > coded.maxBytes)
    return out.fail("BadPayload", `value of ${value.length} bytes is longer than ${coded.maxBytes} bytes`);
  const unit = unitBytes(coded.textEncoding);
  const terminator = coded.end === End.ZERO ? 0 : 0xff;
  if (coded.end !== End.OF_PDU && holdsTerminator(value, coded.minBytes, unit, terminator))
    return out.fail("BadPayload", "value holds the byte that ends it");
  const next = put(out, byte, value);
  if (coded.end === End.OF_PDU || value.length === coded.maxBytes) return next;
  out.extend(next + unit);
  out.bytes.fill(terminator, next, next + unit);
  return next + unit;
}

function holdsTerminator(value: Uint8Array, minBytes: number, unit: number, terminator: number): boolean {
  for (let i = Math.ceil(minBytes / unit) * unit; i + unit <= value.length; i += unit)
    if (value[i] === terminator && (unit === 1 || value[i + 1] === terminator)) return true;
  return false;
}
