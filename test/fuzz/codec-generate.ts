// Random database definitions with random values in their range, drawn from one fast-check generator so that failures shrink.

import type { CompuMethod, DataType, DiagCodedType, DOP, Param } from "#mdd/generated/description.ts";
import {
  codedConst,
  compuMethod,
  compuScale,
  dtc,
  dtcDop,
  dynamicLengthField,
  endOfPduField,
  leadingLength,
  lengthKey,
  limit,
  linear,
  minMaxLength,
  mux,
  muxCase,
  normalDop,
  paramLength,
  physConst,
  physicalType,
  reserved,
  standardLength,
  staticField,
  structure,
  tableDop,
  tableKey,
  tableRow,
  tableStruct,
  textDop,
  textTable,
  unsigned,
  value,
} from "#mdd/writer/dsl.ts";
import fc from "../fixtures/properties.ts";

export type Draw = fc.GeneratorValue;

/** Parameters and the values to send for them; what decoding must give back equals `values` and `constants`. */
export interface Definition {
  readonly params: Param[];
  readonly values: Record<string, unknown>;
  readonly constants: Record<string, unknown>;
}

interface Leaf {
  readonly dop: DOP;
  readonly value: unknown;
}

const MAX_DEPTH = 3;

/** Names are unique in one definition. */
interface Context {
  readonly draw: Draw;
  next: number;
}

function int(c: Context, min: number, max: number): number {
  return c.draw(fc.integer, { min, max });
}

function pick<T>(c: Context, ...options: readonly T[]): T {
  return options[int(c, 0, options.length - 1)] as T;
}

function name(c: Context): string {
  return `p${c.next++}`;
}

function big(c: Context, min: bigint, max: bigint): number | bigint {
  const drawn = c.draw(fc.bigInt, { min, max });
  const isNumber = drawn <= BigInt(Number.MAX_SAFE_INTEGER) && drawn >= BigInt(Number.MIN_SAFE_INTEGER);
  return isNumber ? Number(drawn) : drawn;
}

/** Any definition; the last parameter may reach to the end of the message. */
export function drawDefinition(draw: Draw): Definition {
  const context = { draw, next: 0 };
  const definition = drawMembers(context, 0);
  if (context.draw(fc.boolean)) addTail(context, definition);
  return definition;
}

function drawMembers(c: Context, depth: number): Definition {
  const definition: Definition = { params: [], values: {}, constants: {} };
  const count = int(c, 1, 4);
  for (let i = 0; i < count; i++) addMember(c, definition, depth);
  return definition;
}

function addMember(c: Context, into: Definition, depth: number): void {
  const simple = [addScalar, addScalar, addScalar, addBits, addConstant, addReserved, addLength, addDtc] as const;
  const nested = [addStructure, addStatic, addDynamic, addMux, addTable] as const;
  const add = depth < MAX_DEPTH && c.draw(fc.boolean) ? pick(c, ...nested) : pick(c, ...simple);
  add(c, into, depth);
}

function addValue(c: Context, into: Definition, { dop, value: given }: Leaf, bit?: number): void {
  const called = name(c);
  into.params.push(value(called, dop, { bit }));
  into.values[called] = given;
}

function addScalar(c: Context, into: Definition): void {
  const draw = pick(c, drawInteger, drawInteger, drawFloat, drawText, drawBytes, drawComputed);
  addValue(c, into, draw(c));
}

/** A bit field that begins anywhere in a byte. */
function addBits(c: Context, into: Definition): void {
  addValue(c, into, drawInteger(c), int(c, 0, 7));
}

/** Integers of every width, order, encoding and mask. */
function drawInteger(c: Context): Leaf {
  const littleEndian = c.draw(fc.boolean);
  const kind = pick(c, "plain", "signed", "bcd", "mask", "condensed");
  if (kind === "bcd") return drawBcd(c, littleEndian);
  const bits = int(c, kind === "signed" ? 2 : 1, 64);
  const all = (1n << BigInt(bits)) - 1n;
  if (kind === "signed") {
    const encoding = pick(c, undefined, "2C", "1C", "SM");
    const half = 1n << BigInt(bits - 1);
    const least = encoding === "1C" || encoding === "SM" ? 1n - half : -half;
    return integer("A_INT_32", standardLength("A_INT_32", bits, { encoding, littleEndian }), big(c, least, half - 1n));
  }
  if (kind === "plain")
    return integer("A_UINT_32", standardLength("A_UINT_32", bits, { littleEndian }), big(c, 0n, all));
  const mask = BigInt(c.draw(fc.bigInt, { min: 1n, max: all }));
  const bytes = maskBytes(mask, bits);
  const condensed = kind === "condensed";
  const coded = standardLength("A_UINT_32", bits, { littleEndian, mask: bytes, condensed });
  const ones = mask.toString(2).replaceAll("0", "").length;
  const drawn = condensed ? big(c, 0n, (1n << BigInt(ones)) - 1n) : BigInt(big(c, 0n, all)) & mask;
  return integer("A_UINT_32", coded, typeof drawn === "bigint" && drawn <= 2n ** 53n - 1n ? Number(drawn) : drawn);
}

function integer(type: "A_INT_32" | "A_UINT_32", coded: DiagCodedType, given: unknown): Leaf {
  return { dop: normalDop("i", { coded, physical: physicalType(type) }), value: given };
}

function maskBytes(mask: bigint, bits: number): number[] {
  const bytes: number[] = [];
  for (let i = 0, rest = mask; i < Math.ceil(bits / 8); i++, rest >>= 8n) bytes.unshift(Number(rest & 0xffn));
  return bytes;
}

function drawBcd(c: Context, littleEndian: boolean): Leaf {
  const encoding = pick(c, "BCD-P", "BCD-UP");
  const digits = int(c, 1, encoding === "BCD-P" ? 16 : 8);
  const coded = standardLength("A_UINT_32", digits * (encoding === "BCD-P" ? 4 : 8), { encoding, littleEndian });
  return integer("A_UINT_32", coded, big(c, 0n, 10n ** BigInt(digits) - 1n));
}

function drawFloat(c: Context): Leaf {
  const littleEndian = c.draw(fc.boolean);
  const isSingle = c.draw(fc.boolean);
  const type: DataType & ("A_FLOAT_32" | "A_FLOAT_64") = isSingle ? "A_FLOAT_32" : "A_FLOAT_64";
  const drawn = isSingle
    ? c.draw(fc.float, { noNaN: true, noDefaultInfinity: true })
    : c.draw(fc.double, { noNaN: true, noDefaultInfinity: true });
  const coded = standardLength(type, isSingle ? 32 : 64, { littleEndian });
  return { dop: normalDop("f", { coded, physical: physicalType(type) }), value: drawn === 0 ? 0 : drawn };
}

const ALPHABETS: Readonly<Record<string, string>> = {
  A_ASCIISTRING: 'AZaz09 "\\/éß\u0001\u0080ÿ',
  A_UTF_8_STRING: 'AZaz "\\é日\u0001',
  A_UNICODE_2_STRING: 'AZaz "\\é日\u0001\ud83d\ude00\ud800',
};

function drawString(c: Context, type: string, length: number): string {
  const alphabet = ALPHABETS[type] ?? "";
  let text = "";
  for (let i = 0; i < length; i++) text += alphabet[int(c, 0, alphabet.length - 1)];
  return text;
}

function byteLength(type: string, text: string): number {
  if (type === "A_UTF_8_STRING") return Buffer.byteLength(text);
  return type === "A_UNICODE_2_STRING" ? 2 * text.length : text.length;
}

type TextType = "A_ASCIISTRING" | "A_UTF_8_STRING" | "A_UNICODE_2_STRING";

/** Texts of fixed, leading and terminated length. */
function drawText(c: Context): Leaf {
  const type: TextType = pick(c, "A_ASCIISTRING", "A_UTF_8_STRING", "A_UNICODE_2_STRING");
  const littleEndian = c.draw(fc.boolean);
  const text = drawString(c, type, int(c, 1, 12));
  const bytes = byteLength(type, text);
  const options = { littleEndian };
  const coded = pick(
    c,
    () => standardLength(type, 8 * bytes, options),
    () => leadingLength(type, pick(c, 8, 12, 16, 24), options),
    () => minMaxLength(type, { ...options, minBytes: 0, termination: "ZERO" }),
    () => minMaxLength(type, { ...options, minBytes: 0, maxBytes: bytes, termination: "ZERO" }),
  )();
  return { dop: normalDop("t", { coded, physical: physicalType(type) }), value: text };
}

function hexOf(bytes: readonly number[]): string {
  return bytes.map((byte) => `0x${byte.toString(16).padStart(2, "0").toUpperCase()}`).join(" ");
}

function drawOctets(c: Context, min: number, max: number, highest = 255): number[] {
  return Array.from({ length: int(c, min, max) }, () => int(c, 0, highest));
}

function drawBytes(c: Context): Leaf {
  const octets = drawOctets(c, 1, 9, 254);
  const coded = pick(
    c,
    () => standardLength("A_BYTEFIELD", 8 * octets.length),
    () => leadingLength("A_BYTEFIELD", pick(c, 4, 8, 16)),
    () => minMaxLength("A_BYTEFIELD", { minBytes: 1, termination: "HEX_FF" }),
  )();
  return { dop: normalDop("b", { coded, physical: physicalType("A_BYTEFIELD") }), value: hexOf(octets) };
}

/** Numbers behind a compu method whose steps are exact in binary. */
function drawComputed(c: Context): Leaf {
  const bits = int(c, 3, 24);
  const internal = int(c, 0, 2 ** bits - 1);
  const [compu, physical] = pick(c, drawLinear, drawScaleLinear, drawRational, drawTable)(c, bits, internal);
  if (typeof physical === "string") return { dop: textDop("x", bits, compu), value: physical };
  return { dop: unsigned("c", bits, { compu, physical: physicalType("A_FLOAT_64") }), value: physical };
}

type Computed = readonly [CompuMethod, number | string];

function drawLinear(c: Context, _bits: number, internal: number): Computed {
  const factor = pick(c, 1, -1, 0.5, 2, -0.25, 4);
  const offset = int(c, -1000, 1000);
  return [linear(offset, factor), offset + factor * internal];
}

function drawScaleLinear(c: Context, bits: number, internal: number): Computed {
  const edge = int(c, 1, 2 ** bits - 2);
  const scales = [
    compuScale({ lower: limit(0), upper: limit(edge), numerator: [0, 1] }),
    compuScale({ lower: limit(edge, "OPEN"), numerator: [-edge, 2] }),
  ];
  return [compuMethod("SCALE_LINEAR", { scales }), internal <= edge ? internal : 2 * internal - edge];
}

function drawRational(c: Context, _bits: number, internal: number): Computed {
  const offset = int(c, -100, 100);
  const forward = compuScale({ numerator: [offset, 2], denominator: [4] });
  const inverse = compuScale({ numerator: [-offset, 4], denominator: [2] });
  return [compuMethod("RAT_FUNC", { scales: [forward] }, { scales: [inverse] }), (offset + 2 * internal) / 4];
}

function drawTable(c: Context, _bits: number, internal: number): Computed {
  const others = Object.fromEntries(Array.from({ length: int(c, 0, 4) }, (_, i) => [internal + 1 + i, `other ${i}`]));
  return [textTable({ ...others, [internal]: "this one" }), "this one"];
}

function addConstant(c: Context, into: Definition): void {
  const called = name(c);
  const constant = int(c, 0, 255);
  if (c.draw(fc.boolean)) into.params.push(codedConst(called, constant, 8));
  else into.params.push(physConst(called, String(constant), unsigned("k", 8)));
  into.constants[called] = constant;
}

function addReserved(c: Context, into: Definition): void {
  const called = name(c);
  const bits = int(c, 1, 32);
  into.params.push(reserved(called, bits, { bit: int(c, 0, 7) }));
  into.constants[called] = 0;
}

/** A length key and the value under it. */
function addLength(c: Context, into: Definition): void {
  const key = lengthKey(name(c), unsigned("n", 8));
  const octets = drawOctets(c, 0, 9);
  const isGiven = c.draw(fc.boolean);
  (isGiven ? into.values : into.constants)[key.short_name ?? ""] = octets.length;
  into.params.push(key);
  const coded = paramLength("A_BYTEFIELD", key);
  addValue(c, into, { dop: normalDop("l", { coded, physical: physicalType("A_BYTEFIELD") }), value: hexOf(octets) });
}

function addDtc(c: Context, into: Definition): void {
  const called = name(c);
  const code = int(c, 0, 0xffffff);
  const codes = [dtc("D", { code, text: "text", level: 2 })];
  into.params.push(value(called, dtcDop("d", codes, standardLength("A_UINT_32", 24), physicalType("A_UINT_32"))));
  into.values[called] = { code, fault_name: "text", severity: 2 };
}

/** Members as one structure, with the values of the whole. */
function drawStructure(c: Context, depth: number, byteSize?: number): Leaf & { readonly sent: unknown } {
  const inner = drawMembers(c, depth + 1);
  return {
    dop: structure("s", inner.params, byteSize),
    value: { ...inner.values, ...inner.constants },
    sent: inner.values,
  };
}

function addNested(c: Context, into: Definition, dop: DOP, sent: unknown, shown: unknown): void {
  const called = name(c);
  into.params.push(value(called, dop));
  into.values[called] = sent;
  into.constants[called] = shown;
}

function addStructure(c: Context, into: Definition, depth: number): void {
  const inner = drawStructure(c, depth);
  addNested(c, into, inner.dop, inner.sent, inner.value);
}

/** By depth, big enough for the structures drawn there: four members of three items of the next depth. */
const STATIC_ITEM_BYTES: readonly number[] = [1 << 16, 1 << 12, 1 << 8];

function addStatic(c: Context, into: Definition, depth: number): void {
  const item = drawStructure(c, depth);
  const items = int(c, 1, 3);
  const dop = staticField("f", item.dop, items, STATIC_ITEM_BYTES[depth] ?? 0);
  addNested(c, into, dop, Array(items).fill(item.sent), Array(items).fill(item.value));
}

function addDynamic(c: Context, into: Definition, depth: number): void {
  const item = drawStructure(c, depth);
  const items = int(c, 0, 3);
  const count = { byte: 0, bit: 4, dop: unsigned("n", 4) };
  const dop = dynamicLengthField("f", item.dop, 1, count);
  addNested(c, into, dop, Array(items).fill(item.sent), Array(items).fill(item.value));
}

function addMux(c: Context, into: Definition, depth: number): void {
  const inner = drawStructure(c, depth);
  const selector = int(c, 0, 255);
  const isDefault = c.draw(fc.boolean);
  const cases = [muxCase("Inner", limit(selector), limit(selector), isDefault ? undefined : inner.dop)];
  const other = (selector + 1) % 256;
  const dop = mux("m", {
    byte: 1,
    switchKey: { byte: 0, dop: unsigned("k", 8) },
    cases,
    defaultCase: { name: "Other", structure: isDefault ? inner.dop : undefined },
  });
  const caseName = isDefault ? "Other" : "Inner";
  const Selector = isDefault ? other : selector;
  addNested(c, into, dop, { Selector, [caseName]: inner.sent }, { Selector, [caseName]: inner.value });
}

function addTable(c: Context, into: Definition, depth: number): void {
  const inner = drawStructure(c, depth);
  const rows = [
    tableRow("Full", "1", { structure: inner.dop }),
    tableRow("Plain", "2", { dop: unsigned("v", 8) }),
    tableRow("Empty", "3"),
  ];
  const key = tableKey(name(c), tableDop("T", unsigned("k", 8), rows));
  const content = tableStruct(name(c), key);
  into.params.push(key, content);
  const [row, sent, shown] = pick(
    c,
    [1, { Full: inner.sent }, { Full: inner.value }] as const,
    [2, { Plain: 7 }, { Plain: 7 }] as const,
    [3, {}, {}] as const,
  );
  into.values[key.short_name ?? ""] = row;
  into.values[content.short_name ?? ""] = sent;
  into.constants[content.short_name ?? ""] = shown;
}

/** What can only stand last. */
function addTail(c: Context, into: Definition): void {
  if (c.draw(fc.boolean)) {
    const octets = drawOctets(c, 0, 9);
    const coded = minMaxLength("A_BYTEFIELD", { minBytes: 0 });
    addValue(c, into, { dop: normalDop("e", { coded, physical: physicalType("A_BYTEFIELD") }), value: hexOf(octets) });
    return;
  }
  const item = drawStructure(c, MAX_DEPTH);
  const items = int(c, 0, 3);
  const dop = endOfPduField("f", item.dop);
  addNested(c, into, dop, Array(items).fill(item.sent), Array(items).fill(item.value));
}

/** Contiguous integers that use every bit of their bytes: every message of the right length has one meaning and back. */
export function drawBijection(draw: Draw): { readonly params: Param[]; readonly bytes: number } {
  const c = { draw, next: 0 };
  const params: Param[] = [];
  let byte = 3;
  const groups = int(c, 1, 4);
  for (let group = 0; group < groups; group++) {
    const bytes = int(c, 1, 8);
    const isSplit = bytes === 1;
    const low = isSplit ? int(c, 1, 8) : 8 * bytes;
    const littleEndian = draw(fc.boolean);
    const type = pick(c, "A_INT_32", "A_UINT_32") as "A_INT_32" | "A_UINT_32";
    const part = (bits: number, bit: number) => {
      const coded = standardLength(type, bits, { littleEndian });
      params.push(value(name(c), normalDop("i", { coded, physical: physicalType(type) }), { byte, bit }));
    };
    part(low, 0);
    if (isSplit && low < 8) part(8 - low, low);
    byte += bytes;
  }
  return { params, bytes: byte - 3 };
}
