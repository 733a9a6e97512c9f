import { Fault } from "#core/errors.ts";
import type { ContainerLimits } from "./limits.ts";

/**
 * Header of an "LZMA alone" stream: properties (pb·5+lp)·9+lc, dictionary size u32 LE, uncompressed size u64 LE, which is all
 * ones when an end mark closes the stream; then the range coder, whose first byte is always zero.
 */
export interface LzmaHeader {
  readonly dictionaryBytes: number;
  /** Undefined: unknown, the stream has an end mark. */
  readonly uncompressedBytes: number | undefined;
}

export const LZMA_HEADER_BYTES = 13;
const SIZE_OFFSET = 5;
const PROPERTIES_END = 225;
const MAX_LC_LP = 4;
const UNKNOWN_SIZE = 0xffff_ffff_ffff_ffffn;

/** Reads and checks a header; throws `Fault("invalidContainer")` when it is none or asks for more than the limits allow. */
export function readLzmaHeader(data: Uint8Array, limits: ContainerLimits): LzmaHeader {
  if (data.length <= LZMA_HEADER_BYTES) throw broken("stream is shorter than its header");
  const properties = data[0]!;
  const lc = properties % 9;
  const lp = Math.floor(properties / 9) % 5;
  if (properties >= PROPERTIES_END || lc + lp > MAX_LC_LP) throw broken(`properties ${properties} are not allowed`);
  if (data[LZMA_HEADER_BYTES] !== 0) throw broken("range coder does not start with zero");
  const view = new DataView(data.buffer, data.byteOffset, LZMA_HEADER_BYTES);
  const dictionaryBytes = view.getUint32(1, true);
  if (dictionaryBytes > limits.maxDictionaryBytes)
    throw broken(`dictionary of ${dictionaryBytes} bytes exceeds the limit`);
  const size = view.getBigUint64(SIZE_OFFSET, true);
  return { dictionaryBytes, uncompressedBytes: size === UNKNOWN_SIZE ? undefined : Number(size) };
}

/** A copy of the stream whose header declares the size: a decoder that trusts it cannot be made to write more. */
export function withDeclaredSize(data: Uint8Array, uncompressedBytes: number): Uint8Array {
  // Not data.slice(): on a Buffer that is a view, and the file would be written to.
  const copy = new Uint8Array(data);
  new DataView(copy.buffer).setBigUint64(SIZE_OFFSET, BigInt(uncompressedBytes), true);
  return copy;
}

function broken(what: string): Fault {
  return new Fault("invalidContainer", `LZMA: ${what}`);
}
