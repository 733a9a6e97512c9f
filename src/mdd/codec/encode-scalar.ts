/** Simple DOPs, constants, length keys and trouble codes, into the bytes of a request. */
import { isObject } from "#core/json.ts";
import { spannedBytes } from "./bits.ts";
import { naturalBytes, writeCoded } from "./coded-write.ts";
import { Category, type Phys, PhysKind, toPhysical } from "./compu.ts";
import { type Encoder, memberOf } from "./encoder.ts";
import { internalOf } from "./input.ts";
import { type Internal, type Scalar, type Step, TargetKind } from "./plan.ts";

export function encodeConstant(e: Encoder, step: Step, at: number): number {
  return writeCoded(e.pool.scalars[step.target]!.coded, e, at, step.bitPosition, step.constants[0]!, undefined);
}

export function refuseOverride(e: Encoder, step: Step, value: unknown): void {
  const given = internalOf(e.pool.scalars[step.target]!, value, e.byteFormat, e);
  if (!isSame(given, step.constants[0]!))
    e.fail("InvalidRequest", `Parameter '${step.key.name}' is a constant and cannot be changed`);
}

function isSame(a: Internal, b: Internal): boolean {
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function encodeScalar(
  e: Encoder,
  scalar: Scalar,
  at: number,
  bit: number,
  value: unknown,
  register: number,
): number {
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
export function physicalOf(scalar: Scalar, internal: Internal, given: unknown): unknown {
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

export function encodeLengthKey(e: Encoder, step: Step, at: number, value: unknown): number {
  if (step.targetKind !== TargetKind.SCALAR) return e.fail("InvalidDatabase", "a length key needs a simple DOP");
  return encodeScalar(e, e.pool.scalars[step.target]!, at, step.bitPosition, value, step.register);
}

/** Leaves room for the key; `settleLength` fills it. */
export function deferLengthKey(e: Encoder, step: Step, at: number): number {
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

export function encodeDtc(e: Encoder, index: number, at: number, bit: number, value: unknown): number {
  const code = isObject(value) ? memberOf(value, "code") : value;
  if (typeof code !== "number" && typeof code !== "bigint")
    return e.fail("InvalidDatabase", "a trouble code must be given as a number");
  return writeCoded(e.pool.dtcs[index]!.coded, e, at, bit, code, undefined);
}
