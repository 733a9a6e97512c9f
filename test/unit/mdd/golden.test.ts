// Golden vectors of the shared facts (mdd-golden.json): every encode and decode of the codec. The other operations: query-golden.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import {
  type DecodedObject,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  writeResponseJson,
} from "#mdd/codec/codec.ts";
import { compileService } from "#mdd/codec/compile.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { DiagService } from "#mdd/generated/dataformat.ts";
import type { Database } from "#mdd/query/database.ts";
import { baseVariant, findVariant, functionalGroup } from "#mdd/query/layers.ts";
import { findService } from "#mdd/query/lookup.ts";
import type { ServiceType } from "#mdd/query/service-entry.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { nrcText } from "#uds/nrc.ts";
import { isNearlyEqual } from "./codec-support.ts";
import { openShared, readShared, SKIP_WITHOUT_SHARED } from "./query-support.ts";

/** What a vector expects; which members are there depends on the operation and the outcome. */
interface Expected {
  readonly hex?: string;
  readonly json?: unknown;
  readonly raw?: string;
  readonly type?: string;
  readonly nrc?: { code: number | null; description: string | null; sid: number | null };
  readonly error?: string;
  readonly kind?: string;
  readonly panic?: string;
  readonly json_error?: string;
  readonly error_or_raw?: number;
  readonly or_error?: boolean;
  readonly any?: boolean;
}

interface Vector {
  readonly id: number;
  readonly mdd: string;
  readonly op: string;
  readonly service: { name: string; type: ServiceType; subfunction?: number; lookup_name?: string; fg?: string };
  readonly input?: { data?: Record<string, unknown>; raw?: string; hex?: string; map?: boolean };
  readonly config?: { strict?: boolean };
  readonly active_variant?: string;
  readonly cda: Expected;
  readonly recommended?: Expected;
}

/** Vectors that we knowingly answer otherwise, each with what we do and why. */
const OTHERWISE: Readonly<Record<number, { readonly why: string; readonly expected: Expected }>> = {
  52: { why: "a DTC is taken as a number, as vector 415 recommends", expected: { hex: "1401e240" } },
  81: {
    why: "an unknown DTC shows its code alone, as vector 414 recommends",
    expected: { json: { DTCAndStatusRecord: [{ DTCRecord: { code: 1 } }] } },
  },
};

/** Negative responses whose NRC the CDA does not find, because it skips NRC-CONST; we read it at byte 2, where ISO 14229-1 has it. */
const BETTER_NRC = new Set([1471, 1472]);

/** Kinds that differ although both refuse: the CDA has no compu method there, or reads the missing byte by another way. */
const OTHER_KIND: Readonly<Record<number, string>> = {
  731: "rational functions are implemented: the value has no inverse",
  734: "rational functions are implemented: the value has no inverse",
  743: "rational functions are implemented: the value has no inverse",
  757: "TAB-INTP is implemented: the value lies outside",
  1010: "a missing length byte is missing data",
  1462: "a message of one byte is missing data",
};

/** Shapes of the CDA that lose a value: a constant of a structure stands under the structure's name, a list item is repeated. */
const LOSSY_SHAPE = new Set([82, 372, 1133]);

const CODEC_OPS = new Set(["encode_request", "decode_response", "decode_request"]);

const vectors: readonly Vector[] = SKIP_WITHOUT_SHARED
  ? []
  : (JSON.parse(readShared("facts/mdd-golden.json")).vectors as Vector[]).filter(({ op }) => CODEC_OPS.has(op));

function planOf(database: Database, { service, active_variant }: Vector, shape: "cda" | "iso"): ServicePlan {
  const variant = active_variant === undefined ? baseVariant(database) : findVariant(database, active_variant);
  const scope = service.fg === undefined ? variant : functionalGroup(database, service.fg);
  assert.ok(scope);
  const found = findService(serviceIndex(database, scope), database.naming, {
    type: service.type,
    name: service.name,
    ...(service.lookup_name === undefined ? {} : { lookupName: service.lookup_name }),
    ...(service.subfunction === undefined ? {} : { subFunction: service.subfunction }),
  });
  return compileService(new DiagService().__init(found.table, database.buffer), { shape, nrcText });
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  assert.ok(bytes);
  return bytes;
}

function encode(database: Database, vector: Vector, expected: Expected): void {
  const run = () => {
    const raw = vector.input?.raw;
    const parameters = raw === undefined ? vector.input?.data : bytesOf(raw);
    const isStrict = vector.config?.strict ?? false;
    return toHex(encodeRequest(planOf(database, vector, "cda"), parameters, { isStrict })).toLowerCase();
  };
  if (expected.error === undefined && expected.panic === undefined) {
    if (expected.or_error) assert.equal(attempt(run) ?? expected.hex, expected.hex);
    else assert.equal(run(), expected.hex);
    return;
  }
  assert.throws(run, (error) => {
    assert.ok(error instanceof Fault, String(error));
    const isComparable =
      expected.kind !== undefined && expected.kind !== "NotFound" && OTHER_KIND[vector.id] === undefined;
    if (isComparable) assert.equal(error.details?.kind, expected.kind, error.message);
    return true;
  });
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

function decode(database: Database, vector: Vector, expected: Expected): void {
  const payload = bytesOf(vector.input?.hex ?? "");
  const iso = decodeBoth(planOf(database, vector, "iso"), vector.op, payload);
  const cda = decodeBoth(planOf(database, vector, "cda"), vector.op, payload);
  const hasFailed = iso.failure !== undefined || iso.errors.length > 0;
  if (expected.any) return;
  if (expected.error !== undefined) {
    assert.ok(hasFailed, JSON.stringify(iso.data));
    if (iso.failure !== undefined && expected.kind !== undefined && OTHER_KIND[vector.id] === undefined)
      assert.equal(iso.failure.kind, expected.kind);
    return;
  }
  if (expected.error_or_raw !== undefined) {
    const isMarked = iso.notes.length > 0 && iso.data?.v === expected.error_or_raw;
    assert.ok(hasFailed || isMarked, JSON.stringify(iso));
    return;
  }
  if (vector.input?.map !== false) compareData(vector, expected, iso, cda, hasFailed);
  if (expected === vector.cda) compareFrame(vector, cda);
}

function compareData(
  vector: Vector,
  expected: Expected,
  iso: DecodedObject,
  cda: DecodedObject,
  hasFailed: boolean,
): void {
  if (expected.json_error !== undefined) {
    assert.ok(hasFailed || iso.notes.length > 0 || !iso.isMapped, JSON.stringify(iso));
    return;
  }
  assert.equal(hasFailed, false, JSON.stringify([iso.failure, iso.errors]));
  const shown = expected === vector.recommended ? iso.data : cda.data;
  const wanted = expected.json ?? null;
  assert.ok(contains(shown, wanted, vector.id), `${JSON.stringify(shown)}\nwanted ${JSON.stringify(wanted)}`);
  const isFlattened = !isNearlyEqual(iso.data, cda.data);
  if (isFlattened && vector.recommended !== undefined && !LOSSY_SHAPE.has(vector.id))
    assert.ok(
      isNearlyEqual(cda.data, vector.cda.json),
      `${JSON.stringify(cda.data)}\nCDA ${JSON.stringify(vector.cda.json)}`,
    );
}

/** Equal; of a vector in OTHERWISE only what its expectation names. */
function contains(shown: unknown, wanted: unknown, id: number): boolean {
  if (OTHERWISE[id] === undefined) return isNearlyEqual(shown, wanted);
  if (typeof wanted !== "object" || wanted === null) return shown === wanted;
  return Object.entries(wanted).every(([key, value]) => contains((shown as Record<string, unknown>)[key], value, id));
}

function compareFrame({ id, cda: { raw, type, nrc } }: Vector, decoded: DecodedObject): void {
  if (raw !== undefined) assert.equal(toHex(decoded.raw).toLowerCase(), raw);
  if (type !== undefined) assert.equal(decoded.type, type.toLowerCase());
  if (nrc !== undefined && !BETTER_NRC.has(id)) assert.deepEqual(decoded.nrc, nrc);
}

/** Decodes to an object and to JSON bytes, which must say the same. */
function decodeBoth(plan: ServicePlan, op: string, payload: Uint8Array): DecodedObject {
  if (op === "decode_request") return decodeRequest(plan, payload);
  const decoded = decodeResponse(plan, payload);
  const out = new JsonBytes();
  const { isMapped, failure } = writeResponseJson(plan, payload, undefined, out);
  const hasJson = isMapped && failure === undefined;
  assert.equal(out.length > 0, hasJson);
  if (hasJson) assert.deepEqual(JSON.parse(Buffer.from(out.view()).toString()), decoded.data);
  return decoded;
}

for (const file of new Set(vectors.map(({ mdd }) => mdd))) {
  test(`golden codec on ${file}`, { skip: SKIP_WITHOUT_SHARED }, async (t) => {
    const database = await openShared(file);
    for (const vector of vectors.filter(({ mdd }) => mdd === file)) {
      const otherwise = OTHERWISE[vector.id];
      const expected = otherwise?.expected ?? vector.recommended ?? vector.cda;
      const name = `${vector.id} ${vector.op} ${vector.service.name}${otherwise ? ` (otherwise: ${otherwise.why})` : ""}`;
      await t.test(name, () =>
        vector.op === "encode_request" ? encode(database, vector, expected) : decode(database, vector, expected),
      );
    }
  });
}

test("golden vectors are there", { skip: SKIP_WITHOUT_SHARED }, () => {
  assert.equal(vectors.length, 1101);
  assert.equal(vectors.filter(({ recommended }) => recommended !== undefined).length > 280, true);
});
