import type { FieldSpec, MddContainer, MessageSpec, WireType } from "./messages.ts";
import { MAGIC, MDD_FILE, wireTypeOf } from "./messages.ts";

const UTF8 = new TextEncoder();
type Message = Readonly<Record<string, unknown>>;

/** Pieces of an encoding: payloads are joined once, at the very end. */
interface Parts {
  readonly pieces: Uint8Array[];
  bytes: number;
}

/** Encodes a container canonically: fields by ascending number, unknown ones behind them, zero values left out. */
export function encodeContainer(container: MddContainer): Uint8Array {
  const { pieces, bytes } = encodeMessage(container as unknown as Message, MDD_FILE);
  const file = new Uint8Array(MAGIC.length + bytes);
  file.set(MAGIC);
  let at = MAGIC.length;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.length;
  }
  return file;
}

function encodeMessage(message: Message, spec: MessageSpec): Parts {
  const parts: Parts = { pieces: [], bytes: 0 };
  for (const field of spec.fields) {
    for (const value of valuesOf(message[field.name], field)) encodeField(parts, field, value);
  }
  for (const field of message.unknown as readonly Uint8Array[]) add(parts, field);
  return parts;
}

function valuesOf(value: unknown, { presence, type }: FieldSpec): Iterable<unknown> {
  if (presence === "repeated") return value as Iterable<unknown>;
  if (value === undefined) return [];
  return presence === "implicit" && isZero(value, type) ? [] : [value];
}

function isZero(value: unknown, type: WireType): boolean {
  return type === "varint" ? value === 0 : (value as string | Uint8Array).length === 0;
}

function encodeField(parts: Parts, { no, type }: FieldSpec, value: unknown): void {
  add(parts, varint(no * 8 + wireTypeOf(type)));
  if (type === "varint") add(parts, varint(value as number));
  else if (type === "string") addSized(parts, UTF8.encode(value as string));
  else if (type === "bytes") addSized(parts, value as Uint8Array);
  else
    addMessage(parts, type === "map" ? encodeEntry(value as [string, string]) : encodeMessage(value as Message, type));
}

function encodeEntry([key, value]: [string, string]): Parts {
  const parts: Parts = { pieces: [], bytes: 0 };
  encodeField(parts, { no: 1, name: "key", type: "string", presence: "implicit" }, key);
  encodeField(parts, { no: 2, name: "value", type: "string", presence: "implicit" }, value);
  return parts;
}

function add(parts: Parts, piece: Uint8Array): void {
  parts.pieces.push(piece);
  parts.bytes += piece.length;
}

function addSized(parts: Parts, content: Uint8Array): void {
  add(parts, varint(content.length));
  add(parts, content);
}

function addMessage(parts: Parts, message: Parts): void {
  add(parts, varint(message.bytes));
  for (const piece of message.pieces) add(parts, piece);
}

/** A non-negative safe integer as varint. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
