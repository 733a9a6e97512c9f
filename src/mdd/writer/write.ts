import { Builder } from "flatbuffers";
import { Fault } from "#core/errors.ts";
import type { EcuData } from "../generated/description.ts";
import type { ElementField, Field, FieldType, ScalarField, ScalarType } from "../schema.ts";
import { ENUMS, fieldsOf, isUnion, ROOT_TABLE, UNIONS } from "../schema.ts";

type Described = Readonly<Record<string, unknown>>;

/** A field ready for the builder: its slot and a number, or the offset of what it refers to. */
interface Ready {
  readonly id: number;
  readonly type: ScalarType | "i8" | "offset";
  readonly value: number;
  readonly default: number | null;
}

/**
 * Equal content is stored once: children come first, so that equal tables have equal keys. `done` saves the walk where the
 * description itself shares objects.
 */
interface Writer {
  readonly builder: Builder;
  readonly byKey: Map<string, number>;
  readonly done: Map<string, Map<object, number>>;
}

/** A description nested deeper is cyclic or beyond what any reader follows. */
const MAX_DEPTH = 250;
const FIRST_BYTES = 1 << 16;

/**
 * The FlatBuffer of a description. Equal strings, lists and tables are shared, explicit zeros of optional scalars kept. Throws
 * `Fault("invalidData")` naming the path of a field that the schema does not have or whose value does not fit.
 */
export function writeEcuData(description: EcuData): Uint8Array {
  const writer: Writer = { builder: new Builder(FIRST_BYTES), byKey: new Map(), done: new Map() };
  writer.builder.finish(writeTable(writer, ROOT_TABLE, description, ROOT_TABLE, 1));
  return writer.builder.asUint8Array();
}

function wrong(path: string, what: string): Fault {
  return new Fault("invalidData", `${path} ${what}`, { path });
}

/** Offset of a piece of content, made only when no equal one was written before. */
function shared(writer: Writer, key: string, make: () => number): number {
  const known = writer.byKey.get(key);
  if (known !== undefined) return known;
  const offset = make();
  writer.byKey.set(key, offset);
  return offset;
}

function writeTable(writer: Writer, table: string, described: unknown, path: string, depth: number): number {
  if (typeof described !== "object" || described === null) throw wrong(path, `must be a ${table}`);
  if (depth > MAX_DEPTH) throw wrong(path, "is nested too deeply");
  const done = writer.done.get(table) ?? new Map<object, number>();
  writer.done.set(table, done);
  const known = done.get(described);
  if (known !== undefined) return known;
  const fields = fieldsOf(table);
  checkNames(fields, described, path);
  const ready = fields.flatMap((field) => readyField(writer, field, described as Described, path, depth));
  const key = `${table}|${ready.map(({ id, value }) => `${id}:${Object.is(value, -0) ? "-0" : value}`).join(" ")}`;
  const offset = shared(writer, key, () => buildTable(writer.builder, (fields.at(-1)?.id ?? -1) + 1, ready));
  done.set(described, offset);
  return offset;
}

function checkNames(fields: readonly Field[], described: object, path: string): void {
  for (const name of Object.keys(described)) {
    const isKnown = fields.some(
      (field) => field.name === name || (isUnion(field.type) && `${field.name}_type` === name),
    );
    if (!isKnown) throw wrong(`${path}.${name}`, "is no field of the schema");
  }
}

function buildTable(builder: Builder, slots: number, fields: readonly Ready[]): number {
  builder.startObject(slots);
  // Wide values first, so that no padding falls between them.
  for (const bytes of [8, 4, 1]) {
    for (const field of fields) if (BYTES[field.type] === bytes) addField(builder, field);
  }
  return builder.endObject();
}

const BYTES: Readonly<Record<Ready["type"], number>> = { f64: 8, u32: 4, i32: 4, offset: 4, bool: 1, u8: 1, i8: 1 };

function addField(builder: Builder, { id, type, value, default: absent }: Ready): void {
  // The runtime takes null for "always store", its types do not say so.
  const unless = absent as number;
  if (type === "offset") builder.addFieldOffset(id, value, 0);
  else if (type === "f64") builder.addFieldFloat64(id, value, unless);
  else if (type === "u32" || type === "i32") builder.addFieldInt32(id, value, unless);
  else builder.addFieldInt8(id, value, unless);
}

function readyField(writer: Writer, field: Field, described: Described, parent: string, depth: number): Ready[] {
  const { id, name, type } = field;
  const value = described[name];
  const kind = isUnion(type) ? described[`${name}_type`] : undefined;
  if (value === undefined && kind === undefined) return [];
  const path = `${parent}.${name}`;
  if (isUnion(type)) return readyUnion(writer, field, value, kind, path, depth);
  if (type.kind === "scalar")
    return [{ id, type: type.type, value: scalar(type, value, path), default: defaultOf(type) }];
  if (type.kind === "enum") return [{ id, type: "i8", value: member(ENUMS, type.of, value, path), default: 0 }];
  return [{ id, type: "offset", value: writeReference(writer, type, value, path, depth), default: 0 }];
}

function defaultOf({ default: value }: ScalarField): number | null {
  return value === null ? null : Number(value);
}

function readyUnion(
  writer: Writer,
  { id, type }: Field,
  value: unknown,
  kind: unknown,
  path: string,
  depth: number,
): Ready[] {
  if (value === undefined || kind === undefined) throw wrong(path, "needs both value and type");
  if (type.kind === "list") {
    const [types, values] = writeUnionList(writer, type.of, value, kind, path, depth);
    return [
      { id: id - 1, type: "offset", value: types, default: 0 },
      { id, type: "offset", value: values, default: 0 },
    ];
  }
  const number = member(UNIONS, (type as { of: string }).of, kind, `${path}_type`) + 1;
  return [
    { id: id - 1, type: "u8", value: number, default: 0 },
    { id, type: "offset", value: writeTable(writer, kind as string, value, path, depth + 1), default: 0 },
  ];
}

function writeReference(writer: Writer, type: FieldType, value: unknown, path: string, depth: number): number {
  if (type.kind === "string") return writeString(writer, value, path);
  if (type.kind === "table") return writeTable(writer, type.of, value, path, depth + 1);
  if (type.kind !== "list") throw new Error(`${type.kind} is not a reference`);
  const elements = listOf(value, path);
  const { of } = type;
  if (of.kind === "string" || of.kind === "table") {
    return writeOffsets(
      writer,
      elements.map((element, i) => writeReference(writer, of, element, `${path}[${i}]`, depth)),
    );
  }
  return writeNumbers(writer, of, elements, path);
}

function writeString(writer: Writer, value: unknown, path: string): number {
  if (typeof value !== "string") throw wrong(path, "must be a string");
  return shared(writer, `"${value}`, () => writer.builder.createString(value));
}

function listOf(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(path, "must be a list");
  return value;
}

function writeOffsets(writer: Writer, offsets: readonly number[]): number {
  const { builder } = writer;
  return shared(writer, `[${offsets.join(" ")}`, () => {
    builder.startVector(4, offsets.length, 4);
    for (let i = offsets.length - 1; i >= 0; i--) builder.addOffset(offsets[i]!);
    return builder.endVector();
  });
}

function writeNumbers(writer: Writer, of: ElementField, elements: readonly unknown[], path: string): number {
  const type: Ready["type"] = of.kind === "scalar" ? of.type : "i8";
  const numbers = elements.map((element, i) => {
    const at = `${path}[${i}]`;
    return of.kind === "scalar" ? scalar(of, element, at) : member(ENUMS, (of as { of: string }).of, element, at);
  });
  return writePlain(writer, type, numbers);
}

function writePlain(writer: Writer, type: Ready["type"], numbers: readonly number[]): number {
  const { builder } = writer;
  const key = `${type}[${numbers.map((value) => (Object.is(value, -0) ? "-0" : value)).join(" ")}`;
  return shared(writer, key, () => {
    builder.startVector(BYTES[type], numbers.length, BYTES[type]);
    for (let i = numbers.length - 1; i >= 0; i--) {
      if (type === "f64") builder.addFloat64(numbers[i]!);
      else if (BYTES[type] === 4) builder.addInt32(numbers[i]!);
      else builder.addInt8(numbers[i]!);
    }
    return builder.endVector();
  });
}

function writeUnionList(
  writer: Writer,
  of: ElementField,
  value: unknown,
  kinds: unknown,
  path: string,
  depth: number,
): [number, number] {
  const values = listOf(value, path);
  const types = listOf(kinds, `${path}_type`);
  if (types.length !== values.length) throw wrong(path, "and its types differ in length");
  const numbers = types.map((kind, i) => member(UNIONS, (of as { of: string }).of, kind, `${path}_type[${i}]`) + 1);
  const offsets = values.map((element, i) =>
    writeTable(writer, types[i] as string, element, `${path}[${i}]`, depth + 1),
  );
  return [writePlain(writer, "u8", numbers), writeOffsets(writer, offsets)];
}

/** Number of a member in a table of names. */
function member(
  tables: Readonly<Record<string, readonly string[]>>,
  table: string,
  value: unknown,
  path: string,
): number {
  const number = typeof value === "string" ? tables[table]!.indexOf(value) : -1;
  if (number < 0) throw wrong(path, `must be a member of ${table}`);
  return number;
}

const RANGES = { u8: [0, 0xff], u32: [0, 0xffff_ffff], i32: [-0x8000_0000, 0x7fff_ffff] } as const;

function scalar({ type }: ScalarField, value: unknown, path: string): number {
  if (type === "bool") {
    if (typeof value !== "boolean") throw wrong(path, "must be true or false");
    return Number(value);
  }
  if (typeof value !== "number") throw wrong(path, "must be a number");
  if (type === "f64") return value;
  const [min, max] = RANGES[type];
  if (!Number.isInteger(value) || value < min || value > max)
    throw wrong(path, `must be a whole number ${min} to ${max}`);
  return value;
}
