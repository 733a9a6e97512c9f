/** Parameters that hold no DOP of several values: constants, reserved bits, echoes of the request. */
import { readBig, readNumber, spannedBytes } from "./bits.ts";
import { numberBytes } from "./coded-read.ts";
import { decodeScalar, internalValue, matches, showInternal, showScalar } from "./decode-scalar.ts";
import { type DecodeState, FAILED, fail, failShort, readValue } from "./decode-state.ts";
import { type Step, TargetKind } from "./plan.ts";

/** A CODED-CONST or NRC-CONST: shown as it is coded. */
export function decodeConstant(s: DecodeState, step: Step, at: number, end: number): number {
  const coded = s.pool.scalars[step.target]!.coded;
  const next = readValue(s, coded, step.key.name, at, step.bitPosition, end);
  if (next === FAILED || !matches(s, step, coded)) return FAILED;
  showInternal(s, coded, step.key);
  if (step.register >= 0) s.registers[step.register] = internalValue(coded, s.cell);
  return next;
}

/** A PHYS-CONST of a simple DOP. */
export function decodePhysConst(s: DecodeState, step: Step, at: number, end: number): number {
  const scalar = s.pool.scalars[step.target]!;
  const next = readValue(s, scalar.coded, step.key.name, at, step.bitPosition, end);
  if (next === FAILED || !matches(s, step, scalar.coded)) return FAILED;
  showScalar(s, scalar, step.key, step.register, at, next);
  return next;
}

/** Bits that a number of RESERVED has at most; more are shown as bytes. */
const MAX_RESERVED_NUMBER_BITS = 32;

/** RESERVED bits: a number, or bytes when they are many. */
export function decodeReserved(s: DecodeState, step: Step, at: number, end: number): number {
  const next = at + spannedBytes(step.bitPosition, step.bits);
  if (next > end) return failShort(s, next, end, step.key.name);
  if (step.bits === 0) return at;
  if (step.bits <= MAX_RESERVED_NUMBER_BITS)
    s.tape.numeric(step.key, readNumber(s.payload, at, step.bitPosition, step.bits, false));
  else if (step.bitPosition === 0 && step.bits % 8 === 0) s.tape.bytes(step.key, s.payload, at, next - at);
  else {
    const bytes = Uint8Array.from(numberBytes(readBig(s.payload, at, step.bitPosition, step.bits, false), step.bits));
    s.tape.bytes(step.key, bytes, 0, bytes.length);
  }
  return next;
}

/** Bytes that repeat a part of the request: they must equal it, and mean what the request's parameter there means. */
export function decodeMatching(s: DecodeState, step: Step, at: number, end: number): number {
  const next = at + step.requestBytes;
  if (next > end) return failShort(s, next, end, step.key.name);
  if (!step.isHidden && !echoes(s, step, at)) return FAILED;
  if (step.targetKind === TargetKind.SCALAR && step.constants.length === 0) {
    if (decodeScalar(s, step.target, step.key, at, step.bitPosition, end, step.register) === FAILED) return FAILED;
  } else if (step.constants.length > 0) {
    if (decodeConstant(s, step, at, end) === FAILED) return FAILED;
  } else if (step.requestBytes <= 4)
    s.tape.numeric(step.key, readNumber(s.payload, at, 0, 8 * step.requestBytes, false));
  else s.tape.bytes(step.key, s.payload, at, step.requestBytes);
  return next;
}

function echoes(s: DecodeState, step: Step, at: number): boolean {
  const { payload, request } = s;
  if (request === undefined) return true;
  const end = step.requestPosition + step.requestBytes;
  for (let i = 0; i < step.requestBytes; i++)
    if (request[step.requestPosition + i] !== payload[at + i]) {
      const expected = [...request.subarray(step.requestPosition, end)].join(", ");
      const got = [...payload.subarray(at, at + step.requestBytes)].join(", ");
      fail(s, "BadPayload", `${step.requestName}: Expected [${expected}], got [${got}]`, step.key.name);
      return false;
    }
  return true;
}
