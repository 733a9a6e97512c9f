import { ByteBuffer } from "flatbuffers";
import { Fault } from "#core/errors.ts";
import type { EcuData } from "../generated/description.ts";
import type { ElementField, Field, FieldType, ScalarField, ScalarType } from "../schema.ts";
import { ENUMS, fieldsOf, isUnion, MISTYPED, ROOT_TABLE, UNIONS } from "../schema.ts";
import type { VerifyOptions } from "../verify/verify.ts";
import { verifyEcuData } from "../verify/verify.ts";

/** What is shared in the file is one object in the description, found by place and shape. */
interface Reader {
  readonly bb: ByteBuffer;
  readonly seen: Map<string, Map<number, unknown>>;
}

const BYTES: Readonly<Record<ScalarType, number>> = { bool: 1, u8: 1, u32: 4, i32: 4, f64: 8 };

/**
 * The description of a database: what `writeEcuData` takes. Sharing is kept (never unfolded), fields equal to their default
 * are left out. Throws `Fault("invalidDatabase")` when the bytes do not verify within `budget` or use members that the schema
 * does not have.
 */
export function readDescription(bytes: Uint8Array, budget: Partial<VerifyOptions> = {}): EcuData {
  const verified = verifyEcuData(bytes, budget);
  if (!verified.ok) throw damaged(`${verified.problem} (offset ${verified.offset}, ${verified.path})`);
  const bb = new ByteBuffer(bytes);
  return readTable({ bb, seen: new Map() }, ROOT_TABLE, bb.readInt32(0)) as EcuData;
}

/** The description of the one `table` at `offset` of a database that has been verified. @throws Fault invalidDatabase as above */
export function describeTable(bytes: Uint8Array, table: string, offset: number): unknown {
  return readTable({ bb: new ByteBuffer(bytes), seen: new Map() }, table, offset);
}

function damaged(what: string): Fault {
  return new Fault("invalidDatabase", `database: ${what}`);
}

function once(reader: Reader, shape: string, at: number, read: () => unknown): unknown {
  const places = reader.seen.get(shape) ?? new Map<number, unknown>();
  reader.seen.set(shape, places);
  const known = places.get(at);
  if (known !== undefined) return known;
  const value = read();
  places.set(at, value);
  return value;
}

function readTable(reader: Reader, table: string, at: number): unknown {
  return once(reader, table, at, () => {
    const described: Record<string, unknown> = {};
    for (const field of fieldsOf(table)) readField(reader, table, field, at, described);
    return described;
  });
}

const slotOf = (id: number): number => 4 + 2 * id;

function readField(reader: Reader, table: string, field: Field, at: number, into: Record<string, unknown>): void {
  const { name, id, type } = field;
  const offset = reader.bb.__offset(at, slotOf(id));
  if (offset === 0 || isMistyped(table, name, into)) return;
  if (isUnion(type)) {
    readUnion(reader, field, at, into);
  } else {
    const value = readValue(reader, type, at + offset);
    if (!isDefault(type, value)) into[name] = value;
  }
}

/** `into` already holds the guard: it stands before the list. */
function isMistyped(table: string, name: string, into: Record<string, unknown>): boolean {
  return table === MISTYPED.table && name === MISTYPED.field && into[MISTYPED.when] === true;
}

function isDefault(type: FieldType, value: unknown): boolean {
  if (type.kind === "scalar") return type.default !== null && Object.is(value, type.default);
  return type.kind === "enum" && value === (ENUMS as Members)[type.of]![0];
}

type Members = Readonly<Record<string, readonly string[]>>;

function readUnion(reader: Reader, { name, id, type }: Field, at: number, into: Record<string, unknown>): void {
  const { bb } = reader;
  const typeOffset = bb.__offset(at, slotOf(id - 1));
  const place = at + bb.__offset(at, slotOf(id));
  if (typeOffset === 0) return;
  if (type.kind !== "list") {
    const number = bb.readUint8(at + typeOffset);
    if (number === 0) return;
    const kind = unionMember((type as { of: string }).of, number);
    into[`${name}_type`] = kind;
    into[name] = readTable(reader, kind, bb.__indirect(place));
    return;
  }
  const { of } = type.of as { of: string };
  const types = elementsAt(bb, at + typeOffset, 1).map((element) => unionMember(of, bb.readUint8(element)));
  into[`${name}_type`] = types;
  into[name] = elementsAt(bb, place, 4).map((element, i) => readTable(reader, types[i]!, bb.__indirect(element)));
}

function unionMember(union: string, number: number): string {
  const kind = (UNIONS as Members)[union]![number - 1];
  if (kind === undefined) throw damaged(`${union} has no member ${number}`);
  return kind;
}

/** Places of a list's elements. */
function elementsAt(bb: ByteBuffer, place: number, bytes: number): number[] {
  const start = bb.__vector(place);
  return Array.from({ length: bb.__vector_len(place) }, (_, i) => start + i * bytes);
}

function readValue(reader: Reader, type: FieldType, place: number): unknown {
  const { bb } = reader;
  switch (type.kind) {
    case "scalar":
      return readScalar(bb, type, place);
    case "enum": {
      const number = bb.readInt8(place);
      const member = (ENUMS as Members)[type.of]![number];
      if (member === undefined) throw damaged(`${type.of} has no member ${number}`);
      return member;
    }
    case "string":
      return once(reader, "string", bb.__indirect(place), () => bb.__string(place));
    case "table":
      return readTable(reader, type.of, bb.__indirect(place));
    case "list":
      return once(reader, `list of ${shapeOf(type.of)}`, bb.__indirect(place), () =>
        elementsAt(bb, place, widthOf(type.of)).map((element) => readValue(reader, type.of, element)),
      );
    case "union":
      throw new Error("a union is read with its type");
  }
}

function shapeOf(of: ElementField): string {
  return of.kind === "scalar" ? of.type : of.kind === "string" ? "string" : of.of;
}

function widthOf(of: ElementField): number {
  if (of.kind === "scalar") return BYTES[of.type];
  return of.kind === "enum" ? 1 : 4;
}

function readScalar(bb: ByteBuffer, { type }: ScalarField, place: number): number | boolean {
  switch (type) {
    case "bool":
      return bb.readUint8(place) !== 0;
    case "u8":
      return bb.readUint8(place);
    case "u32":
      return bb.readUint32(place);
    case "i32":
      return bb.readInt32(place);
    case "f64":
      return bb.readFloat64(place);
  }
}
