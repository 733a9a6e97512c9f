import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDtc, formatSaeDtc, parseDtc } from "#mdd/query/dtc.ts";
import fc from "../../fixtures/properties.ts";

// Hand-derived vectors of mdd-golden.json (decode_dtc_text); a display code of SYNTH.source.json.
const TEXTS: readonly (readonly [text: string, code: number | undefined])[] = [
  ["P0100FF", 0x0100ff],
  ["u0001aa", 0xc001aa],
  ["01E240", 0x01e240],
  ["0x01E240", 0x01e240],
  ["B1A2B11", 0x9a2b11],
  ["", undefined],
  ["01E24", undefined],
  ["01E2400", undefined],
  ["X0100FF", undefined],
  ["P4100FF", undefined],
  ["0x01E24", undefined],
  ["P0100F", undefined],
];

for (const [text, code] of TEXTS) test(`trouble code '${text}'`, () => assert.equal(parseDtc(text), code));

test("both forms read back as the code they were written for", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffff }), (code) => {
      assert.equal(parseDtc(formatDtc(code)), code);
      assert.equal(parseDtc(`0x${formatDtc(code).toLowerCase()}`), code);
      assert.equal(parseDtc(formatSaeDtc(code)), code);
    }),
  );
});

test("any text is a code of 24 bits or none", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 9 }), (text) => {
      const code = parseDtc(text);
      assert.ok(code === undefined || (code >= 0 && code <= 0xffffff));
    }),
  );
});
