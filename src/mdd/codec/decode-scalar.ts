/** Simple DOPs and constants, from bytes to the tape. */
import { type Cell, CellKind, cellBytes, numberBytes } from "./coded-read.ts";
import { Category, PhysKind, shortestSingle, toPhysical } from "./compu.ts";
import { type DecodeState, FAILED, fail, noteError, noteValue, readValue } from "./decode-state.ts";
import { constraintProblem } from "./limits.ts";
import { Base, type CodedType, type Internal, type Key, type Scalar, type Step } from "./plan.ts";
import { formatBytes } from "./render.ts";
import { decodeText } from "./text.ts";

/** Bytes of an unreadable value that a problem shows. */
const MAX_SHOWN_BYTES = 64;

/** Decodes a simple DOP onto the tape. */
export function decodeScalar(
  s: DecodeState,
  index: number,
  key: Key,
  at: number,
  bit: number,
  end: number,
  register: number,
): number {
  const scalar = s.pool.scalars[index]!;
  const next = readValue(s, scalar.coded, key.name, at, bit, end);
  if (next === FAILED) return FAILED;
  showScalar(s, scalar, key, register, at, next);
  return next;
}

/** Puts the cell on the tape as physical value. */
export function showScalar(s: DecodeState, scalar: Scalar, key: Key, register: number, at: number, next: number): void {
  const { cell, phys, tape } = s;
  if (cell.problem !== "") {
    noteError(
      s,
      key.name,
      cell.problem,
      formatBytes(s.payload.subarray(at, Math.min(next, at + MAX_SHOWN_BYTES)), "hex"),
    );
    return;
  }
  if (scalar.compu.category === Category.IDENTICAL || cell.kind === CellKind.EMPTY) {
    showInternal(s, scalar.coded, key);
    if (register >= 0) s.registers[register] = internalValue(scalar.coded, cell);
    if (scalar.internalConstraint !== undefined || scalar.physicalConstraint !== undefined)
      checkConstraints(s, scalar, key);
    return;
  }
  toPhysical(scalar.compu, internalValue(scalar.coded, cell), scalar.physical, phys);
  if (phys.kind === PhysKind.NUMBER) tape.numeric(key, phys.number);
  else if (phys.kind === PhysKind.TEXT) tape.constText(key, phys.text!);
  else if (phys.kind === PhysKind.RAW) showInternal(s, scalar.coded, key);
  else noteError(s, key.name, phys.problem, String(internalValue(scalar.coded, cell)));
  if (phys.kind === PhysKind.RAW) noteValue(s, key.name, phys.problem, String(internalValue(scalar.coded, cell)));
  else if (scalar.internalConstraint !== undefined || scalar.physicalConstraint !== undefined)
    checkConstraints(s, scalar, key);
  if (register >= 0) s.registers[register] = physicalOf(s, scalar);
}

/** The physical value that `toPhysical` left, as a JavaScript value. */
function physicalOf(s: DecodeState, scalar: Scalar): unknown {
  if (s.phys.kind === PhysKind.NUMBER) return s.phys.number;
  if (s.phys.kind === PhysKind.TEXT) return s.phys.text!.text;
  return s.phys.kind === PhysKind.RAW ? internalValue(scalar.coded, s.cell) : undefined;
}

function checkConstraints(s: DecodeState, scalar: Scalar, key: Key): void {
  const internal = internalValue(scalar.coded, s.cell);
  let problem = scalar.internalConstraint === undefined ? "" : constraintProblem(scalar.internalConstraint, internal);
  if (problem === "" && scalar.physicalConstraint !== undefined) {
    if (scalar.compu.category === Category.IDENTICAL) problem = constraintProblem(scalar.physicalConstraint, internal);
    else if (s.phys.kind === PhysKind.NUMBER) problem = constraintProblem(scalar.physicalConstraint, s.phys.number);
  }
  if (problem !== "") noteValue(s, key.name, problem, String(internal));
}

/** Puts the cell on the tape as it is coded. */
export function showInternal(s: DecodeState, coded: CodedType, key: Key | undefined): void {
  const { cell, tape } = s;
  if (cell.kind === CellKind.NUMBER) {
    if (coded.base === Base.FLOAT32) tape.single(key, cell.number as number);
    else tape.numeric(key, cell.number);
  } else if (cell.kind === CellKind.EMPTY) tape.string(key, "");
  else if (coded.base === Base.TEXT) tape.text(key, cell.bytes, cell.start, cell.length, coded.textEncoding);
  else tape.bytes(key, cell.bytes, cell.start, cell.length);
}

/** The cell as a JavaScript value: number, text or bytes. */
export function internalValue(coded: CodedType, cell: Cell): number | bigint | string | Uint8Array {
  if (cell.kind === CellKind.NUMBER)
    return coded.base === Base.FLOAT32 ? shortestSingle(cell.number as number) : cell.number;
  if (cell.kind === CellKind.EMPTY) return "";
  if (coded.base === Base.TEXT) return decodeText(cell.bytes, cell.start, cell.length, coded.textEncoding);
  return cellBytes(cell);
}

/** True when the cell holds the constant. */
export function isConstant(cell: Cell, constant: Internal): boolean {
  if (typeof constant !== "object") return cell.kind === CellKind.NUMBER && cell.number === constant;
  if (cell.kind !== CellKind.BYTES || cell.length !== constant.length) return false;
  for (let i = 0; i < constant.length; i++) if (cell.bytes[cell.start + i] !== constant[i]) return false;
  return true;
}

/** Checks the cell against a step's constants. */
export function matches(s: DecodeState, step: Step, coded: CodedType): boolean {
  if (step.isHidden) return true;
  for (const constant of step.constants) if (isConstant(s.cell, constant)) return true;
  const expected = step.constants.map((c) => `[${bytesOf(c, coded).join(", ")}]`).join(" or ");
  const got = s.cell.kind === CellKind.NUMBER ? s.cell.number : cellBytes(s.cell);
  fail(
    s,
    "BadPayload",
    `${step.requestName || step.key.name}: Expected ${expected}, got [${bytesOf(got, coded).join(", ")}]`,
    step.key.name,
  );
  return false;
}

function bytesOf(value: Internal, coded: CodedType): readonly number[] {
  if (typeof value === "object") return [...value];
  return Number.isInteger(value) || typeof value === "bigint" ? numberBytes(value, coded.valueBits) : [Number(value)];
}
