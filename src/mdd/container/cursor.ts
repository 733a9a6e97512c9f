import { Fault } from "#core/errors.ts";
import { WIRE } from "./messages.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const MAX_VARINT_BYTES = 10;
/** 2^63: of the tenth byte only its lowest bit still counts. */
const TENTH_BYTE_MAX = 1;

export function invalid(offset: number, what: string): Fault {
  return new Fault("invalidContainer", `${what} at offset ${offset}`, { offset });
}

/** A window `at … end` of the file; offsets stay those of the file, so that a fault can name them. */
export interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
}

/** An unsigned varint; one above 2^53 is refused, no field means it. */
export function readVarint(cursor: Cursor): number {
  const start = cursor.at;
  let value = 0;
  let weight = 1;
  for (let i = 0; i < MAX_VARINT_BYTES; i++) {
    if (cursor.at >= cursor.end) throw invalid(start, "varint is cut off");
    const byte = cursor.bytes[cursor.at++]!;
    if (i === MAX_VARINT_BYTES - 1 && byte > TENTH_BYTE_MAX) break;
    value += (byte & 0x7f) * weight;
    weight *= 128;
    if (byte >= 0x80) continue;
    if (!Number.isSafeInteger(value)) throw invalid(start, "varint is too large");
    return value;
  }
  throw invalid(start, "varint is longer than 64 bits");
}

/** Reads a length and returns the window after it; the cursor moves behind the window. */
export function readWindow(cursor: Cursor, what: string): Cursor {
  const start = cursor.at;
  const bytes = readVarint(cursor);
  if (bytes > cursor.end - cursor.at) {
    throw invalid(start, `${what} of ${bytes} bytes exceeds the ${cursor.end - cursor.at} that remain`);
  }
  const at = cursor.at;
  cursor.at += bytes;
  return { bytes: cursor.bytes, at, end: cursor.at };
}

/** Content of a window, not copied. */
export function contentOf(window: Cursor): Uint8Array {
  return window.bytes.subarray(window.at, window.end);
}

export function textOf(window: Cursor, what: string): string {
  try {
    return UTF8.decode(contentOf(window));
  } catch {
    throw invalid(window.at, `${what} is not UTF-8`);
  }
}

/** Moves behind a field of any wire type; groups are not part of proto3. */
export function skipField(cursor: Cursor, wireType: number, what: string): void {
  if (wireType === WIRE.varint) skipVarint(cursor);
  else if (wireType === WIRE.bytes) readWindow(cursor, what);
  else if (wireType === WIRE.fixed64) skipBytes(cursor, 8, what);
  else if (wireType === WIRE.fixed32) skipBytes(cursor, 4, what);
  else throw invalid(cursor.at, `${what} has wire type ${wireType}, which does not exist`);
}

function skipVarint(cursor: Cursor): void {
  const start = cursor.at;
  while (cursor.at < cursor.end && cursor.at - start < MAX_VARINT_BYTES) {
    if (cursor.bytes[cursor.at++]! < 0x80) return;
  }
  throw invalid(start, "varint is cut off or longer than 64 bits");
}

function skipBytes(cursor: Cursor, bytes: number, what: string): void {
  if (bytes > cursor.end - cursor.at) throw invalid(cursor.at, `${what} is cut off`);
  cursor.at += bytes;
}
