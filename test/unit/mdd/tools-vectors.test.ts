// The vector tool by itself; what it finds in the golden file: golden.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { parseVectors, runVectors, VECTOR_OPERATIONS } from "#mdd/tools/vectors.ts";
import type { Vector, VectorResult } from "#mdd/tools/vectors-run.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { SMALL_ECU } from "../../fixtures/small-ecu.ts";
import { environment, READING } from "./vectors-support.ts";

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

test("an error of another kind or text is a remark, an error where none belongs a difference", () => {
  const raw = { op: "generic_service_check", input: { raw: "22ffff" } };
  const own = one({ ...raw, cda: { error: "none" } });
  assert.deepEqual(own.differences, []);
  const [, text = ""] = /^refused with notFound '(.*)', the reference with 'none'$/.exec(own.remarks.join()) ?? [];
  assert.notEqual(text, "");
  const quoted = text.replaceAll('"', '\\"');
  assert.deepEqual(one({ ...raw, cda: { error: `Not found: "${quoted}"` } }).remarks, []);
  const decode = { op: "decode_response", service: { name: "nobody" }, input: { hex: "62" } };
  assert.match(one({ ...decode, cda: { error: "x" } }).remarks.join(), /^refused before decoding/);
  assert.match(one(decode).differences.join(), /^refused before decoding/);
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
