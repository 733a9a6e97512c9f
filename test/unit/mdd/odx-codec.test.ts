// ODX → description → FlatBuffer → plans → bytes, for every kind of type, compu method, DOP and parameter.

import assert from "node:assert/strict";
import test from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import { CASES, everything, serviceId, serviceName } from "./odx-every.ts";
import { convert, isNearly, plansOf } from "./odx-support.ts";

const result = convert(everything());
const plans = plansOf(result, { lengthKeyUnit: "bits" });
const head = (sid: number, index: number) => `${sid.toString(16)}${serviceId(index).toString(16)}`;

test("nothing is left out of the ECU with everything", () => assert.deepEqual(result.report, []));

for (const [index, one] of CASES.entries()) {
  const plan = plans.get(serviceName(index))!;
  test(`${one.name}: decodes`, () => {
    const { data, failure, errors } = decodeResponse(plan, fromHex(`${head(0x6e, index)}${one.bytes}`)!);
    assert.equal(failure, undefined);
    assert.deepEqual(errors, []);
    isNearly(data, one.data);
  });
  if (one.isReadOnly === true) continue;
  test(`${one.name}: encodes`, () => {
    const bytes = encodeRequest(plan, one.input ?? one.data);
    assert.equal(toHex(bytes).toLowerCase(), `${head(0x2e, index)}${one.bytes}`);
  });
}
