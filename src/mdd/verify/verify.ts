import { ROOT_TABLE } from "../schema.ts";
import type { Memory } from "./memory.ts";
import { createMemory, MAX_HEIGHT, recallHeight, recallSize, remember } from "./memory.ts";
import type { FieldPlan, TablePlan } from "./plan.ts";
import { tablePlan } from "./plan.ts";

export interface VerifyOptions {
  /** Tables on the longest path from the root; at most 255. */
  readonly maxDepth: number;
  /** Distinct tables. */
  readonly maxTables: number;
  /** Elements of lists of unions, which are checked anew wherever they are shared. */
  readonly maxUnionElements: number;
  /** Bytes if nothing were shared; infinite: not counted. */
  readonly maxApparentBytes: number;
  readonly ignoreMissingNullTerminator: boolean;
}

export const DEFAULT_VERIFY: VerifyOptions = {
  maxDepth: 128,
  maxTables: 100_000_000,
  maxUnionElements: 50_000_000,
  maxApparentBytes: Number.POSITIVE_INFINITY,
  ignoreMissingNullTerminator: false,
};

/** `path` leads from the root to what is wrong, `offset` is its place in the buffer. */
export type VerifyResult =
  | { readonly ok: true; readonly tables: number }
  | { readonly ok: false; readonly problem: string; readonly offset: number; readonly path: string };

interface Walk {
  readonly bytes: Uint8Array;
  readonly options: VerifyOptions;
  readonly maxDepth: number;
  readonly memory: Memory;
  /** Field and element index taken at each depth, for the path of a problem. */
  readonly trail: (FieldPlan | undefined)[];
  readonly indexes: number[];
  tables: number;
  unionElements: number;
  apparentBytes: number;
}

class Problem extends Error {
  readonly offset: number;
  readonly depth: number;

  constructor(problem: string, offset: number, depth: number) {
    super(problem);
    this.offset = offset;
    this.depth = depth;
  }
}

/** The runtime reads offsets as signed 32-bit and vtable entries as signed 16-bit numbers. */
const MAX_BYTES = 0x7fff_ffff;
const MAX_VTABLE = 0x7fff;
const NO_INDEX = -1;

/**
 * Checks that a database can be read without leaving its bytes: root, vtables, inline fields, strings, lists, unions, alignment,
 * depth. Never reads outside, never throws on data. What it does not judge: numbers of enums and unknown union types, which a
 * later schema may add, and whether strings are UTF-8.
 */
export function verifyEcuData(bytes: Uint8Array, options: Partial<VerifyOptions> = {}): VerifyResult {
  const all = { ...DEFAULT_VERIFY, ...options };
  if (bytes.length < 8 || bytes.length > MAX_BYTES) {
    return { ok: false, problem: `a database has no ${bytes.length} bytes`, offset: 0, path: ROOT_TABLE };
  }
  const walk: Walk = {
    bytes,
    options: all,
    maxDepth: Math.min(all.maxDepth, MAX_HEIGHT),
    memory: createMemory(bytes.length, Number.isFinite(all.maxApparentBytes)),
    trail: [],
    indexes: [],
    tables: 0,
    unionElements: 0,
    apparentBytes: 0,
  };
  try {
    verifyTable(walk, follow(walk, 0, 0), tablePlan(ROOT_TABLE), 1);
    return { ok: true, tables: walk.tables };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { ok: false, problem: error.message, offset: error.offset, path: pathOf(walk, error.depth) };
  }
}

function pathOf({ trail, indexes }: Walk, depth: number): string {
  let path: string = ROOT_TABLE;
  for (let d = 1; d <= depth && trail[d] !== undefined; d++) {
    path += `.${trail[d]!.name}${indexes[d] === NO_INDEX ? "" : `[${indexes[d]}]`}`;
  }
  return path;
}

function u16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function i32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** Target of the forward offset at `at` (already known to be inside): aligned, with room for four bytes. */
function follow({ bytes }: Walk, at: number, depth: number): number {
  const distance = i32(bytes, at);
  const target = at + distance;
  if (distance <= 0 || target > bytes.length - 4) throw new Problem("offset leads outside", at, depth);
  if ((target & 3) !== 0) throw new Problem("target is not aligned", at, depth);
  return target;
}

function addApparent(walk: Walk, bytes: number, at: number, depth: number): void {
  walk.apparentBytes += bytes;
  if (walk.apparentBytes > walk.options.maxApparentBytes)
    throw new Problem("apparent size exceeds the limit", at, depth);
}

/** Height remembered for a place, with its apparent size added; -1 when it is new. */
function recall(walk: Walk, at: number, code: number, depth: number): number {
  const height = recallHeight(walk.memory, at, code);
  if (height >= 0) {
    if (depth + height - 1 > walk.maxDepth) throw new Problem("nested too deeply", at, depth - 1);
    if (walk.memory.sizes !== undefined) addApparent(walk, recallSize(walk.memory, at, code), at, depth - 1);
  }
  return height;
}

function keep(walk: Walk, at: number, code: number, height: number, sizeBefore: number, depth: number): number {
  if (!remember(walk.memory, at, code, height, walk.apparentBytes - sizeBefore)) {
    throw new Problem("too many places have several types", at, depth);
  }
  return height;
}

/** Verifies the table at `at` and all below it; returns its height in tables. `depth` is its own, 1 for the root. */
function verifyTable(walk: Walk, at: number, plan: TablePlan, depth: number): number {
  const known = recall(walk, at, plan.code, depth);
  if (known >= 0) return known;
  if (depth > walk.maxDepth) throw new Problem("nested too deeply", at, depth - 1);
  if (++walk.tables > walk.options.maxTables) throw new Problem("too many tables", at, depth - 1);
  const before = walk.apparentBytes;
  const { bytes } = walk;
  const vtable = at - i32(bytes, at);
  const slots = verifyVtable(walk, at, vtable, depth - 1);
  const tableBytes = u16(bytes, vtable + 2);
  addApparent(walk, tableBytes, at, depth - 1);
  let below = 0;
  for (const field of plan.fields) {
    if (field.slot >= slots) break;
    const offset = u16(bytes, vtable + field.slot);
    if (offset === 0) continue;
    walk.trail[depth] = field;
    walk.indexes[depth] = NO_INDEX;
    if (offset < 4 || offset + field.inlineBytes > tableBytes)
      throw new Problem("field lies outside its table", at, depth);
    if (((at + offset) & (field.inlineBytes - 1)) !== 0) throw new Problem("field is not aligned", at + offset, depth);
    if (field.kind === "inline") continue;
    const height = verifyReference(walk, at, vtable, at + offset, field, depth);
    if (height > below) below = height;
  }
  return keep(walk, at, plan.code, below + 1, before, depth - 1);
}

/** Checks a table's vtable; returns its size in bytes. */
function verifyVtable({ bytes }: Walk, at: number, vtable: number, depth: number): number {
  if (vtable < 0 || vtable > bytes.length - 4) throw new Problem("vtable lies outside", at, depth);
  if ((vtable & 1) !== 0) throw new Problem("vtable is not aligned", at, depth);
  const slots = u16(bytes, vtable);
  const tableBytes = u16(bytes, vtable + 2);
  if (slots < 4 || (slots & 1) !== 0 || slots > MAX_VTABLE || vtable + slots > bytes.length) {
    throw new Problem(`vtable of ${slots} bytes`, vtable, depth);
  }
  if (tableBytes < 4 || tableBytes > MAX_VTABLE || at + tableBytes > bytes.length) {
    throw new Problem(`table of ${tableBytes} bytes`, at, depth);
  }
  return slots;
}

/** Verifies what the field at `place` of the table at `at` refers to; returns its height in tables. */
function verifyReference(
  walk: Walk,
  at: number,
  vtable: number,
  place: number,
  field: FieldPlan,
  depth: number,
): number {
  switch (field.kind) {
    case "string":
      return verifyString(walk, follow(walk, place, depth), depth);
    case "table":
      return verifyTable(walk, follow(walk, place, depth), field.targets[0]!, depth + 1);
    case "union": {
      const target = field.targets[inlineByte(walk, at, vtable, field.slot - 2) - 1];
      return target === undefined ? 0 : verifyTable(walk, follow(walk, place, depth), target, depth + 1);
    }
    case "unions":
      return verifyUnions(walk, at, vtable, place, field, depth);
    case "tables":
      if (field.unlessSlot !== undefined && inlineByte(walk, at, vtable, field.unlessSlot) !== 0) return 0;
      return verifyReferences(walk, place, field, depth);
    case "strings":
      return verifyReferences(walk, place, field, depth);
    default:
      verifyList(walk, place, field.elementBytes, depth);
      return 0;
  }
}

/** The byte of an earlier, already checked field; 0 when absent. */
function inlineByte({ bytes }: Walk, at: number, vtable: number, slot: number): number {
  const offset = u16(bytes, vtable + slot);
  return offset === 0 ? 0 : bytes[at + offset]!;
}

function verifyString(walk: Walk, at: number, depth: number): number {
  const { bytes, options } = walk;
  const length = i32(bytes, at);
  const end = at + 4 + length;
  if (length < 0 || end > bytes.length) throw new Problem("string leads outside", at, depth);
  if (!options.ignoreMissingNullTerminator && (end === bytes.length || bytes[end] !== 0)) {
    throw new Problem("string is not terminated by NUL", at, depth);
  }
  addApparent(walk, length + 5, at, depth);
  return 0;
}

/** Checks the bounds of the list that `place` refers to; returns where its count stands. */
function verifyList(walk: Walk, place: number, elementBytes: number, depth: number): number {
  const at = follow(walk, place, depth);
  const bytes = i32(walk.bytes, at) * elementBytes;
  if (bytes < 0 || at + 4 + bytes > walk.bytes.length) throw new Problem("list leads outside", at, depth);
  if (((at + 4) & (elementBytes - 1)) !== 0) throw new Problem("list is not aligned", at, depth);
  addApparent(walk, bytes + 4, at, depth);
  return at;
}

/** A list of tables or strings. */
function verifyReferences(walk: Walk, place: number, field: FieldPlan, depth: number): number {
  const at = verifyList(walk, place, 4, depth);
  const known = recall(walk, at, field.code, depth + 1);
  if (known >= 0) return known;
  const before = walk.apparentBytes;
  const count = i32(walk.bytes, at);
  let height = 0;
  for (let i = 0; i < count; i++) {
    walk.indexes[depth] = i;
    const target = follow(walk, at + 4 + 4 * i, depth);
    if (field.kind === "strings") verifyString(walk, target, depth);
    else height = Math.max(height, verifyTable(walk, target, field.targets[0]!, depth + 1));
  }
  return keep(walk, at, field.code, height, before, depth);
}

/** A list of unions: its elements' types stand in the list of the slot before. */
function verifyUnions(walk: Walk, at: number, vtable: number, place: number, field: FieldPlan, depth: number): number {
  const values = verifyList(walk, place, 4, depth);
  const count = i32(walk.bytes, values);
  const typesOffset = u16(walk.bytes, vtable + field.slot - 2);
  const types = typesOffset === 0 ? undefined : follow(walk, at + typesOffset, depth);
  if (count !== (types === undefined ? 0 : i32(walk.bytes, types))) {
    throw new Problem("union list and its types differ in length", values, depth);
  }
  walk.unionElements += count;
  if (walk.unionElements > walk.options.maxUnionElements) throw new Problem("too many union elements", values, depth);
  let height = 0;
  for (let i = 0; types !== undefined && i < count; i++) {
    const target = field.targets[walk.bytes[types + 4 + i]! - 1];
    if (target === undefined) continue;
    walk.indexes[depth] = i;
    height = Math.max(height, verifyTable(walk, follow(walk, values + 4 + 4 * i, depth), target, depth + 1));
  }
  return height;
}
