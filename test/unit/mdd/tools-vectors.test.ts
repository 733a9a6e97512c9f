// The vector tool on the golden file: which vectors it finds wrong is written down here and in docs/mdd-tools.md, with reasons.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { resolveComParams } from "#mdd/query/com-param-resolution.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { parseVectors, runVectors, VECTOR_OPERATIONS } from "#mdd/tools/vectors.ts";
import type { Vector, VectorMode, VectorResult } from "#mdd/tools/vectors-run.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";
import { nrcText } from "#uds/nrc.ts";
import { SMALL_ECU } from "../../fixtures/small-ecu.ts";
import { openShared, readShared, SKIP_WITHOUT_SHARED } from "./query-support.ts";

/** Files of the converter. */
const READING = { positions: "converter", lengthKeyUnit: "bytes" } as const;

const readers = { parse: parseComParam, readConfig: readComParamConfig };
const environment = (mode: VectorMode) => ({
  mode,
  nrcText,
  comParams: (database: Parameters<typeof resolveComParams>[0]) =>
    resolveComParams(database, undefined, { rows: COM_PARAM_ROWS, readers }),
});

/** Vectors that keep the CDA's answer although the facts (§6.3) ask for another, as other vectors do for the same case. */
const WRONG_VECTORS = [52, 81];

/** Both refuse, for different reasons: rational functions and TAB-INTP are implemented here, and a missing byte is missing data. */
const OTHER_KIND = [731, 734, 743, 757, 1010, 1462];

/** Schemas with what the CDA's leave out though it is taken or given: DTCs, length keys, constants, tables. */
const WIDER_SCHEMA = [87, 94, 473, 474, 477, 479, 482, 483, 1517, 1529, 1539, 1559, 1562, 1563, 1566];

/** Vectors whose recommended outcome is not the CDA's, and the two above. */
const FAILED_AS_CDA = 271;

async function runGolden(mode: VectorMode): Promise<readonly VectorResult[]> {
  const vectors = parseVectors(JSON.parse(readShared("facts/mdd-golden.json")));
  const results: VectorResult[] = [];
  for (const file of new Set(vectors.map(({ mdd }) => mdd)))
    results.push(
      ...runVectors(
        await openShared(file),
        READING,
        vectors.filter(({ mdd }) => mdd === file),
        environment(mode),
      ),
    );
  return results;
}

const failedIds = (results: readonly VectorResult[]): number[] =>
  results.filter(({ differences }) => differences.length > 0).map(({ vector }) => vector.id);

test("the golden file passes but for the vectors that are wrong", { skip: SKIP_WITHOUT_SHARED }, async () => {
  const results = await runGolden("recommended");
  assert.equal(results.length, 1236);
  assert.deepEqual(failedIds(results), WRONG_VECTORS);
  const remarked = (pattern: RegExp) =>
    results.filter(({ remarks }) => remarks.some((remark) => pattern.test(remark))).map(({ vector }) => vector.id);
  assert.deepEqual(remarked(/facts §6.3 disagree/), WRONG_VECTORS);
  assert.deepEqual(remarked(/refused as/), OTHER_KIND);
  assert.deepEqual(remarked(/refused with/), []);
  assert.deepEqual(remarked(/schema lacks/), WIDER_SCHEMA);
});

test("as the CDA answers, every vector with a recommendation of another outcome fails", {
  skip: SKIP_WITHOUT_SHARED,
}, async () => {
  const results = await runGolden("cda");
  const failed = new Set(failedIds(results));
  const hex = results.filter(({ vector: { op, cda, recommended } }) => {
    return (
      op === "encode_request" && recommended?.hex !== undefined && !recommended.or_error && recommended.hex !== cda.hex
    );
  });
  assert.ok(hex.length > 50);
  assert.deepEqual(
    hex.map(({ vector }) => vector.id).filter((id) => !failed.has(id)),
    [],
  );
  const recommended = results.filter(({ vector }) => vector.recommended !== undefined).map(({ vector }) => vector.id);
  assert.equal(failed.size, FAILED_AS_CDA);
  assert.deepEqual(
    [...failed].filter((id) => !recommended.includes(id)),
    WRONG_VECTORS,
  );
});

const database = openDatabase(writeEcuData(SMALL_ECU));
const one = (vector: Partial<Vector>): VectorResult => {
  const whole = { id: 1, mdd: "small.mdd", op: "encode_request", cda: {}, ...vector };
  return runVectors(database, READING, [whole], environment("recommended"))[0]!;
};

test("a difference is told with both sides", () => {
  const raw = one({ op: "generic_service_check", input: { raw: "22ffff" }, cda: {} });
  assert.match(raw.differences.join(), /refused: No matching generic service/);
  const hex = one({ service: { name: "nothing like this" }, cda: { hex: "22f190" } });
  assert.match(hex.differences.join(), /refused: Diagnostic service .* instead of 22f190/);
});

test("what is no vector fails by itself", () => {
  assert.match(one({ op: "dance" }).differences.join(), /operation 'dance' is not known/);
  assert.match(one({ op: "toString" }).differences.join(), /operation 'toString' is not known/);
  assert.match(one({ active_variant: "nobody" }).differences.join(), /no variant 'nobody'/);
  assert.match(one({ op: "decode_response", input: { hex: "zz" } }).differences.join(), /no hex/);
  for (const op of VECTOR_OPERATIONS) assert.doesNotThrow(() => one({ op }));
});

test("a file without vectors is refused", () => {
  for (const json of [null, 1, {}, { vectors: 1 }, { vectors: [null] }, { vectors: [{ id: 1 }] }])
    assert.throws(
      () => parseVectors(json),
      (error) => error instanceof Fault && error.kind === "invalidData",
    );
});
