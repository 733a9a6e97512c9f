/**
 * JSON written straight as UTF-8 bytes into one growing buffer. A worker keeps one and takes each answer out as a copy of its own,
 * so that the answer can be transferred to another thread.
 */
import { codeOfByte, TextEncoding } from "./text.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX_DIGITS = Uint8Array.from("0123456789ABCDEF", (c) => c.charCodeAt(0));
const LOWER_HEX = "0123456789abcdef";
const encoder = new TextEncoder();

/** Worst case of one UTF-16 code unit: `\u` and four digits. */
const MAX_UNIT_BYTES = 6;

/** A buffer that grew beyond this is given back after the answer. */
const KEPT_BYTES = 1 << 20;

/** The JSON text of a value as bytes, for names and constants prepared in advance. */
export function jsonBytes(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

export class JsonBytes {
  length = 0;
  private buffer: Uint8Array;

  constructor(initialBytes = 1024) {
    this.buffer = new Uint8Array(initialBytes);
  }

  /** Drops everything behind `length`; 0 begins anew. */
  reset(length = 0): void {
    this.length = length;
    if (length === 0 && this.buffer.length > KEPT_BYTES) this.buffer = new Uint8Array(KEPT_BYTES);
  }

  /** What has been written, where it lies; valid until the next write. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  /** What has been written, in a buffer of its own. */
  take(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = value;
  }

  /** Bytes that are JSON already. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** ASCII text that needs no escape. */
  ascii(text: string): void {
    this.reserve(text.length);
    for (let i = 0; i < text.length; i++) this.buffer[this.length++] = text.charCodeAt(i);
  }

  /** A number; what JSON cannot say (NaN, infinity) is null. */
  number(value: number | bigint): void {
    if (typeof value === "number" && (value | 0) === value && value >= 0) this.uint(value);
    else if (typeof value === "number" && !Number.isFinite(value)) this.ascii("null");
    else this.ascii(String(value));
  }

  private uint(value: number): void {
    this.reserve(10);
    let digits = 1;
    for (let limit = 10; limit <= value; limit *= 10) digits++;
    let rest = value;
    for (let i = this.length + digits - 1; i >= this.length; i--) {
      this.buffer[i] = 0x30 + (rest % 10);
      rest = (rest / 10) | 0;
    }
    this.length += digits;
  }

  /** Any JavaScript string, quoted. */
  string(text: string): void {
    const start = this.length;
    this.reserve(text.length + 2);
    this.buffer[this.length++] = QUOTE;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x20 || unit > 0x7e || unit === QUOTE || unit === BACKSLASH) {
        this.length = start;
        this.raw(jsonBytes(text));
        return;
      }
      this.buffer[this.length++] = unit;
    }
    this.buffer[this.length++] = QUOTE;
  }

  /** Payload bytes as quoted text. `textProblem` must have found nothing. */
  text(bytes: Uint8Array, start: number, length: number, encoding: TextEncoding): void {
    this.reserve(length * MAX_UNIT_BYTES + 2);
    this.buffer[this.length++] = QUOTE;
    if (encoding === TextEncoding.UTF_8) this.utf8(bytes, start, length);
    else if (encoding >= TextEncoding.UCS_2) this.ucs2(bytes, start, length, encoding);
    else for (let i = start; i < start + length; i++) this.unit(codeOfByte(bytes[i]!, encoding));
    this.buffer[this.length++] = QUOTE;
  }

  private utf8(bytes: Uint8Array, start: number, length: number): void {
    for (let i = start; i < start + length; i++) {
      const byte = bytes[i]!;
      if (byte >= 0x80) this.buffer[this.length++] = byte;
      else this.unit(byte);
    }
  }

  private ucs2(bytes: Uint8Array, start: number, length: number, encoding: TextEncoding): void {
    const high = encoding === TextEncoding.UCS_2 ? 0 : 1;
    const unitAt = (i: number) => (bytes[i + high]! << 8) | bytes[i + 1 - high]!;
    for (let i = start; i < start + length; i += 2) {
      const unit = unitAt(i);
      const next = (unit & 0xfc00) === 0xd800 && i + 2 < start + length ? unitAt(i + 2) : 0;
      if ((next & 0xfc00) === 0xdc00) {
        this.fourBytes(0x10000 + ((unit & 0x3ff) << 10) + (next & 0x3ff));
        i += 2;
      } else this.unit(unit);
    }
  }

  private fourBytes(codePoint: number): void {
    this.buffer[this.length++] = 0xf0 | (codePoint >> 18);
    this.buffer[this.length++] = 0x80 | ((codePoint >> 12) & 0x3f);
    this.buffer[this.length++] = 0x80 | ((codePoint >> 6) & 0x3f);
    this.buffer[this.length++] = 0x80 | (codePoint & 0x3f);
  }

  /** One UTF-16 code unit; room for it has been made. A lone surrogate is escaped, as JSON.stringify does it. */
  private unit(unit: number): void {
    const buffer = this.buffer;
    if (unit === QUOTE || unit === BACKSLASH) {
      buffer[this.length++] = BACKSLASH;
      buffer[this.length++] = unit;
    } else if (unit < 0x20 || (unit & 0xf800) === 0xd800) this.escape(unit);
    else if (unit < 0x80) buffer[this.length++] = unit;
    else if (unit < 0x800) {
      buffer[this.length++] = 0xc0 | (unit >> 6);
      buffer[this.length++] = 0x80 | (unit & 0x3f);
    } else {
      buffer[this.length++] = 0xe0 | (unit >> 12);
      buffer[this.length++] = 0x80 | ((unit >> 6) & 0x3f);
      buffer[this.length++] = 0x80 | (unit & 0x3f);
    }
  }

  private escape(unit: number): void {
    this.buffer[this.length++] = BACKSLASH;
    this.buffer[this.length++] = 0x75;
    for (let shift = 12; shift >= 0; shift -= 4)
      this.buffer[this.length++] = LOWER_HEX.charCodeAt((unit >> shift) & 0xf);
  }

  /** A byte field in the CDA's form: `"0x01 0xAB"`. */
  hex(bytes: Uint8Array, start: number, length: number): void {
    this.reserve(length * 5 + 2);
    const buffer = this.buffer;
    buffer[this.length++] = QUOTE;
    for (let i = 0; i < length; i++) {
      const value = bytes[start + i]!;
      if (i > 0) buffer[this.length++] = 0x20;
      buffer[this.length++] = 0x30;
      buffer[this.length++] = 0x78;
      buffer[this.length++] = HEX_DIGITS[value >> 4]!;
      buffer[this.length++] = HEX_DIGITS[value & 0xf]!;
    }
    buffer[this.length++] = QUOTE;
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}
