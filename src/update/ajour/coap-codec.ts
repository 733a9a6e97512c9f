/** Messages of CoAP over UDP (RFC 7252 §3) and the value of its block options (RFC 7959 §2.2). */
import { Fault } from "#core/errors.ts";

/** RFC 7252 §3. */
export const TYPE = { confirmable: 0, nonConfirmable: 1, acknowledgement: 2, reset: 3 } as const;

/** RFC 7252 §12.1 and RFC 7959 §2.9: class in the upper three bits, detail below. */
export const CODE = {
  empty: 0x00,
  post: 0x02,
  changed: 0x44,
  content: 0x45,
  continue: 0x5f,
  badRequest: 0x80,
  unauthorized: 0x81,
  badOption: 0x82,
  notAcceptable: 0x86,
  entityIncomplete: 0x88,
  entityTooLarge: 0x8d,
} as const;

/** EXCHANGE_LIFETIME (RFC 7252 §4.8.2), milliseconds: so long may a message come again. */
export const EXCHANGE_LIFETIME_MS = 247_000;

/** RFC 7252 §12.2, RFC 7959 §6, RFC 9175 §5, and the two that Drogue Cloud added. */
export const OPTION = {
  uriHost: 3,
  etag: 4,
  uriPort: 7,
  uriPath: 11,
  contentFormat: 12,
  maxAge: 14,
  uriQuery: 15,
  accept: 17,
  block2: 23,
  block1: 27,
  echo: 252,
  /** `Basic …`, of a request. */
  drogueAuthorization: 4_209,
  /** Name of the command that an answer carries. */
  drogueCommand: 4_210,
} as const;

export interface CoapOption {
  readonly number: number;
  readonly value: Uint8Array;
}

export interface CoapMessage {
  readonly type: number;
  readonly code: number;
  readonly messageId: number;
  readonly token: Uint8Array;
  /** Ascending by number; a number may come several times. */
  readonly options: readonly CoapOption[];
  readonly payload: Uint8Array;
}

/** Where a block stands: `num` blocks of `16 << szx` bytes come before it. */
export interface Block {
  readonly num: number;
  readonly more: boolean;
  readonly szx: number;
}

/** Largest `szx`; 7 is reserved. */
export const MAX_SZX = 6;
const VERSION = 1;
const HEADER_BYTES = 4;
const MAX_TOKEN_BYTES = 8;
const PAYLOAD_MARKER = 0xff;
/** Nibbles that stand for one and for two bytes behind them, and what is taken off those. */
const ONE_BYTE = 13;
const TWO_BYTES = 14;
const TWO_BYTES_FROM = 269;
const NOTHING = new Uint8Array(0);

/** @throws Fault invalidData */
export function decodeMessage(bytes: Uint8Array): CoapMessage {
  const [first = 0, code = 0, high = 0, low = 0] = bytes;
  const tokenBytes = first & 0x0f;
  const start = HEADER_BYTES + tokenBytes;
  const sound = first >> 6 === VERSION && tokenBytes <= MAX_TOKEN_BYTES && bytes.length >= start;
  if (!sound || (code === CODE.empty && bytes.length !== HEADER_BYTES)) throw malformed();
  const message = { type: (first >> 4) & 0x03, code, messageId: (high << 8) | low };
  return { ...message, token: bytes.subarray(HEADER_BYTES, start), ...decodeBody(bytes, start) };
}

function decodeBody(bytes: Uint8Array, start: number): Pick<CoapMessage, "options" | "payload"> {
  const options: CoapOption[] = [];
  let at = start;
  let number = 0;
  const extended = (nibble: number): number => {
    if (nibble < ONE_BYTE) return nibble;
    if (nibble === ONE_BYTE) return byteAt(bytes, at++) + ONE_BYTE;
    if (nibble !== TWO_BYTES) throw malformed();
    at += 2;
    return ((byteAt(bytes, at - 2) << 8) | byteAt(bytes, at - 1)) + TWO_BYTES_FROM;
  };
  while (at < bytes.length) {
    const head = byteAt(bytes, at++);
    if (head === PAYLOAD_MARKER) {
      if (at === bytes.length) throw malformed();
      return { options, payload: bytes.subarray(at) };
    }
    number += extended(head >> 4);
    const length = extended(head & 0x0f);
    if (at + length > bytes.length || number > 0xffff) throw malformed();
    options.push({ number, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return { options, payload: NOTHING };
}

export function encodeMessage({ type, code, messageId, token, options, payload }: CoapMessage): Uint8Array {
  const parts = [Uint8Array.of((VERSION << 6) | (type << 4) | token.length, code, messageId >> 8, messageId), token];
  let before = 0;
  for (const { number, value } of options.toSorted((a, b) => a.number - b.number)) {
    const [delta, deltaMore] = shortened(number - before);
    const [length, lengthMore] = shortened(value.length);
    parts.push(Uint8Array.of((delta << 4) | length, ...deltaMore, ...lengthMore), value);
    before = number;
  }
  if (payload.length > 0) parts.push(Uint8Array.of(PAYLOAD_MARKER), payload);
  return Buffer.concat(parts);
}

function shortened(value: number): [nibble: number, more: number[]] {
  if (value < ONE_BYTE) return [value, []];
  if (value < TWO_BYTES_FROM) return [ONE_BYTE, [value - ONE_BYTE]];
  return [TWO_BYTES, [(value - TWO_BYTES_FROM) >> 8, (value - TWO_BYTES_FROM) & 0xff]];
}

/** @throws Fault invalidData */
export function decodeBlock(value: Uint8Array): Block {
  if (value.length > 3) throw malformed();
  const whole = decodeUint(value);
  const szx = whole & 0x07;
  if (szx > MAX_SZX) throw malformed();
  return { num: whole >> 4, more: (whole & 0x08) !== 0, szx };
}

export function encodeBlock({ num, more, szx }: Block): Uint8Array {
  return encodeUint((num << 4) | (more ? 0x08 : 0) | szx);
}

/** A number without leading zeros (RFC 7252 §3.2). */
export function encodeUint(value: number): Uint8Array {
  return value === 0 ? NOTHING : Uint8Array.of(...encodeUint(value >>> 8), value & 0xff);
}

export function decodeUint(value: Uint8Array): number {
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw malformed();
  return byte;
}

function malformed(): Fault {
  return new Fault("invalidData", "No CoAP message");
}
