/**
 * Runs a plan over a client's parameters, into the bytes of a request (ISO 22901-1 §7.4.8). Errors are thrown as `Fault` with the CDA's
 * kind and text and name the parameter.
 */
import { spannedBytes } from "./bits.ts";
import { writeCoded } from "./coded-write.ts";
import { Category } from "./compu.ts";
import {
  deferLengthKey,
  encodeConstant,
  encodeDtc,
  encodeLengthKey,
  encodeScalar,
  physicalOf,
  refuseOverride,
} from "./encode-scalar.ts";
import { type Encoder, listed, type Members, memberOf, membersOf, refuseUnknown } from "./encoder.ts";
import { internalOf } from "./input.ts";
import type { Comparable } from "./limits.ts";
import {
  AT_CURSOR,
  FieldKind,
  type FieldPlan,
  type MuxPlan,
  type ParamList,
  type Step,
  StepKind,
  TargetKind,
} from "./plan.ts";
import { rowOf, selectCase } from "./select.ts";

/** Nested structures; databases of real ECUs need about ten. */
const MAX_DEPTH = 64;

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
