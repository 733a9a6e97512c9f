/** The codec's front: requests from parameters, answers from bytes. Nothing here touches a FlatBuffer. */

import { writeCoded } from "./coded-write.ts";
import { Category, type ConstText } from "./compu.ts";
import { decodeList } from "./decode.ts";
import { beginDecode, createDecodeState, type DataProblem, type DecodeState, fail } from "./decode-state.ts";
import { encodeList } from "./encode.ts";
import { Encoder } from "./encoder.ts";
import { type CodecFailure, codecFault } from "./errors.ts";
import type { JsonBytes } from "./json-bytes.ts";
import { type MessagePlan, ResponseKind, type ServicePlan, type Step, StepKind, TargetKind } from "./plan.ts";
import { type ByteFormat, renderJson, renderObject } from "./render.ts";
import { selectResponse } from "./select.ts";
import { Mark } from "./tape.ts";

/** What may differ from request to request. */
export interface CodecCall {
  /** Default `hex`: the CDA's `0x01 0xAB`. */
  readonly byteFormat?: ByteFormat;
  /** Refuse parameters that the service does not have; default false. */
  readonly isStrict?: boolean;
}

/** What a negative response says; a member is undefined where the bytes do not tell it. */
export interface NegativeResponse {
  readonly code: number | undefined;
  readonly description: string | undefined;
  readonly sid: number | undefined;
}

export interface Decoded {
  readonly type: "positive" | "negative";
  /** False: no response of the service fits, so there are only raw bytes. */
  readonly isMapped: boolean;
  /** The payload from its first DATA parameter on; a view. */
  readonly raw: Uint8Array;
  readonly nrc: NegativeResponse | undefined;
  /** Parameters whose bytes are no value of their type; they are absent from the data. */
  readonly errors: readonly DataProblem[];
  /** Values that are in the data but outside their scales or constraints. */
  readonly notes: readonly DataProblem[];
  /** The whole message could not be decoded: there is no data. */
  readonly failure: CodecFailure | undefined;
}

export interface DecodedObject extends Decoded {
  /** Null: no parameter to show (or a failure). Integers beyond 2^53 are bigints. */
  readonly data: Record<string, unknown> | null;
}

const NEGATIVE_RESPONSE_SID = 0x7f;

/** ISO 14229-1 table A.1: codes without a meaning of their own. */
const RESERVED_NRC = "ISO SAE Reserved";

/** One of each serves the whole thread: decoding and encoding are synchronous and never nest. */
const emptyPool = {
  scalars: [],
  structures: [],
  fields: [],
  muxes: [],
  tables: [],
  dtcs: [],
  envDescs: [],
  problems: [],
  registers: [],
};
const state: DecodeState = createDecodeState(emptyPool);
const encoder = new Encoder();

/** Decodes a response to an object. `request`, if given, is what the ECU was sent. Never throws. */
export function decodeResponse(
  plan: ServicePlan,
  payload: Uint8Array,
  request?: Uint8Array,
  call: CodecCall = {},
): DecodedObject {
  const { type, isMapped, raw, nrc, errors, notes, failure } = run(plan, payload, request);
  const data = isMapped && failure === undefined ? renderObject(state.tape, call.byteFormat ?? "hex") : null;
  return { type, isMapped, raw, nrc, errors, notes, failure, data };
}

/**
 * Decodes a response and appends its data as JSON to `out`: an object, or `null` when there is nothing to show. Never throws.
 * Nothing is written when the response is not mapped or has a failure.
 */
export function writeResponseJson(
  plan: ServicePlan,
  payload: Uint8Array,
  request: Uint8Array | undefined,
  out: JsonBytes,
  call: CodecCall = {},
): Decoded {
  const decoded = run(plan, payload, request);
  if (decoded.isMapped && decoded.failure === undefined) renderJson(state.tape, call.byteFormat ?? "hex", out);
  return decoded;
}

/** Decodes request bytes; every parameter is shown, constants too. Never throws. */
export function decodeRequest(plan: ServicePlan, payload: Uint8Array, call: CodecCall = {}): DecodedObject {
  beginDecode(state, plan.pool, payload, undefined);
  const message = plan.request;
  if (message === undefined) fail(state, "InvalidDatabase", `service ${plan.shortName} has no request`);
  else decodeList(state, message.list, 0, payload.length);
  return {
    ...outcome("positive", message !== undefined, payload, message, undefined),
    data: state.failure === undefined ? renderObject(state.tape, call.byteFormat ?? "hex") : null,
  };
}

function run(plan: ServicePlan, payload: Uint8Array, request: Uint8Array | undefined): Decoded {
  beginDecode(state, plan.pool, payload, request);
  const message = selectResponse(plan, payload);
  const isNegative =
    message === undefined ? payload[0] === NEGATIVE_RESPONSE_SID : message.kind === ResponseKind.NEGATIVE;
  if (message !== undefined) {
    if (payload[0] === NEGATIVE_RESPONSE_SID && payload.length < 2)
      fail(state, "BadPayload", "NRC without accompanying SID_RQ received");
    else decodeList(state, message.list, 0, payload.length);
  }
  const nrc = isNegative ? negativeResponse(plan, message, payload) : undefined;
  return outcome(isNegative ? "negative" : "positive", message !== undefined, payload, message, nrc);
}

function outcome(
  type: Decoded["type"],
  isMapped: boolean,
  payload: Uint8Array,
  message: MessagePlan | undefined,
  nrc: NegativeResponse | undefined,
): Decoded {
  const { errors, notes, failure } = state;
  return { type, isMapped, raw: payload.subarray(message?.rawOffset ?? 0), nrc, errors, notes, failure };
}

/** ISO 14229-1 §8.4: `7F`, SID of the request, NRC. */
function negativeResponse(plan: ServicePlan, message: MessagePlan | undefined, payload: Uint8Array): NegativeResponse {
  const isPlain = payload[0] === NEGATIVE_RESPONSE_SID;
  const code = isPlain ? payload[2] : undefined;
  const step = message?.list.steps.find((s) => s.key.name === "NRC");
  return {
    code,
    description: code === undefined ? undefined : nrcDescription(plan, step, code),
    sid: isPlain ? payload[1] : undefined,
  };
}

/** The database's text of an NRC; without compu method there is none to be had; else the standard's. */
function nrcDescription(plan: ServicePlan, step: Step | undefined, code: number): string {
  const standardText = plan.nrcText(code) || RESERVED_NRC;
  if (step === undefined) return standardText;
  const { tape } = state;
  for (let i = 0; i < tape.count; i = tape.last(i) + 1)
    if (tape.key[i]?.name === "NRC" && tape.mark[i] === Mark.CONST_TEXT) return (tape.value[i] as ConstText).text;
  const isIdentical =
    step.kind === StepKind.VALUE &&
    step.targetKind === TargetKind.SCALAR &&
    plan.pool.scalars[step.target]!.compu.category === Category.IDENTICAL;
  return isIdentical ? "N/A" : standardText;
}

/**
 * Bytes of a request. A `Uint8Array` is appended behind the constants; undefined is no parameters at all.
 * @throws Fault badRequest (or payloadTooShort, invalidDatabase) with the CDA's text; `details.parameter` names the parameter
 */
export function encodeRequest(
  plan: ServicePlan,
  parameters?: Readonly<Record<string, unknown>> | Uint8Array,
  call: CodecCall = {},
): Uint8Array {
  const { request } = plan;
  if (request === undefined) throw codecFault("InvalidDatabase", `service ${plan.shortName} has no request`, "");
  encoder.begin(plan.pool, call.isStrict ?? false, call.byteFormat ?? "hex");
  if (!(parameters instanceof Uint8Array)) {
    encodeList(encoder, request.list, 0, parameters ?? {});
    return encoder.take();
  }
  writeConstants(request);
  const bytes = new Uint8Array(encoder.length + parameters.length);
  bytes.set(encoder.bytes.subarray(0, encoder.length));
  bytes.set(parameters, encoder.length);
  return bytes;
}

function writeConstants(request: MessagePlan): void {
  let cursor = 0;
  for (const step of request.list.steps)
    if (step.kind === StepKind.CODED_CONST) {
      const { coded } = encoder.pool.scalars[step.target]!;
      const at = step.bytePosition < 0 ? cursor : step.bytePosition;
      cursor = writeCoded(coded, encoder, at, step.bitPosition, step.constants[0]!, undefined);
    }
}
