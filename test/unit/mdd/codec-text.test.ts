// Character encodings, and JSON written as bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import { formatBytes } from "#mdd/codec/render.ts";
import { decodeText, encodeText, TextEncoding, textProblem } from "#mdd/codec/text.ts";
import fc from "../../fixtures/properties.ts";

/** Source: the code charts of ISO 8859-1, ISO 8859-2, Windows-1252 and Unicode. */
const VECTORS = [
  { encoding: TextEncoding.ISO_8859_1, hex: "4772FCDF65", text: "Grüße" },
  { encoding: TextEncoding.ISO_8859_2, hex: "A1B3D8FF", text: "ĄłŘ˙" },
  { encoding: TextEncoding.WINDOWS_1252, hex: "80819FE9", text: "€\u0081Ÿé" },
  { encoding: TextEncoding.UTF_8, hex: "C3A9E282AC", text: "é€" },
  { encoding: TextEncoding.UCS_2, hex: "65E5D83DDE00", text: "日\u{1f600}" },
  { encoding: TextEncoding.UCS_2_LE, hex: "E5653DD800DE", text: "日\u{1f600}" },
] as const;

for (const { encoding, hex, text } of VECTORS)
  test(`text: encoding ${encoding} of ${text}`, () => {
    const bytes = fromHex(hex)!;
    assert.equal(textProblem(bytes, 0, bytes.length, encoding), "");
    assert.equal(decodeText(bytes, 0, bytes.length, encoding), text);
    assert.equal(toHex(encodeText(text, encoding)!), hex);
  });

test("text: what an encoding does not know is refused", () => {
  assert.equal(encodeText("日", TextEncoding.ISO_8859_1), undefined);
  assert.equal(encodeText("¡", TextEncoding.ISO_8859_2), undefined);
  assert.equal(encodeText("\u0080", TextEncoding.WINDOWS_1252), undefined);
  assert.equal(encodeText("\ud800", TextEncoding.UTF_8), undefined);
  assert.notEqual(textProblem(fromHex("C328")!, 0, 2, TextEncoding.UTF_8), "");
  assert.notEqual(textProblem(fromHex("004100")!, 0, 3, TextEncoding.UCS_2), "");
});

for (const encoding of [TextEncoding.ISO_8859_1, TextEncoding.ISO_8859_2, TextEncoding.WINDOWS_1252])
  test(`text: every byte of encoding ${encoding} is one character`, () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const text = decodeText(bytes, 0, 256, encoding);
    assert.equal(new Set(text).size, 256);
    assert.deepEqual(encodeText(text, encoding), bytes);
  });

test("JSON bytes: texts are those of JSON.stringify in every encoding", () => {
  const out = new JsonBytes(1);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 5 }), (bytes, kind) => {
      const encoding = kind as TextEncoding;
      if (textProblem(bytes, 0, bytes.length, encoding) !== "") return;
      out.reset();
      out.text(bytes, 0, bytes.length, encoding);
      const text = decodeText(bytes, 0, bytes.length, encoding);
      assert.equal(JSON.parse(Buffer.from(out.view()).toString()), text);
    }),
  );
  for (const text of ['say "no"\\', "a\nb\u0000", "\ud800x", "\u{1f600}", "\u007f\u0080\u07ff\u0800\uffff"]) {
    const bytes = encodeText(text, TextEncoding.UCS_2)!;
    out.reset();
    out.text(bytes, 0, bytes.length, TextEncoding.UCS_2);
    assert.equal(JSON.parse(Buffer.from(out.view()).toString()), text);
  }
});

test("JSON bytes: numbers are those of JSON.stringify", () => {
  const out = new JsonBytes(1);
  const numbers = [
    0,
    9,
    10,
    4294967295,
    2 ** 31 - 1,
    -1,
    0.1,
    1e21,
    -1.5e-7,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ];
  for (const number of numbers) {
    out.reset();
    out.number(number);
    assert.equal(Buffer.from(out.view()).toString(), JSON.stringify(number));
  }
  out.reset();
  out.number(2n ** 64n - 1n);
  assert.equal(Buffer.from(out.view()).toString(), "18446744073709551615");
});

test("JSON bytes: byte fields have the CDA's form, and answers are copies of their own", () => {
  const bytes = fromHex("01AB00")!;
  const out = new JsonBytes(1);
  out.hex(bytes, 0, 3);
  assert.equal(Buffer.from(out.view()).toString(), '"0x01 0xAB 0x00"');
  assert.equal(formatBytes(bytes, "hex"), "0x01 0xAB 0x00");
  assert.equal(formatBytes(bytes, "base64"), "AasA");
  const taken = out.take();
  assert.equal(taken.buffer.byteLength, taken.length);
  out.reset();
  out.ascii("x");
  assert.equal(Buffer.from(taken).toString(), '"0x01 0xAB 0x00"');
});
