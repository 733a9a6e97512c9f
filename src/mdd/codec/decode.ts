/**
 * Runs a plan over the bytes of a message, onto the tape (ISO 22901-1 §7.3.6.10, §7.4.8, §7.4.9). Never throws and never reads outside;
 * failures are data. One file, because parameters hold DOPs that hold parameters.
 */
import { CellKind } from "./coded-read.ts";
import { decodeConstant, decodeMatching, decodePhysConst, decodeReserved } from "./decode-param.ts";
import { decodeScalar } from "./decode-scalar.ts";
import { type DecodeState, FAILED, fail, failShort, noteError, readValue } from "./decode-state.ts";
import { jsonBytes } from "./json-bytes.ts";
import type { Comparable } from "./limits.ts";
import {
  AT_CURSOR,
  type CasePlan,
  FieldKind,
  type FieldPlan,
  type Key,
  type MuxPlan,
  type ParamList,
  type Step,
  StepKind,
  type Target,
  TargetKind,
} from "./plan.ts";
import { rowOf, selectCase } from "./select.ts";
import { Mark } from "./tape.ts";

/** Decodes the parameters of a list that starts at `origin`. @returns where the last of them ends, or FAILED */
export function decodeList(s: DecodeState, list: ParamList, origin: number, end: number): number {
  const first = s.tape.count;
  let cursor = origin;
  let last = origin;
  for (const step of list.steps) {
    const at = step.bytePosition === AT_CURSOR ? cursor : origin + step.bytePosition;
    const next = step.isHidden ? decodeHidden(s, step, at, end) : decodeStep(s, step, at, end);
    if (next === FAILED) return FAILED;
    cursor = next;
    if (next > last) last = next;
  }
  if (list.mayRepeatKeys) s.tape.dropRepeated(first);
  return last;
}

/** A hidden parameter only moves the cursor and fills its register; when it is not there, nothing moves. */
function decodeHidden(s: DecodeState, step: Step, at: number, end: number): number {
  const first = s.tape.count;
  const { length: errors } = s.errors;
  const { length: notes } = s.notes;
  const { length: depth } = s.path;
  const next = decodeStep(s, step, at, end);
  s.tape.count = first;
  s.errors.length = errors;
  s.notes.length = notes;
  s.path.length = depth;
  if (next !== FAILED) return next;
  s.failure = undefined;
  s.isShort = false;
  return at;
}

function decodeStep(s: DecodeState, step: Step, at: number, end: number): number {
  if (!s.tape.hasRoom()) return fail(s, "BadPayload", "the answer holds too many values");
  switch (step.kind) {
    case StepKind.PHYS_CONST:
      if (step.targetKind === TargetKind.SCALAR) return decodePhysConst(s, step, at, end);
      return decodeStepTarget(s, step, at, end);
    case StepKind.VALUE:
    case StepKind.LENGTH_KEY:
    case StepKind.SYSTEM:
      if (step.targetKind === TargetKind.SCALAR)
        return decodeScalar(s, step.target, step.key, at, step.bitPosition, end, step.register);
      return decodeStepTarget(s, step, at, end);
    case StepKind.CODED_CONST:
    case StepKind.NRC_CONST:
      return decodeConstant(s, step, at, end);
    case StepKind.RESERVED:
      return decodeReserved(s, step, at, end);
    case StepKind.MATCHING_REQUEST:
      return decodeMatching(s, step, at, end);
    case StepKind.TABLE_KEY:
      return decodeTableKey(s, step, at, end);
    case StepKind.TABLE_STRUCT:
      return decodeTableStruct(s, step, at, end);
    case StepKind.BROKEN:
      noteError(s, step.key.name, step.problem, "");
      return at;
    default:
      return at;
  }
}

function decodeStepTarget(s: DecodeState, step: Step, at: number, end: number): number {
  const { targetKind, target, key, bitPosition, isFlat, register } = step;
  return decodeTarget(s, targetKind, target, key, at, bitPosition, end, isFlat, register);
}

/** Depth of nested DOPs; databases of real ECUs need about ten. */
const MAX_DEPTH = 64;

/** Decodes any DOP. `key` is undefined in arrays, where only objects can stand. */
function decodeTarget(
  s: DecodeState,
  kind: TargetKind,
  index: number,
  key: Key,
  at: number,
  bit: number,
  end: number,
  isFlat: boolean,
  register: number,
): number {
  switch (kind) {
    case TargetKind.SCALAR:
      return decodeScalar(s, index, key, at, bit, end, register);
    case TargetKind.DTC:
      return decodeDtc(s, index, key, at, bit, end, register);
    case TargetKind.STRUCTURE:
      return isFlat ? decodeStructure(s, index, at, end) : decodeObject(s, { kind, index }, key, key.name, at, end);
    case TargetKind.FIELD:
      return decodeField(s, s.pool.fields[index]!, key, at, end);
    case TargetKind.MUX:
      return decodeMux(s, s.pool.muxes[index]!, key, at, end);
    case TargetKind.ENV_DATA_DESC:
      return decodeEnvData(s, index, at, end);
    default:
      noteError(s, key.name, s.pool.problems[index]!, "");
      return at;
  }
}

function decodeStructure(s: DecodeState, index: number, at: number, end: number): number {
  const { list, byteSize } = s.pool.structures[index]!;
  if (byteSize >= 0 && at + byteSize > end) return failShort(s, at + byteSize, end);
  const saved = s.registers.length === 0 ? undefined : s.registers.slice();
  const next = decodeList(s, list, at, end);
  restoreRegisters(s, saved);
  return next === FAILED ? FAILED : byteSize >= 0 ? at + byteSize : next;
}

/** Behind an inner object, what was known before it is known again; what is new stays. */
function restoreRegisters(s: DecodeState, saved: unknown[] | undefined): void {
  if (saved === undefined) return;
  for (let i = 0; i < saved.length; i++) if (saved[i] !== undefined) s.registers[i] = saved[i];
}

/** A structure (or the environment data of a field's item) as an object of its own. */
function decodeObject(
  s: DecodeState,
  target: Target,
  key: Key | undefined,
  part: string | number,
  at: number,
  end: number,
): number {
  if (s.path.length >= MAX_DEPTH) return fail(s, "InvalidDatabase", "structures are nested too deep");
  s.path.push(part);
  const open = s.tape.open(Mark.OBJECT, key);
  const next =
    target.kind === TargetKind.ENV_DATA_DESC
      ? decodeEnvData(s, target.index, at, end)
      : decodeStructure(s, target.index, at, end);
  if (next === FAILED) return FAILED;
  s.tape.close(open);
  s.path.pop();
  return next;
}

function decodeField(s: DecodeState, field: FieldPlan, key: Key, at: number, end: number): number {
  const open = s.tape.open(Mark.ARRAY, key);
  s.path.push(key.name);
  const next =
    field.kind === FieldKind.STATIC
      ? decodeStatic(s, field, at, end)
      : field.kind === FieldKind.END_OF_PDU
        ? decodeItems(s, field, at, end, Number.POSITIVE_INFINITY)
        : decodeCounted(s, field, key, at, end);
  if (next === FAILED) return FAILED;
  s.tape.close(open);
  s.path.pop();
  return next;
}

function decodeStatic(s: DecodeState, field: FieldPlan, at: number, end: number): number {
  const stop = at + field.maxItems * field.itemBytes;
  if (stop > end) return fail(s, "BadPayload", "Invalid range for restricting view");
  for (let i = 0; i < field.maxItems; i++) {
    const start = at + i * field.itemBytes;
    if (decodeObject(s, field.item, undefined, i, start, start + field.itemBytes) === FAILED) return FAILED;
  }
  return stop;
}

/** Items back to back, as many as there are bytes for but at most `count`; an incomplete last one is left out. */
function decodeItems(s: DecodeState, field: FieldPlan, at: number, end: number, count: number): number {
  let start = at;
  const depth = s.path.length;
  for (let i = 0; i < count && start < end; i++) {
    if (!s.tape.hasRoom()) return fail(s, "BadPayload", "the answer holds too many values");
    const mark = s.tape.count;
    const errors = s.errors.length;
    const notes = s.notes.length;
    const next = decodeObject(s, field.item, undefined, i, start, end);
    if (next === FAILED) {
      if (!s.isShort) return FAILED;
      s.tape.count = mark;
      s.errors.length = errors;
      s.notes.length = notes;
      s.path.length = depth;
      s.failure = undefined;
      s.isShort = false;
      return start;
    }
    if (next === start) return fail(s, "BadPayload", "an item of the field has no bytes");
    start = next;
  }
  return start;
}

function decodeCounted(s: DecodeState, field: FieldPlan, key: Key, at: number, end: number): number {
  const scalar = s.pool.scalars[field.countScalar]!;
  const behindCount = readValue(s, scalar.coded, key.name, at + field.countByte, field.countBit, end);
  if (behindCount === FAILED) return FAILED;
  if (s.cell.kind !== CellKind.NUMBER || s.cell.problem !== "")
    return fail(s, "BadPayload", "the number of items is no number");
  const next = decodeItems(s, field, at + field.offset, end, Number(s.cell.number));
  return next === FAILED ? FAILED : Math.max(behindCount, next);
}

const SELECTOR: Key = { name: "Selector", json: Uint8Array.from([...jsonBytes("Selector"), 0x3a]) };

function decodeMux(s: DecodeState, mux: MuxPlan, key: Key, at: number, end: number): number {
  const open = s.tape.open(Mark.OBJECT, key);
  s.path.push(key.name);
  const first = s.tape.count;
  const switchRegister = s.pool.registers.length;
  const behindKey = decodeScalar(
    s,
    mux.switchScalar,
    SELECTOR,
    at + mux.switchByte,
    mux.switchBit,
    end,
    switchRegister,
  );
  if (behindKey === FAILED) return FAILED;
  const found = s.tape.count === first ? undefined : selectCase(mux, s.registers[switchRegister] as Comparable);
  if (found === undefined)
    return fail(
      s,
      "BadPayload",
      `Switch key value not found in mux cases and no default case defined for MUX ${key.name}`,
    );
  const next = found.structure === undefined ? at : decodeCase(s, found, found.structure, at + mux.bytePosition, end);
  if (next === FAILED) return FAILED;
  s.tape.close(open);
  s.path.pop();
  return Math.max(behindKey, next);
}

/** A case whose bytes are not all there is shown as an empty object. */
function decodeCase(s: DecodeState, found: CasePlan, structure: Target, at: number, end: number): number {
  const mark = s.tape.count;
  const depth = s.path.length;
  const next = decodeTarget(s, structure.kind, structure.index, found.key, at, 0, end, false, -1);
  if (next !== FAILED || !s.isShort) return next;
  s.tape.count = mark;
  s.tape.close(s.tape.open(Mark.OBJECT, found.key));
  s.path.length = depth;
  s.failure = undefined;
  s.isShort = false;
  return Math.min(at, end);
}

function decodeDtc(
  s: DecodeState,
  index: number,
  key: Key,
  at: number,
  bit: number,
  end: number,
  register: number,
): number {
  const dtc = s.pool.dtcs[index]!;
  const next = readValue(s, dtc.coded, key.name, at, bit, end);
  if (next === FAILED) return FAILED;
  if (s.cell.problem !== "" || s.cell.kind !== CellKind.NUMBER) {
    noteError(s, key.name, s.cell.problem || "the trouble code is no number", "");
    return next;
  }
  const code = Number(s.cell.number);
  s.tape.dtc(key, dtc.byCode.get(code) ?? { code });
  if (register >= 0) s.registers[register] = code;
  return next;
}

/** Members of the environment data that belong to the selector's value, into the object around. */
function decodeEnvData(s: DecodeState, index: number, at: number, end: number): number {
  const desc = s.pool.envDescs[index]!;
  const selector = desc.selectorRegister < 0 ? undefined : s.registers[desc.selectorRegister];
  const code = Number(selector);
  const found = desc.datas.find((d) => d.codes.includes(code)) ?? desc.datas.find((d) => d.codes.length === 0);
  return found === undefined ? at : decodeList(s, found.list, at, end);
}

/** The key of a row, by the table's key DOP. A reference to one row takes no bytes. */
function decodeTableKey(s: DecodeState, step: Step, at: number, end: number): number {
  const table = s.pool.tables[step.target]!;
  if (table.fixedRow !== undefined) {
    s.tape.string(step.key, table.fixedRow.keyText);
    if (step.register >= 0) s.registers[step.register] = table.fixedRow.key.name;
    return at;
  }
  return decodeScalar(s, table.keyScalar, step.key, at, step.bitPosition, end, step.register);
}

/** What the row holds that the key names: `{ <row>: … }`, or `{}` when the row holds nothing. */
function decodeTableStruct(s: DecodeState, step: Step, at: number, end: number): number {
  const table = s.pool.tables[step.target]!;
  const value = table.keyRegister < 0 ? undefined : s.registers[table.keyRegister];
  const row = table.fixedRow ?? rowOf(table, value);
  if (row === undefined)
    return fail(s, "InvalidRequest", `TABLE-KEY value '${String(value)}' does not match any table row`, step.key.name);
  const open = s.tape.open(Mark.OBJECT, step.key);
  s.path.push(step.key.name);
  let next = at;
  if (row.target !== undefined)
    next = decodeTarget(s, row.target.kind, row.target.index, row.key, at, 0, end, false, -1);
  if (next === FAILED) return FAILED;
  s.tape.close(open);
  s.path.pop();
  return next;
}
