// Properties of the codec over random definitions; run short in `npm test`, long in codec-nightly.ts.
import assert from "node:assert/strict";
import { Fault } from "#core/errors.ts";
import { decodeResponse, encodeRequest, writeResponseJson } from "#mdd/codec/codec.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import fc from "../fixtures/properties.ts";
import { compile, symmetric } from "../unit/mdd/codec-support.ts";
import { type Draw, drawBijection, drawDefinition } from "./codec-generate.ts";

const OPTIONS = { positions: "sequential", shape: "iso" } as const;

/** A request's bytes as the response that repeats them. */
function answerOf(request: Uint8Array): Uint8Array {
  const answer = request.slice();
  answer[0] = 0x6e;
  return answer;
}

/** decode(encode(v)) = v, and encode(decode(b)) = b for the bytes that encoding makes. */
function roundTrip(draw: Draw): void {
  const { params, values, constants } = drawDefinition(draw);
  const plan = compile(symmetric(params), OPTIONS);
  const request = encodeRequest(plan, values, { isStrict: true });
  const decoded = decodeResponse(plan, answerOf(request), request);
  assert.equal(decoded.failure, undefined);
  assert.deepEqual(decoded.errors, []);
  assert.deepEqual(normal(decoded.data), normal({ ...values, ...constants }));
  assert.deepEqual(encodeRequest(plan, decoded.data ?? {}), request);
}

/** Floats are equal when they round alike to single precision (re-encoding compares them exactly); keys have no order. */
function normal(given: unknown): unknown {
  if (typeof given === "number" && !Number.isInteger(given)) return Math.fround(given);
  if (Array.isArray(given)) return given.map(normal);
  if (typeof given !== "object" || given === null) return given;
  const entries = Object.entries(given).map(([key, value]) => [key, normal(value)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** encode(decode(b)) = b for every message of a definition that uses all bits. */
function bijection(draw: Draw): void {
  const { params, bytes } = drawBijection(draw);
  const plan = compile(symmetric(params), OPTIONS);
  const content = draw(fc.uint8Array, { minLength: bytes, maxLength: bytes });
  const request = Uint8Array.from([0x2e, 0xf0, 0x0d, ...content]);
  const decoded = decodeResponse(plan, answerOf(request), request);
  assert.deepEqual(decoded.errors, []);
  assert.deepEqual(encodeRequest(plan, decoded.data ?? {}), request);
}

/** Any bytes: no throw, both forms say the same, problems are counted. Any JSON: bytes or a `Fault`. */
function garbage(draw: Draw): void {
  const { params } = drawDefinition(draw);
  const plan = compile(symmetric(params), { ...OPTIONS, shape: draw(fc.boolean) ? "cda" : "iso" });
  const content = draw(fc.uint8Array, { maxLength: 64 });
  const hasHead = draw(fc.boolean);
  decodeBothForms(plan, hasHead ? Uint8Array.from([0x6e, 0xf0, 0x0d, ...content]) : content);
  const names = Object.fromEntries(params.map((param) => [param.short_name ?? "", draw(fc.jsonValue)]));
  try {
    assert.ok(encodeRequest(plan, names) instanceof Uint8Array);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.match(String(error.details?.kind), /^[A-Z]/);
  }
}

const out = new JsonBytes();

function decodeBothForms(plan: ServicePlan, payload: Uint8Array): void {
  const asObject = decodeResponse(plan, payload);
  out.reset();
  const asJson = writeResponseJson(plan, payload, undefined, out);
  assert.deepEqual(asJson.failure, asObject.failure);
  assert.deepEqual(asJson.errors, asObject.errors);
  if (!asJson.isMapped || asJson.failure !== undefined) assert.equal(out.length, 0);
  else assert.deepEqual(JSON.parse(Buffer.from(out.view()).toString()), withoutBig(asObject.data));
}

/** What JSON.parse makes of integers beyond 2^53. */
function withoutBig(given: unknown): unknown {
  if (typeof given === "bigint") return Number(given);
  if (Array.isArray(given)) return given.map(withoutBig);
  if (typeof given !== "object" || given === null) return given;
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, withoutBig(value)]));
}

export const PROPERTIES: Readonly<Record<string, (draw: Draw) => void>> = {
  "what is encoded decodes to itself": roundTrip,
  "full bytes and values are one to one": bijection,
  "garbage gives an error or a value, never a crash": garbage,
};

/** Runs a property; the seed is printed with a failure and, for the record, by the caller. */
export function check(property: (draw: Draw) => void, numRuns: number, seed: number): void {
  fc.assert(fc.property(fc.gen(), property), { numRuns, seed });
}
