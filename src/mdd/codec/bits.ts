/**
 * Numbers at any bit of a payload (ISO 22901-1 §7.3.6.2). A field of `bits` bits starts at bit `bit` of byte `byte`; bit 0 of the
 * field is the least significant bit of the last byte, or with little endian of the first. Bounds are the caller's duty.
 */

/** Widest field that a double holds exactly. */
export const MAX_NUMBER_BITS = 53;

/** Bytes that a field of `bits` bits touches when it starts at bit `bit`. */
export function spannedBytes(bit: number, bits: number): number {
  return (bit + bits + 7) >>> 3;
}

/** Unsigned value of a field of at most 53 bits. */
export function readNumber(
  bytes: Uint8Array,
  byte: number,
  bit: number,
  bits: number,
  isLittleEndian: boolean,
): number {
  const span = spannedBytes(bit, bits);
  let index = isLittleEndian ? byte + span - 1 : byte;
  const step = isLittleEndian ? -1 : 1;
  const topBits = bit + bits - 8 * (span - 1);
  const top = bytes[index]! & ((1 << topBits) - 1);
  if (span === 1) return top >> bit;
  let value = top;
  for (let i = 2; i < span; i++) {
    index += step;
    value = value * 256 + bytes[index]!;
  }
  return value * (1 << (8 - bit)) + (bytes[index + step]! >> bit);
}

/** Unsigned value of a field of any width. */
export function readBig(bytes: Uint8Array, byte: number, bit: number, bits: number, isLittleEndian: boolean): bigint {
  const span = spannedBytes(bit, bits);
  let value = 0n;
  for (let i = 0; i < span; i++)
    value = (value << 8n) | BigInt(bytes[isLittleEndian ? byte + span - 1 - i : byte + i]!);
  return BigInt.asUintN(bits, value >> BigInt(bit));
}

/** Writes an unsigned value below 2^53; with `mask` (same alignment) only the bits that it names are touched. */
export function writeNumber(
  bytes: Uint8Array,
  byte: number,
  bit: number,
  bits: number,
  isLittleEndian: boolean,
  value: number,
  mask = -1,
): void {
  const span = spannedBytes(bit, bits);
  let rest = value;
  let maskRest = mask;
  let left = bits;
  let shift = bit;
  for (let i = 0; i < span; i++) {
    const index = isLittleEndian ? byte + i : byte + span - 1 - i;
    const take = Math.min(8 - shift, left);
    const size = 1 << take;
    const touched = (mask < 0 ? size - 1 : maskRest % size) << shift;
    bytes[index] = (bytes[index]! & ~touched) | (((rest % size) << shift) & touched);
    rest = Math.floor(rest / size);
    if (mask >= 0) maskRest = Math.floor(maskRest / size);
    left -= take;
    shift = 0;
  }
}

/** Writes an unsigned value of any width; with `mask` only the bits that it names are touched. */
export function writeBig(
  bytes: Uint8Array,
  byte: number,
  bit: number,
  bits: number,
  isLittleEndian: boolean,
  value: bigint,
  mask?: bigint,
): void {
  const span = spannedBytes(bit, bits);
  const touched = (mask ?? (1n << BigInt(bits)) - 1n) << BigInt(bit);
  const shifted = value << BigInt(bit);
  for (let i = 0; i < span; i++) {
    const index = isLittleEndian ? byte + i : byte + span - 1 - i;
    const byteMask = Number((touched >> BigInt(8 * i)) & 0xffn);
    bytes[index] = (bytes[index]! & ~byteMask) | (Number((shifted >> BigInt(8 * i)) & 0xffn) & byteMask);
  }
}

/** Big-endian value of bytes. */
export function bigOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** A bigint as a number where that is exact. */
export function narrow(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

/** Positions of the ones of a mask, least significant first. */
export function maskPositions(mask: bigint, bits: number): Uint8Array {
  const positions: number[] = [];
  for (let i = 0; i < bits; i++) if ((mask >> BigInt(i)) & 1n) positions.push(i);
  return Uint8Array.from(positions);
}

/** Packs the bits of `value` at `positions`, least significant first (condensed mask, decode). */
export function gather(value: number | bigint, positions: Uint8Array): bigint {
  const wide = BigInt(value);
  let packed = 0n;
  for (let i = 0; i < positions.length; i++) packed |= ((wide >> BigInt(positions[i]!)) & 1n) << BigInt(i);
  return packed;
}

/** Spreads the low bits of `value` to `positions` (condensed mask, encode). */
export function scatter(value: number | bigint, positions: Uint8Array): bigint {
  const wide = BigInt(value);
  let spread = 0n;
  for (let i = 0; i < positions.length; i++) spread |= ((wide >> BigInt(i)) & 1n) << BigInt(positions[i]!);
  return spread;
}
