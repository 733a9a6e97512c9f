/** What a decoding in progress holds, and how it fails: never by throwing. */
import { type Cell, createCell, NO_LENGTH, readCoded } from "./coded-read.ts";
import { type Phys, PhysKind } from "./compu.ts";
import { CODEC_ERRORS, type CodecErrorKind, type CodecFailure, pointer } from "./errors.ts";
import type { CodedType, Pool } from "./plan.ts";
import { Tape } from "./tape.ts";

/** No value; `state` tells why. */
export const FAILED = -1;

/** A parameter whose bytes are there but are no value of its type, or a value that needs a remark. */
export interface DataProblem {
  /** JSON pointer to the parameter. */
  readonly path: string;
  readonly error: string;
  /** The bytes or the value that it is about. */
  readonly value: string;
}

/** Everything that a decoding in progress holds; one is used again and again. */
export interface DecodeState {
  pool: Pool;
  payload: Uint8Array;
  request: Uint8Array | undefined;
  readonly tape: Tape;
  readonly cell: Cell;
  readonly phys: Phys;
  readonly path: (string | number)[];
  registers: unknown[];
  /** Parameters without a value. */
  errors: DataProblem[];
  /** Values outside their constraints or scales. */
  notes: DataProblem[];
  failure: CodecFailure | undefined;
  isShort: boolean;
}

/** Problems of one kind that an answer carries at most. */
const MAX_PROBLEMS = 256;

const NO_PAYLOAD = new Uint8Array(0);

export function createDecodeState(pool: Pool): DecodeState {
  return {
    pool,
    payload: NO_PAYLOAD,
    request: undefined,
    tape: new Tape(),
    cell: createCell(),
    phys: { kind: PhysKind.NONE, number: 0, text: undefined, problem: "" },
    path: [],
    registers: [],
    errors: [],
    notes: [],
    failure: undefined,
    isShort: false,
  };
}

/** Makes a state ready for the next message. */
export function beginDecode(s: DecodeState, pool: Pool, payload: Uint8Array, request: Uint8Array | undefined): void {
  s.pool = pool;
  s.payload = payload;
  s.request = request;
  s.tape.clear();
  s.path.length = 0;
  if (s.registers.length > 0) s.registers = [];
  if (s.errors.length > 0) s.errors = [];
  if (s.notes.length > 0) s.notes = [];
  s.failure = undefined;
  s.isShort = false;
}

/** Ends a decoding with an error at the current path. */
export function fail(s: DecodeState, kind: CodecErrorKind, text: string, name?: string): typeof FAILED {
  const path = name === undefined ? s.path : [...s.path, name];
  s.failure = { kind, message: CODEC_ERRORS[kind].prefix + text, path: pointer(path) };
  s.isShort = kind === "NotEnoughData";
  return FAILED;
}

/** The shortage that `readCoded` or a caller found. `end` is where the bytes end. */
export function failShort(s: DecodeState, needed: number, end: number, name?: string): typeof FAILED {
  return fail(s, "NotEnoughData", `Payload too short, expected at least ${needed} bytes, got ${end} bytes`, name);
}

/** A parameter that has no value. */
export function noteError(s: DecodeState, name: string | undefined, error: string, value: string): void {
  if (s.errors.length < MAX_PROBLEMS) s.errors.push({ path: pathTo(s, name), error, value });
}

/** A value outside its constraints or scales. */
export function noteValue(s: DecodeState, name: string, error: string, value: string): void {
  if (s.notes.length < MAX_PROBLEMS) s.notes.push({ path: pathTo(s, name), error, value });
}

function pathTo(s: DecodeState, name: string | undefined): string {
  return pointer(name === undefined ? s.path : [...s.path, name]);
}

/** Reads a coded value into the cell. @returns the position behind it or FAILED */
export function readValue(
  s: DecodeState,
  coded: CodedType,
  name: string,
  at: number,
  bit: number,
  end: number,
): number {
  const length = coded.lengthRegister < 0 ? undefined : s.registers[coded.lengthRegister];
  const next = readCoded(coded, s.payload, end, at, bit, length, s.cell);
  if (next >= 0) return next;
  if (next === NO_LENGTH) return fail(s, "InvalidDatabase", `length key '${coded.lengthKeyName}' has no value`, name);
  return failShort(s, s.cell.needed, end, name);
}
