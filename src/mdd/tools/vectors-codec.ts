/** Vectors of the codec: `encode_request`, `decode_response`, `decode_request`. */
import { isDeepStrictEqual } from "node:util";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { type DecodedObject, decodeRequest, decodeResponse, encodeRequest, writeResponseJson } from "../codec/codec.ts";
import { compileService } from "../codec/compile.ts";
import { JsonBytes } from "../codec/json-bytes.ts";
import type { CodecOptions } from "../codec/options.ts";
import type { ServicePlan } from "../codec/plan.ts";
import { DiagService } from "../generated/dataformat.ts";
import { nextStates } from "../query/state-charts.ts";
import { isNearlyEqual, shown } from "./vectors-equal.ts";
import {
  type Expected,
  expectedOf,
  type Findings,
  type Operation,
  type Run,
  serviceOf,
  type Vector,
} from "./vectors-run.ts";

export const CODEC_OPERATIONS: Readonly<Record<string, Operation>> = {
  encode_request: encode,
  decode_response: decode,
  decode_request: decode,
};

function planOf(run: Run, vector: Vector, shape: CodecOptions["shape"]): ServicePlan {
  const table = new DiagService().__init(serviceOf(run, vector).table, run.database.buffer);
  return compileService(table, { shape, ...run.reading, nrcText: run.nrcText });
}

/** Bytes of a vector's hex. */
export function bytesOf(hex: string | undefined): Uint8Array {
  const bytes = fromHex(hex ?? "");
  if (bytes === undefined) throw new Fault("invalidData", `'${hex}' is no hex`);
  return bytes;
}

function encode(run: Run, vector: Vector, found: Findings): void {
  const expected = expectedOf(run, vector);
  const raw = vector.input?.raw;
  const parameters = raw === undefined ? vector.input?.data : bytesOf(raw);
  const outcome = attempt(() =>
    toHex(encodeRequest(planOf(run, vector, "cda"), parameters, { isStrict: vector.config?.strict ?? false })),
  );
  if (expected.any) return;
  if (outcome.fault === undefined) {
    const hex = outcome.value.toLowerCase();
    if (isError(expected)) noError(expected, hex, found);
    else if (hex !== expected.hex?.toLowerCase()) found.differences.push(`${hex} instead of ${expected.hex}`);
    else compareStates(run, vector, found);
  } else if (isError(expected)) compareKind(expected, outcome.fault.details?.kind, found);
  else if (!expected.or_error) found.differences.push(`refused: ${outcome.fault.message}; instead of ${expected.hex}`);
}

function isError({ error, panic }: Expected): boolean {
  return error !== undefined || panic !== undefined;
}

/** What the facts say against the reference where a vector has no `recommended`: by the reference's error. */
const FACTS: readonly (readonly [error: RegExp, says: string])[] = [
  [/DTC DoPs cannot be mapped/, "facts §6.3 disagree with the vector: a DTC is taken as a number"],
  [/No DTC with code/, "facts §6.3 disagree with the vector: an unknown DTC gives {code} alone"],
];

function noError(expected: Expected, instead: string, found: Findings): void {
  const error = expected.error ?? expected.panic ?? "";
  found.differences.push(`${instead} instead of an error (${error})`);
  for (const [pattern, says] of FACTS) if (pattern.test(error)) found.remarks.push(says);
}

/** Both refuse; that they name different reasons is worth a word, no more. */
function compareKind({ kind }: Expected, own: unknown, found: Findings): void {
  if (kind === undefined || kind === "NotFound" || own === kind) return;
  found.remarks.push(`refused as ${String(own)}, the reference as ${kind}`);
}

/** States that a positive answer to this request would lead to. */
function compareStates(run: Run, vector: Vector, found: Findings): void {
  const { new_session: session, new_security: security } = vector.cda;
  if (session === undefined && security === undefined) return;
  const next = nextStates(run.charts, run.states, serviceOf(run, vector));
  if (session !== undefined && next.session !== session)
    found.differences.push(`leads to session ${next.session} instead of ${session}`);
  if (security !== undefined && next.security !== security)
    found.differences.push(`leads to security ${next.security} instead of ${security}`);
}

type Outcome<T> =
  | { readonly value: T; readonly fault?: undefined }
  | { readonly fault: Fault; readonly value?: undefined };

function attempt<T>(work: () => T): Outcome<T> {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof Fault) return { fault: error };
    throw error;
  }
}

function decode(run: Run, vector: Vector, found: Findings): void {
  const expected = expectedOf(run, vector);
  const payload = bytesOf(vector.input?.hex);
  const decoded = attempt(() =>
    (["iso", "cda"] as const).map((shape) => decodeBoth(planOf(run, vector, shape), vector.op, payload, found)),
  );
  if (decoded.fault !== undefined) {
    const finding = `refused before decoding: ${decoded.fault.message}`;
    (isError(expected) ? found.remarks : found.differences).push(finding);
    return;
  }
  if (expected.any) return;
  const [iso, cda] = decoded.value as [DecodedObject, DecodedObject];
  const hasFailed = iso.failure !== undefined || iso.errors.length > 0;
  if (isError(expected)) {
    if (!hasFailed) noError(expected, shown(iso.data), found);
    else if (iso.failure !== undefined) compareKind(expected, iso.failure.kind, found);
  } else if ("error_or_raw" in expected) {
    const isMarked = iso.notes.length > 0 && Object.values(iso.data ?? {}).includes(expected.error_or_raw);
    if (!hasFailed && !isMarked)
      found.differences.push(`${shown(iso.data)} instead of an error or ${shown(expected.error_or_raw)} with a note`);
  } else {
    if (vector.input?.map !== false) compareData(vector, expected, iso, cda, found);
    if (expected === vector.cda) compareFrame(expected, cda, found);
  }
}

/** `recommended` nests structures, the reference flattens them; each is compared with the shape it has. */
function compareData(
  vector: Vector,
  expected: Expected,
  iso: DecodedObject,
  cda: DecodedObject,
  found: Findings,
): void {
  const hasFailed = iso.failure !== undefined || iso.errors.length > 0;
  if (expected.json_error !== undefined) {
    if (!hasFailed && iso.notes.length === 0 && iso.isMapped)
      found.differences.push(`${shown(iso.data)} instead of an error (${expected.json_error})`);
    return;
  }
  if (hasFailed) {
    found.differences.push(`not decoded: ${shown(iso.failure ?? iso.errors)}; instead of ${shown(expected.json)}`);
    return;
  }
  const data = expected === vector.recommended ? iso.data : cda.data;
  const wanted = expected.json ?? null;
  if (!isNearlyEqual(data, wanted)) found.differences.push(`${shown(data)} instead of ${shown(wanted)}`);
  if (expected === vector.recommended) compareFlattened(vector.cda, iso, cda, found);
}

/** Where flattening moves values, clients of the reference find them where it puts them, also where `recommended` nests. */
function compareFlattened({ json }: Expected, iso: DecodedObject, cda: DecodedObject, found: Findings): void {
  if (isNearlyEqual(iso.data, cda.data) || isNearlyEqual(cda.data, json)) return;
  found.remarks.push(`flattened ${shown(cda.data)}, the reference ${shown(json)}`);
}

function compareFrame({ raw, type, nrc }: Expected, decoded: DecodedObject, found: Findings): void {
  const own = toHex(decoded.raw).toLowerCase();
  if (raw !== undefined && own !== raw.toLowerCase()) found.differences.push(`raw ${own} instead of ${raw}`);
  if (type !== undefined && decoded.type !== type.toLowerCase())
    found.differences.push(`${decoded.type} instead of ${type}`);
  if (nrc !== undefined && !isNearlyEqual(nullsFor(decoded.nrc), nrc))
    found.differences.push(`NRC ${shown(decoded.nrc)} instead of ${shown(nrc)}`);
}

function nullsFor(nrc: DecodedObject["nrc"]): unknown {
  return nrc && { code: nrc.code ?? null, description: nrc.description ?? null, sid: nrc.sid ?? null };
}

/** Decodes to an object and to JSON bytes, which must say the same. */
function decodeBoth(plan: ServicePlan, op: string, payload: Uint8Array, found: Findings): DecodedObject {
  if (op === "decode_request") return decodeRequest(plan, payload);
  const decoded = decodeResponse(plan, payload);
  const out = new JsonBytes();
  const { isMapped, failure } = writeResponseJson(plan, payload, undefined, out);
  const hasJson = isMapped && failure === undefined;
  const text = Buffer.from(out.view()).toString();
  const isSame = hasJson ? isDeepStrictEqual(JSON.parse(text || "null"), decoded.data) : text === "";
  if (!isSame) found.differences.push(`JSON bytes ${text} differ from the object ${shown(decoded.data)}`);
  return decoded;
}
