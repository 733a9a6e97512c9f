/** DIAG-CODED-TYPEs, from bytes to internal values (ISO 22901-1 §7.3.6.2). Total: any bytes give a value, a problem or a shortage. */
import { gather, MAX_NUMBER_BITS, narrow, readBig, readNumber, spannedBytes } from "./bits.ts";
import { Base, type CodedType, End, IntEncoding, LengthKind } from "./plan.ts";
import { textProblem, unitBytes } from "./text.ts";

/** Results below zero: no value. */
export const NOT_ENOUGH = -1;
export const NO_LENGTH = -2;

export const CellKind = { NUMBER: 0, BYTES: 1, EMPTY: 2 } as const;
export type CellKind = (typeof CellKind)[keyof typeof CellKind];

/** The last value read; one object is used again and again. Bytes lie in `bytes` from `start` on. */
export interface Cell {
  kind: CellKind;
  number: number | bigint;
  bytes: Uint8Array;
  start: number;
  length: number;
  /** Why bytes that are there are no value of the type, or empty. */
  problem: string;
  /** NOT_ENOUGH: bytes that the payload would need. */
  needed: number;
}

const NO_BYTES = new Uint8Array(0);

export function createCell(): Cell {
  return { kind: CellKind.EMPTY, number: 0, bytes: NO_BYTES, start: 0, length: 0, problem: "", needed: 0 };
}

const floatBytes = new Uint8Array(8);
const floatView = new DataView(floatBytes.buffer);

/**
 * Reads a value that begins at bit `bit` of byte `byte` of `payload`, of which bytes before `end` count.
 * `length` is the value of the length key (undefined when there is none).
 * @returns the position behind it, NOT_ENOUGH or NO_LENGTH
 */
export function readCoded(
  coded: CodedType,
  payload: Uint8Array,
  end: number,
  byte: number,
  bit: number,
  length: unknown,
  cell: Cell,
): number {
  cell.problem = "";
  cell.kind = CellKind.EMPTY;
  switch (coded.lengthKind) {
    case LengthKind.STANDARD:
      return readStandard(coded, payload, end, byte, bit, cell);
    case LengthKind.LEADING:
      return readLeading(coded, payload, end, byte, bit, cell);
    case LengthKind.MIN_MAX:
      return readMinMax(coded, payload, end, byte, cell);
    default:
      return readParamLength(coded, payload, end, byte, length, cell);
  }
}

function shortage(cell: Cell, needed: number): number {
  cell.needed = needed;
  return NOT_ENOUGH;
}

function readStandard(
  coded: CodedType,
  payload: Uint8Array,
  end: number,
  byte: number,
  bit: number,
  cell: Cell,
): number {
  const next = byte + spannedBytes(bit, coded.bits);
  if (next > end) return shortage(cell, next);
  if (coded.base < Base.TEXT) readNumeric(coded, payload, byte, bit, coded.bits, cell);
  else if (coded.mask === undefined && coded.bits % 8 === 0 && bit === 0)
    setBytes(coded, payload, byte, coded.bits >>> 3, cell);
  else {
    const bytes = maskedBytes(coded, payload, byte, bit);
    setBytes(coded, bytes, 0, bytes.length, cell);
  }
  return next;
}

/** Bytes of a field that is masked or not byte-aligned, right-aligned in whole bytes. */
function maskedBytes(coded: CodedType, payload: Uint8Array, byte: number, bit: number): Uint8Array {
  let value = readBig(payload, byte, bit, coded.bits, false);
  if (coded.condensed !== undefined) value = gather(value, coded.condensed);
  else if (coded.mask !== undefined) value &= coded.mask;
  const bytes = new Uint8Array((coded.valueBits + 7) >>> 3);
  for (let i = bytes.length - 1; i >= 0; i--, value >>= 8n) bytes[i] = Number(value & 0xffn);
  return bytes;
}

function setBytes(coded: CodedType, bytes: Uint8Array, start: number, length: number, cell: Cell): void {
  cell.kind = CellKind.BYTES;
  cell.bytes = bytes;
  cell.start = start;
  cell.length = length;
  if (coded.base === Base.TEXT) cell.problem = textProblem(bytes, start, length, coded.textEncoding);
}

function readNumeric(coded: CodedType, payload: Uint8Array, byte: number, bit: number, bits: number, cell: Cell): void {
  cell.kind = CellKind.NUMBER;
  if (coded.base >= Base.FLOAT32) {
    readFloat(coded, payload, byte, bit, bits, cell);
    return;
  }
  let value: number | bigint =
    bits <= MAX_NUMBER_BITS
      ? readNumber(payload, byte, bit, bits, coded.isLittleEndian)
      : narrow(readBig(payload, byte, bit, bits, coded.isLittleEndian));
  let valueBits = bits;
  if (coded.mask !== undefined) {
    valueBits = coded.valueBits;
    value = narrow(coded.condensed === undefined ? BigInt(value) & coded.mask : gather(value, coded.condensed));
  }
  interpret(coded.intEncoding, value, valueBits, cell);
}

function readFloat(coded: CodedType, payload: Uint8Array, byte: number, bit: number, bits: number, cell: Cell): void {
  if (bits === 32) {
    floatView.setUint32(0, readNumber(payload, byte, bit, 32, coded.isLittleEndian));
    cell.number = floatView.getFloat32(0);
  } else if (bits === 64) {
    floatView.setUint32(0, readNumber(payload, coded.isLittleEndian ? byte + 4 : byte, bit, 32, coded.isLittleEndian));
    floatView.setUint32(4, readNumber(payload, coded.isLittleEndian ? byte : byte + 4, bit, 32, coded.isLittleEndian));
    cell.number = bit === 0 ? floatView.getFloat64(0) : floatAcross(payload, byte, bit, coded.isLittleEndian);
  } else cell.problem = `a float cannot have ${bits} bits`;
}

/** A double that does not start at a byte. */
function floatAcross(payload: Uint8Array, byte: number, bit: number, isLittleEndian: boolean): number {
  floatView.setBigUint64(0, readBig(payload, byte, bit, 64, isLittleEndian));
  return floatView.getFloat64(0);
}

/** From the bits of an integer to its value. */
function interpret(encoding: IntEncoding, value: number | bigint, bits: number, cell: Cell): void {
  cell.number = value;
  if (encoding === IntEncoding.UNSIGNED) return;
  if (encoding >= IntEncoding.BCD_PACKED) readBcd(encoding, value, cell);
  else if (typeof value === "number" && bits <= MAX_NUMBER_BITS) cell.number = signed(encoding, value, bits);
  else cell.number = narrow(signedBig(encoding, BigInt(value), BigInt(bits)));
}

function signed(encoding: IntEncoding, value: number, bits: number): number {
  const half = 2 ** (bits - 1);
  if (value < half) return value;
  const result =
    encoding === IntEncoding.TWOS
      ? value - 2 * half
      : encoding === IntEncoding.ONES
        ? value - 2 * half + 1
        : half - value;
  return result === 0 ? 0 : result;
}

function signedBig(encoding: IntEncoding, value: bigint, bits: bigint): bigint {
  const half = 1n << (bits - 1n);
  if (value < half) return value;
  if (encoding === IntEncoding.SIGN_MAGNITUDE) return half - value;
  return value - 2n * half + (encoding === IntEncoding.ONES ? 1n : 0n);
}

function readBcd(encoding: IntEncoding, value: number | bigint, cell: Cell): void {
  const shift = encoding === IntEncoding.BCD_PACKED ? 4n : 8n;
  let rest = BigInt(value);
  let result = 0n;
  for (let weight = 1n; rest > 0n; weight *= 10n, rest >>= shift) {
    const digit = rest & ((1n << shift) - 1n);
    if (digit > 9n) {
      cell.problem = "not a BCD digit";
      return;
    }
    result += digit * weight;
  }
  cell.number = narrow(result);
}

function readLeading(
  coded: CodedType,
  payload: Uint8Array,
  end: number,
  byte: number,
  bit: number,
  cell: Cell,
): number {
  const start = byte + spannedBytes(bit, coded.bits);
  if (start > end) return shortage(cell, start);
  const length =
    coded.bits <= MAX_NUMBER_BITS
      ? readNumber(payload, byte, bit, coded.bits, coded.isLittleEndian)
      : Number(readBig(payload, byte, bit, coded.bits, coded.isLittleEndian));
  return readVariable(coded, payload, end, start, 8 * length, cell);
}

function readParamLength(
  coded: CodedType,
  payload: Uint8Array,
  end: number,
  byte: number,
  length: unknown,
  cell: Cell,
): number {
  if (typeof length !== "number" || Number.isNaN(length)) return NO_LENGTH;
  return readVariable(coded, payload, end, byte, Math.max(0, Math.trunc(length)) * coded.lengthUnitBits, cell);
}

/** A value of `bits` bits that the payload itself tells. */
function readVariable(
  coded: CodedType,
  payload: Uint8Array,
  end: number,
  start: number,
  bits: number,
  cell: Cell,
): number {
  const next = start + Math.ceil(bits / 8);
  if (next > end) return shortage(cell, next);
  if (coded.base >= Base.TEXT) setBytes(coded, payload, start, next - start, cell);
  else if (bits === 0) cell.kind = CellKind.EMPTY;
  else if (bits > 64) cell.problem = `a number cannot have ${bits} bits`;
  else readNumeric(coded, payload, start, 0, bits, cell);
  return next;
}

function readMinMax(coded: CodedType, payload: Uint8Array, end: number, byte: number, cell: Cell): number {
  if (byte + coded.minBytes > end) return shortage(cell, byte + coded.minBytes);
  const limit = Math.min(byte + coded.maxBytes, end);
  const unit = unitBytes(coded.textEncoding);
  const terminator = coded.end === End.ZERO ? 0 : 0xff;
  let stop = limit;
  let next = limit;
  if (coded.end !== End.OF_PDU)
    for (let i = byte + Math.ceil(coded.minBytes / unit) * unit; i + unit <= limit; i += unit)
      if (payload[i] === terminator && (unit === 1 || payload[i + 1] === terminator)) {
        stop = i;
        next = i + unit;
        break;
      }
  setBytes(coded, payload, byte, stop - byte, cell);
  return next;
}

/** Big-endian bytes of a number, for messages. */
export function numberBytes(value: number | bigint, bits: number): number[] {
  let rest = BigInt.asUintN(Math.max(8, bits), BigInt(value));
  const bytes: number[] = [];
  for (let i = 0; i < Math.max(1, Math.ceil(bits / 8)); i++, rest >>= 8n) bytes.unshift(Number(rest & 0xffn));
  return bytes;
}

/** Bytes of a cell, also of a number that is part of a byte field. */
export function cellBytes(cell: Cell): Uint8Array {
  return cell.bytes.subarray(cell.start, cell.start + cell.length);
}
