/** A tape as JSON bytes or as plain objects: the two forms of one decoded answer. */
import { toHex } from "#core/bytes.ts";
import { type ConstText, shortestSingle } from "./compu.ts";
import { type JsonBytes, jsonBytes } from "./json-bytes.ts";
import { Mark, type Tape } from "./tape.ts";
import { decodeText, type TextEncoding } from "./text.ts";

/** How byte fields are shown and read: `"0x01 0xAB"` as the CDA, or base64. */
export type ByteFormat = "hex" | "base64";

const NULL = jsonBytes(null);
const COMMA = 0x2c;
const BRACES = { open: 0x7b, close: 0x7d, openArray: 0x5b, closeArray: 0x5d };

/** Appends the members on the tape as one JSON object; `null` when there are none. */
export function renderJson(tape: Tape, byteFormat: ByteFormat, out: JsonBytes): void {
  if (isEmpty(tape)) out.raw(NULL);
  else renderMembers(tape, 0, tape.count, byteFormat, out);
}

function renderMembers(tape: Tape, first: number, end: number, byteFormat: ByteFormat, out: JsonBytes): void {
  const start = out.length;
  out.byte(BRACES.open);
  if (isAscending(tape, first, end)) {
    for (let i = first; i < end; i = tape.last(i) + 1) {
      if (tape.mark[i] !== Mark.SKIPPED) renderMember(tape, i, byteFormat, out, start);
    }
  } else for (const i of sortedMembers(tape, first, end)) renderMember(tape, i, byteFormat, out, start);
  out.byte(BRACES.close);
}

/** `start`: where the object around begins. */
function renderMember(tape: Tape, i: number, byteFormat: ByteFormat, out: JsonBytes, start: number): void {
  if (out.length > start + 1) out.byte(COMMA);
  out.raw(tape.key[i]!.json);
  renderEntry(tape, i, byteFormat, out);
}

function renderItems(tape: Tape, first: number, end: number, byteFormat: ByteFormat, out: JsonBytes): void {
  out.byte(BRACES.openArray);
  for (let i = first; i < end; i = tape.last(i) + 1) {
    if (i > first) out.byte(COMMA);
    renderEntry(tape, i, byteFormat, out);
  }
  out.byte(BRACES.closeArray);
}

function renderEntry(tape: Tape, i: number, byteFormat: ByteFormat, out: JsonBytes): void {
  const mark = tape.mark[i];
  if (mark === Mark.OBJECT) renderMembers(tape, i + 1, tape.last(i), byteFormat, out);
  else if (mark === Mark.ARRAY) renderItems(tape, i + 1, tape.last(i), byteFormat, out);
  else renderValue(tape, i, byteFormat, out);
}

/** Whether the members between `first` and `end` stand in ascending order of their names already. */
function isAscending(tape: Tape, first: number, end: number): boolean {
  let before: string | undefined;
  for (let i = first; i < end; i = tape.last(i) + 1) {
    const { name } = tape.key[i]!;
    if (before !== undefined && before > name) return false;
    before = name;
  }
  return true;
}

/** Entries of the members in ascending order of their names: the CDA's objects are sorted maps. */
function sortedMembers(tape: Tape, first: number, end: number): number[] {
  const found: number[] = [];
  for (let i = first; i < end; i = tape.last(i) + 1) if (tape.mark[i] !== Mark.SKIPPED) found.push(i);
  return found.sort((a, b) => (tape.key[a]!.name < tape.key[b]!.name ? -1 : 1));
}

function isEmpty(tape: Tape): boolean {
  for (let i = 0; i < tape.count; i = tape.last(i) + 1) if (tape.mark[i] !== Mark.SKIPPED) return false;
  return true;
}

function renderValue(tape: Tape, i: number, byteFormat: ByteFormat, out: JsonBytes): void {
  const mark = tape.mark[i];
  const value = tape.value[i];
  const number = tape.number[i]!;
  const length = tape.length[i]!;
  if (mark === Mark.NUMBER) out.number(number);
  else if (mark === Mark.TEXT) out.text(value as Uint8Array, number, length, tape.encoding[i] as TextEncoding);
  else if (mark === Mark.CONST_TEXT) out.raw((value as ConstText).json);
  else if (mark === Mark.BIG) out.number(value as bigint);
  else if (mark === Mark.SINGLE) out.number(shortestSingle(number));
  else if (mark === Mark.BYTES && byteFormat === "hex") out.hex(value as Uint8Array, number, length);
  else if (mark === Mark.BYTES) out.string(bytesText(tape, i, byteFormat));
  else out.raw(jsonBytes(value));
}

/** The members on the tape as an object; null when there are none. Integers beyond 2^53 are bigints. */
export function renderObject(tape: Tape, byteFormat: ByteFormat): Record<string, unknown> | null {
  return isEmpty(tape) ? null : objectOf(tape, 0, tape.count, byteFormat);
}

function objectOf(tape: Tape, first: number, end: number, byteFormat: ByteFormat): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const i of sortedMembers(tape, first, end)) {
    setMember(object, tape.key[i]!.name, entryValue(tape, i, byteFormat));
  }
  return object;
}

function arrayOf(tape: Tape, first: number, end: number, byteFormat: ByteFormat): unknown[] {
  const list: unknown[] = [];
  for (let i = first; i < end; i = tape.last(i) + 1) list.push(entryValue(tape, i, byteFormat));
  return list;
}

function entryValue(tape: Tape, i: number, byteFormat: ByteFormat): unknown {
  const mark = tape.mark[i];
  if (mark === Mark.OBJECT) return objectOf(tape, i + 1, tape.last(i), byteFormat);
  if (mark === Mark.ARRAY) return arrayOf(tape, i + 1, tape.last(i), byteFormat);
  return scalarOf(tape, i, byteFormat);
}

/** A member also when the database names it `__proto__`. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__")
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  else object[name] = value;
}

function scalarOf(tape: Tape, i: number, byteFormat: ByteFormat): unknown {
  switch (tape.mark[i]) {
    case Mark.NUMBER:
      return finite(tape.number[i]!);
    case Mark.SINGLE:
      return finite(shortestSingle(tape.number[i]!));
    case Mark.TEXT:
      return decodeText(
        tape.value[i] as Uint8Array,
        tape.number[i]!,
        tape.length[i]!,
        tape.encoding[i] as TextEncoding,
      );
    case Mark.CONST_TEXT:
      return (tape.value[i] as ConstText).text;
    case Mark.BYTES:
      return bytesText(tape, i, byteFormat);
    default:
      return tape.value[i];
  }
}

/** JSON has no NaN and no infinity. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function bytesText(tape: Tape, i: number, byteFormat: ByteFormat): string {
  const start = tape.number[i]!;
  return formatBytes((tape.value[i] as Uint8Array).subarray(start, start + tape.length[i]!), byteFormat);
}

/** A byte field as text. */
export function formatBytes(bytes: Uint8Array, format: ByteFormat): string {
  if (format === "base64") return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  return bytes.length === 0 ? "" : `0x${toHex(bytes, " 0x")}`;
}
