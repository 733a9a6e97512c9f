/**
 * Runs a plan over a client's parameters, into the bytes of a request (ISO 22901-1 §7.4.8). Errors are thrown as `Fault` with the CDA's
 * kind and text and name the parameter.
 */
import { spannedBytes } from "./bits.ts";
import { naturalBytes, type Output, writeCoded } from "./coded-write.ts";
import { Category, type Phys, PhysKind, toPhysical } from "./compu.ts";
import { type CodecErrorKind, codecFault, pointer } from "./errors.ts";
import { internalOf } from "./input.ts";
import type { Comparable } from "./limits.ts";
import {
  AT_CURSOR,
  FieldKind,
  type FieldPlan,
  type Internal,
  type MuxPlan,
  type ParamList,
  type Pool,
  type Scalar,
  type Step,
  StepKind,
  TargetKind,
} from "./plan.ts";
import type { ByteFormat } from "./render.ts";
import { rowOf, selectCase } from "./select.ts";

/** Longest request; UDS over DoIP could carry 4 GiB, no ECU does. */
const MAX_REQUEST_BYTES = 16 << 20;

/** A scratch buffer that grew beyond this is given back. */
const KEPT_BYTES = 1 << 20;

const MAX_DEPTH = 64;

type Members = Readonly<Record<string, unknown>>;

/** A length key that the caller left out: written when the length is known. */
interface PendingKey {
  readonly step: Step;
  readonly at: number;
}

/** A request under construction; one is used again and again. */
export class Encoder implements Output {
  bytes = new Uint8Array(256);
  length = 0;
  pool!: Pool;
  isStrict = false;
  byteFormat: ByteFormat = "hex";
  readonly path: (string | number)[] = [];
  /** Physical values of keys, by register. */
  registers: unknown[] = [];
  pending: (PendingKey | undefined)[] = [];

  begin(pool: Pool, isStrict: boolean, byteFormat: ByteFormat): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = new Uint8Array(256);
    else this.bytes.fill(0, 0, this.length);
    this.length = 0;
    this.pool = pool;
    this.isStrict = isStrict;
    this.byteFormat = byteFormat;
    this.path.length = 0;
    this.registers = pool.registers.length === 0 ? this.registers : [];
    this.pending = pool.registers.length === 0 ? this.pending : [];
  }

  extend(end: number): void {
    if (end <= this.length) return;
    if (end > MAX_REQUEST_BYTES) this.fail("BadPayload", `the request would be longer than ${MAX_REQUEST_BYTES} bytes`);
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.length = end;
  }

  fail(kind: CodecErrorKind, text: string): never {
    throw codecFault(kind, text, pointer(this.path));
  }

  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

/** Writes the parameters of a list that starts at `origin`. @returns where the last of them ends */
export function encodeList(e: Encoder, list: ParamList, origin: number, members: Members): number {
  if (e.isStrict) refuseUnknown(e, list.names, members);
  let cursor = origin;
  let last = origin;
  for (const step of list.steps) {
    e.path.push(step.key.name);
    cursor = encodeStep(e, step, step.bytePosition === AT_CURSOR ? cursor : origin + step.bytePosition, members);
    e.path.pop();
    if (cursor > last) last = cursor;
  }
  for (const step of list.steps)
    if (step.register >= 0 && e.pending[step.register]?.step === step)
      e.fail("InvalidRequest", `Required LengthKey parameter '${step.key.name}' missing`);
  return last;
}

function refuseUnknown(e: Encoder, names: ReadonlySet<string>, members: Members): void {
  const unknown = Object.keys(members).filter((name) => !names.has(name));
  if (unknown.length > 0) e.fail("BadPayload", `Unexpected parameters in request: ${listed(unknown)}`);
}

function listed(names: readonly string[]): string {
  return `[${names.map((name) => JSON.stringify(name)).join(", ")}]`;
}

function memberOf(members: Members, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}

function encodeStep(e: Encoder, step: Step, at: number, members: Members): number {
  const value = memberOf(members, step.key.name);
  switch (step.kind) {
    case StepKind.CODED_CONST:
      return encodeConstant(e, step, at);
    case StepKind.PHYS_CONST:
      if (step.targetKind !== TargetKind.SCALAR) return encodeValue(e, step, at, value);
      if (value !== undefined) refuseOverride(e, step, value);
      return encodeConstant(e, step, at);
    case StepKind.RESERVED: {
      const next = at + spannedBytes(step.bitPosition, step.bits);
      e.extend(step.bits === 0 ? at : next);
      return next;
    }
    case StepKind.VALUE:
      return encodeValue(e, step, at, value);
    case StepKind.LENGTH_KEY:
      return value === undefined ? deferLengthKey(e, step, at) : encodeLengthKey(e, step, at, value);
    case StepKind.TABLE_KEY:
      return encodeTableKey(e, step, at, value);
    case StepKind.TABLE_STRUCT:
      return encodeTableStruct(e, step, at, value);
    case StepKind.BROKEN:
      return e.fail("InvalidDatabase", step.problem);
    default:
      return e.fail("ParameterConversionError", `Mapping ${KIND_NAMES[step.kind]} DoP to UDS payload not implemented`);
  }
}

/** Kinds that a request cannot hold, or that only the tester's own state could fill. */
const KIND_NAMES: Partial<Record<StepKind, string>> = {
  [StepKind.MATCHING_REQUEST]: "MatchingRequestParam",
  [StepKind.NRC_CONST]: "NrcConst",
  [StepKind.SYSTEM]: "System",
  [StepKind.DYNAMIC]: "Dynamic",
  [StepKind.TABLE_ENTRY]: "TableEntry",
};

function encodeConstant(e: Encoder, step: Step, at: number): number {
  return writeCoded(e.pool.scalars[step.target]!.coded, e, at, step.bitPosition, step.constants[0]!, undefined);
}

function refuseOverride(e: Encoder, step: Step, value: unknown): void {
  const given = internalOf(e.pool.scalars[step.target]!, value, e.byteFormat, e);
  if (!isSame(given, step.constants[0]!))
    e.fail("InvalidRequest", `Parameter '${step.key.name}' is a constant and cannot be changed`);
}

function isSame(a: Internal, b: Internal): boolean {
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function encodeValue(e: Encoder, step: Step, at: number, value: unknown): number {
  const given = value === undefined && step.targetKind === TargetKind.SCALAR ? step.fallback : value;
  if (given === undefined) {
    if (step.targetKind === TargetKind.ENV_DATA_DESC || step.targetKind === TargetKind.BROKEN)
      return encodeTarget(e, step.targetKind, step.target, at, step.bitPosition, given, -1);
    return e.fail("InvalidRequest", `Required parameter '${step.key.name}' missing`);
  }
  return encodeTarget(e, step.targetKind, step.target, at, step.bitPosition, given, step.register);
}

function encodeTarget(
  e: Encoder,
  kind: TargetKind,
  index: number,
  at: number,
  bit: number,
  value: unknown,
  register: number,
): number {
  switch (kind) {
    case TargetKind.SCALAR:
      return encodeScalar(e, e.pool.scalars[index]!, at, bit, value, register);
    case TargetKind.DTC:
      return encodeDtc(e, index, at, bit, value);
    case TargetKind.STRUCTURE:
      return encodeStructure(e, index, at, value);
    case TargetKind.FIELD:
      return encodeField(e, e.pool.fields[index]!, at, value);
    case TargetKind.MUX:
      return encodeMux(e, e.pool.muxes[index]!, at, value);
    case TargetKind.ENV_DATA_DESC:
      return e.fail(
        "InvalidDatabase",
        "EnvData(Desc) and DTC DoPs cannot be mapped via parameters to request, but handled via a dedicated 'faults' endpoint",
      );
    default:
      return e.fail("InvalidDatabase", e.pool.problems[index]!);
  }
}

function encodeScalar(e: Encoder, scalar: Scalar, at: number, bit: number, value: unknown, register: number): number {
  const { coded } = scalar;
  const isLeftOut = value === "" && coded.lengthRegister >= 0 && e.registers[coded.lengthRegister] === 0;
  const internal = isLeftOut ? EMPTY : internalOf(scalar, value, e.byteFormat, e);
  const bytes = coded.lengthRegister < 0 ? undefined : settleLength(e, scalar, internal);
  if (register >= 0) e.registers[register] = physicalOf(scalar, internal, value);
  return writeCoded(coded, e, at, bit, internal, bytes);
}

const EMPTY = new Uint8Array(0);

const phys: Phys = { kind: PhysKind.NONE, number: 0, text: undefined, problem: "" };

/** Physical value that decoding will find for an internal one. */
function physicalOf(scalar: Scalar, internal: Internal, given: unknown): unknown {
  if (typeof internal === "object") return given;
  if (scalar.compu.category === Category.IDENTICAL) return internal;
  toPhysical(scalar.compu, internal, scalar.physical, phys);
  return phys.kind === PhysKind.NUMBER ? phys.number : phys.kind === PhysKind.TEXT ? phys.text!.text : internal;
}

/** Length in bytes of a value under a length key: what the key says, or what it is then made to say. */
function settleLength(e: Encoder, scalar: Scalar, internal: Internal): number {
  const { lengthRegister, lengthKeyName, lengthUnitBits } = scalar.coded;
  const said = e.registers[lengthRegister];
  if (said === undefined) {
    const pending = e.pending[lengthRegister];
    const bytes = naturalBytes(scalar.coded, internal);
    if (pending === undefined)
      return e.fail("InvalidRequest", `Required LengthKey parameter '${lengthKeyName}' missing`);
    e.pending[lengthRegister] = undefined;
    encodeLengthKey(e, pending.step, pending.at, (bytes * 8) / lengthUnitBits);
    if (e.registers[lengthRegister] !== (bytes * 8) / lengthUnitBits) contradicts(e, lengthKeyName, bytes);
    return bytes;
  }
  const bytes = typeof said === "number" ? (said * lengthUnitBits) / 8 : Number.NaN;
  const isWrong = typeof internal === "object" ? bytes !== internal.length : !Number.isInteger(bytes) || bytes < 0;
  if (isWrong) contradicts(e, lengthKeyName, naturalBytes(scalar.coded, internal));
  return bytes;
}

function contradicts(e: Encoder, keyName: string, bytes: number): never {
  return e.fail("InvalidRequest", `LengthKey parameter '${keyName}' contradicts a value of ${bytes} bytes`);
}

function encodeLengthKey(e: Encoder, step: Step, at: number, value: unknown): number {
  if (step.targetKind !== TargetKind.SCALAR) return e.fail("InvalidDatabase", "a length key needs a simple DOP");
  return encodeScalar(e, e.pool.scalars[step.target]!, at, step.bitPosition, value, step.register);
}

/** Leaves room for the key; `settleLength` fills it. */
function deferLengthKey(e: Encoder, step: Step, at: number): number {
  if (step.fallback !== undefined) return encodeLengthKey(e, step, at, step.fallback);
  const scalar = e.pool.scalars[step.target];
  if (step.register < 0 || step.targetKind !== TargetKind.SCALAR || scalar === undefined || scalar.coded.bits === 0)
    return e.fail("InvalidRequest", `Required LengthKey parameter '${step.key.name}' missing`);
  e.pending[step.register] = { step, at };
  e.registers[step.register] = undefined;
  const next = at + spannedBytes(step.bitPosition, scalar.coded.bits);
  e.extend(next);
  return next;
}

function encodeDtc(e: Encoder, index: number, at: number, bit: number, value: unknown): number {
  const code = isMembers(value) ? memberOf(value, "code") : value;
  if (typeof code !== "number" && typeof code !== "bigint")
    return e.fail("InvalidDatabase", "a trouble code must be given as a number");
  return writeCoded(e.pool.dtcs[index]!.coded, e, at, bit, code, undefined);
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON value as the CDA's messages show it. */
function described(value: unknown): string {
  if (value === null) return "Null";
  if (typeof value === "string") return `String(${JSON.stringify(value)})`;
  if (typeof value === "boolean") return `Bool(${value})`;
  return Array.isArray(value) ? `Array ${JSON.stringify(value)}` : `Number(${String(value)})`;
}

function membersOf(e: Encoder, value: unknown): Members {
  if (isMembers(value)) return value;
  return e.fail("InvalidRequest", `Expected value to be object type, but it was: ${described(value)}`);
}

function encodeStructure(e: Encoder, index: number, at: number, value: unknown): number {
  const members = membersOf(e, value);
  if (e.path.length > MAX_DEPTH) return e.fail("InvalidDatabase", "structures are nested too deep");
  const { list, byteSize } = e.pool.structures[index]!;
  const saved = e.registers.slice();
  const next = encodeList(e, list, at, members);
  for (let i = 0; i < saved.length; i++) if (saved[i] !== undefined) e.registers[i] = saved[i];
  if (byteSize < 0) return next;
  e.extend(at + byteSize);
  return at + byteSize;
}

function encodeField(e: Encoder, field: FieldPlan, at: number, value: unknown): number {
  if (!Array.isArray(value)) return e.fail("InvalidRequest", "Expected array value");
  if (value.length < field.minItems || value.length > field.maxItems)
    return e.fail("InvalidRequest", `${FIELD_NAMES[field.kind]} expected different amount of items`);
  if (field.kind !== FieldKind.DYNAMIC_LENGTH) return encodeItems(e, field, at, value);
  const count = e.pool.scalars[field.countScalar]!.coded;
  const behindCount = writeCoded(count, e, at + field.countByte, field.countBit, value.length, undefined);
  if (value.length === 0) return behindCount;
  return Math.max(behindCount, encodeItems(e, field, at + field.offset, value));
}

const FIELD_NAMES: Readonly<Record<FieldKind, string>> = {
  [FieldKind.STATIC]: "StaticField",
  [FieldKind.END_OF_PDU]: "EndOfPdu",
  [FieldKind.DYNAMIC_LENGTH]: "DynamicLengthField",
};

function encodeItems(e: Encoder, field: FieldPlan, at: number, items: readonly unknown[]): number {
  let start = at;
  for (let i = 0; i < items.length; i++) {
    e.path.push(i);
    const next = encodeTarget(e, field.item.kind, field.item.index, start, 0, items[i], -1);
    if (field.kind === FieldKind.STATIC) {
      if (next > start + field.itemBytes)
        e.fail("BadPayload", `item of ${next - start} bytes is too long for ${field.itemBytes} bytes`);
      start += field.itemBytes;
      e.extend(start);
    } else start = next;
    e.path.pop();
  }
  return start;
}

function encodeMux(e: Encoder, mux: MuxPlan, at: number, value: unknown): number {
  const members = membersOf(e, value);
  const scalar = e.pool.scalars[mux.switchScalar]!;
  const given = memberOf(members, "Selector");
  const internal = given === undefined ? 0 : internalOf(scalar, given, e.byteFormat, e);
  const found = selectCase(mux, physicalOf(scalar, internal, given) as Comparable);
  if (found === undefined) return e.fail("InvalidRequest", "Cannot find selector value or default case");
  if (e.isStrict) refuseUnknown(e, new Set(["Selector", found.key.name]), members);
  const behindKey = writeCoded(scalar.coded, e, at + mux.switchByte, mux.switchBit, internal, undefined);
  if (found.structure === undefined) return behindKey;
  const inner = memberOf(members, found.key.name);
  if (inner === undefined) return e.fail("BadPayload", `Mux case ${found.key.name} value not found in json`);
  e.path.push(found.key.name);
  const next = encodeTarget(e, found.structure.kind, found.structure.index, at + mux.bytePosition, 0, inner, -1);
  e.path.pop();
  return Math.max(behindKey, next);
}

function encodeTableKey(e: Encoder, step: Step, at: number, value: unknown): number {
  const table = e.pool.tables[step.target]!;
  const { name } = step.key;
  if (table.fixedRow !== undefined) {
    if (step.register >= 0) e.registers[step.register] = table.fixedRow.key.name;
    return at;
  }
  if (value === undefined) return e.fail("InvalidRequest", `Required TABLE-KEY parameter '${name}' missing`);
  const scalar = e.pool.scalars[table.keyScalar]!;
  const isNumeric = typeof value === "number" && scalar.compu.category !== Category.TEXT_TABLE;
  if (typeof value !== "string" && !isNumeric)
    return e.fail("InvalidRequest", `TABLE-KEY parameter '${name}' must be a string, got: ${JSON.stringify(value)}`);
  const row = rowOf(table, value);
  if (row === undefined)
    return e.fail(
      "InvalidRequest",
      `TABLE-KEY value '${value}' does not match any row. Available: ${listed(table.rows.map((r) => r.key.name))}`,
    );
  const next = encodeScalar(e, scalar, at, step.bitPosition, row.keyText, -1);
  if (step.register >= 0) e.registers[step.register] = row.key.name;
  return next;
}

function encodeTableStruct(e: Encoder, step: Step, at: number, value: unknown): number {
  const table = e.pool.tables[step.target]!;
  const selected = table.keyRegister < 0 ? undefined : e.registers[table.keyRegister];
  const row = table.fixedRow ?? rowOf(table, selected);
  if (row === undefined)
    return e.fail("InvalidRequest", `TABLE-KEY value '${String(selected)}' does not match any table row`);
  const members = value === undefined ? {} : membersOf(e, value);
  if (row.target === undefined) {
    if (Object.keys(members).length === 0) return at;
    const data = JSON.stringify(members);
    return e.fail(
      "InvalidRequest",
      `TABLE-STRUCT for row '${row.key.name}' has no structure, but non-empty data was provided: ${data}`,
    );
  }
  if (e.isStrict) refuseUnknown(e, new Set([row.key.name]), members);
  const inner = memberOf(members, row.key.name) ?? (row.target.kind === TargetKind.STRUCTURE ? {} : undefined);
  if (inner === undefined) return e.fail("InvalidRequest", `Required parameter '${row.key.name}' missing`);
  e.path.push(row.key.name);
  const next = encodeTarget(e, row.target.kind, row.target.index, at, 0, inner, -1);
  e.path.pop();
  return next;
}
