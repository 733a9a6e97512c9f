// What odxtools 11.7.1, an independent reading of ISO 22901-1, makes of the ECU with everything. Where the two readings differ
// (docs/converter.md says where and why) there are no rows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { decodeRequest, decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import { CASES, everything, serviceName } from "./odx-every.ts";
import { convert, isNearly, plansOf } from "./odx-support.ts";

const plans = plansOf(convert(everything()), { lengthKeyUnit: "bits" });
const rows = readFileSync(new URL("odx-odxtools.tsv", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .slice(1)
  .map((line) => line.split("\t") as [string, string, string, string, string]);

test("there are rows of nearly every case", () => {
  assert.ok(new Set(rows.map(([name]) => name)).size >= CASES.length - 5);
});

for (const [index, { name }] of CASES.entries()) {
  const own = rows.filter((row) => row[0] === name);
  if (own.length === 0) continue;
  test(`${name}: as odxtools has it`, () => {
    const plan = plans.get(serviceName(index))!;
    for (const [, message, hex, encoded, json] of own) {
      const bytes = fromHex(hex)!;
      const data = JSON.parse(json);
      isNearly((message === "request" ? decodeRequest(plan, bytes) : decodeResponse(plan, bytes)).data, data);
      if (encoded !== "") assert.equal(toHex(encodeRequest(plan, data)).toLowerCase(), encoded, hex);
    }
  });
}
