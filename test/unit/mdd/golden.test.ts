// Golden vectors of the shared facts (mdd-golden.json) through the vector tool: every difference and every remark is named here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseVectors, runVectors } from "#mdd/tools/vectors.ts";
import type { Vector, VectorMode, VectorResult } from "#mdd/tools/vectors-run.ts";
import { openShared, readShared, SKIP_WITHOUT_SHARED } from "./query-support.ts";
import { environment, READING } from "./vectors-support.ts";

/** What the tool finds in a vector that we knowingly answer otherwise. */
interface Otherwise {
  readonly difference?: RegExp;
  readonly remarks: readonly string[];
}

/** The CDA's schema leaves out what is taken or given: DTCs, length keys, constants, tables. */
const wider = (...paths: readonly string[]): Otherwise => ({
  remarks: paths.map((path) => `facts §7: the reference's schema lacks ${path}`),
});

/** Both refuse, for different reasons. */
const refusedAs = (own: string, reference: string): Otherwise => ({
  remarks: [`refused as ${own}, the reference as ${reference}`],
});

const RATIONAL = refusedAs("ParameterConversionError", "RequestNotSupported"); // rational functions are implemented: no inverse here
const INTERPOLATED = refusedAs("ParameterConversionError", "RequestNotSupported"); // TAB-INTP is implemented: the value lies outside
const MISSING_BYTE = refusedAs("NotEnoughData", "BadPayload"); // a missing byte is missing data

/** The first two keep the CDA's answer although the facts ask for another, as vectors 415 and 414 recommend for the same cases. */
const OTHERWISE: Readonly<Record<number, Otherwise>> = {
  52: {
    difference: /^1401e240 instead of an error \(Invalid database: .* DTC DoPs cannot be mapped/,
    remarks: ["facts §6.3 disagree with the vector: a DTC is taken as a number"],
  },
  81: {
    difference:
      /"DTCAndStatusRecord":\[\{"DTCRecord":\{"code":1\},[^{]*\} instead of an error \(Bad payload: No DTC with/,
    remarks: ["facts §6.3 disagree with the vector: an unknown DTC gives {code} alone"],
  },
  // The CDA loses a value: a constant of a structure stands under the structure's name.
  372: { remarks: ['flattened {"b":1,"tag":90}, the reference {"b":1,"s":90}'] },
  1133: { remarks: ['flattened {"a":1,"b":7,"c":9,"d":4,"r":0}, the reference {"a":1,"b":7,"d":4,"s":0}'] },
  731: RATIONAL,
  734: RATIONAL,
  743: RATIONAL,
  757: INTERPOLATED,
  1010: MISSING_BYTE,
  1462: MISSING_BYTE,
  87: wider("/travelMethod", "/travelMethodData"),
  94: wider("/DTCAndStatusRecord/DTCRecord"),
  473: wider("/dtc"),
  474: wider("/dtc"),
  477: wider("/key", "/tab"),
  479: wider("/len"),
  482: wider("/dtc"),
  483: wider("/dtc"),
  1517: wider("/len"),
  1529: wider("/list[]/dtc"),
  1539: wider("/which", "/value"),
  1559: wider("/list[]/dtc"),
  1562: wider("/key", "/tab"),
  1563: wider("/mode"),
  1566: wider("/len"),
};

const WRONG_VECTORS = Object.keys(OTHERWISE)
  .map(Number)
  .filter((id) => OTHERWISE[id]?.difference !== undefined);

const COUNTS: Readonly<Record<string, number>> = {
  encode_request: 617,
  decode_response: 462,
  decode_request: 22,
  request_schema: 59,
  response_schema: 26,
  variant_detection: 16,
  generic_service_check: 10,
  lookup_by_request_prefix: 7,
  find_security_service: 6,
  find_session_service: 3,
  state: 3,
  configurations: 3,
  addresses: 2,
};

/** Vectors with a second answer, the right one. */
const RECOMMENDED = 291;

/** Of those the ones whose outcome is not the CDA's, and the wrong vectors. */
const FAILED_AS_CDA = 271;

const skip = SKIP_WITHOUT_SHARED;
const vectors = skip ? [] : parseVectors(JSON.parse(readShared("facts/mdd-golden.json")));
const files = [...new Set(vectors.map(({ mdd }) => mdd))];

async function runFile(file: string, mode: VectorMode): Promise<readonly VectorResult[]> {
  const own = vectors.filter(({ mdd }) => mdd === file);
  return runVectors(await openShared(file), READING, own, environment(mode));
}

const hasFailed = ({ differences }: VectorResult): boolean => differences.length > 0;

function assertExpected({ vector, differences, remarks }: VectorResult): void {
  const { difference, remarks: expected } = OTHERWISE[vector.id] ?? { remarks: [] };
  const label = `${vector.id} ${vector.op} ${vector.service?.name ?? ""}`;
  if (difference === undefined) assert.deepEqual(differences, [], label);
  else {
    assert.equal(differences.length, 1, label);
    assert.match(differences[0] ?? "", difference, label);
  }
  assert.deepEqual(remarks, expected, label);
}

test("golden vectors are there", { skip }, () => {
  const counts = new Map<string, number>();
  for (const { op } of vectors) counts.set(op, (counts.get(op) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), COUNTS);
  assert.equal(vectors.filter(({ recommended }) => recommended !== undefined).length, RECOMMENDED);
  const ids = new Set(vectors.map(({ id }) => id));
  assert.deepEqual(
    Object.keys(OTHERWISE).filter((id) => !ids.has(Number(id))),
    [],
  );
});

for (const file of files)
  test(`golden vectors of ${file}`, { skip }, async (t) => {
    const results = await runFile(file, "recommended");
    assert.equal(results.length, vectors.filter(({ mdd }) => mdd === file).length);
    for (const result of results) await t.test(`${result.vector.id} ${result.vector.op}`, () => assertExpected(result));
  });

/** The CDA sends other bytes than it should. */
function sendsOtherBytes({ op, cda, recommended }: Vector): boolean {
  if (op !== "encode_request" || recommended?.hex === undefined || recommended.or_error) return false;
  return recommended.hex !== cda.hex;
}

test("as the CDA answers, vectors with a recommendation of another outcome fail", { skip }, async () => {
  const results = (await Promise.all(files.map((file) => runFile(file, "cda")))).flat();
  const failed = new Set(results.filter(hasFailed).map(({ vector }) => vector.id));
  const otherBytes = vectors.filter(sendsOtherBytes);
  assert.ok(otherBytes.length > 50);
  assert.deepEqual(
    otherBytes.filter(({ id }) => !failed.has(id)),
    [],
  );
  assert.equal(failed.size, FAILED_AS_CDA);
  const unrecommended = vectors.filter(({ id, recommended }) => failed.has(id) && recommended === undefined);
  assert.deepEqual(
    unrecommended.map(({ id }) => id),
    WRONG_VECTORS,
  );
});
