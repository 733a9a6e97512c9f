// Numbers at any bit of a payload.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import {
  gather,
  maskPositions,
  readBig,
  readNumber,
  scatter,
  spannedBytes,
  writeBig,
  writeNumber,
} from "#mdd/codec/bits.ts";
import fc from "../../fixtures/properties.ts";

/** Source: worked out by hand from ISO 22901-1 §7.3.6.2.2: bit 0 is the least significant bit of the last byte, or of the first. */
const VECTORS = [
  { name: "12 bits", hex: "FABC", bit: 0, bits: 12, isLittleEndian: false, value: 0xabc },
  { name: "12 bits at bit 4", hex: "ABCF", bit: 4, bits: 12, isLittleEndian: false, value: 0xabc },
  { name: "12 bits little endian", hex: "BC0A", bit: 0, bits: 12, isLittleEndian: true, value: 0xabc },
  { name: "10 bits at bit 3", hex: "0AA8", bit: 3, bits: 10, isLittleEndian: false, value: 341 },
  { name: "10 bits at bit 3, all ones", hex: "1FF8", bit: 3, bits: 10, isLittleEndian: false, value: 1023 },
  {
    name: "20 bits at bit 5 over four bytes, little endian",
    hex: "C09B5701",
    bit: 5,
    bits: 20,
    isLittleEndian: true,
    value: 0xabcde,
  },
  { name: "one bit on top", hex: "80", bit: 7, bits: 1, isLittleEndian: false, value: 1 },
  { name: "53 bits", hex: "1FFFFFFFFFFFFF", bit: 0, bits: 53, isLittleEndian: false, value: Number.MAX_SAFE_INTEGER },
] as const;

for (const { name, hex, bit, bits, isLittleEndian, value } of VECTORS)
  test(`bits: ${name}`, () => {
    const bytes = fromHex(hex)!;
    assert.equal(readNumber(bytes, 0, bit, bits, isLittleEndian), value);
    assert.equal(readBig(bytes, 0, bit, bits, isLittleEndian), BigInt(value));
    const written = bytes.slice();
    writeNumber(written, 0, bit, bits, isLittleEndian, value);
    assert.equal(toHex(written), hex);
  });

const field = fc.record({
  bytes: fc.uint8Array({ minLength: 10, maxLength: 10 }),
  bit: fc.integer({ min: 0, max: 7 }),
  bits: fc.integer({ min: 1, max: 64 }),
  isLittleEndian: fc.boolean(),
});

test("bits: number and bigint read alike, and writing back changes nothing", () => {
  fc.assert(
    fc.property(field, ({ bytes, bit, bits, isLittleEndian }) => {
      const value = readBig(bytes, 1, bit, bits, isLittleEndian);
      const written = bytes.slice();
      writeBig(written, 1, bit, bits, isLittleEndian, value);
      assert.deepEqual(written, bytes);
      if (bits > 53) return;
      assert.equal(BigInt(readNumber(bytes, 1, bit, bits, isLittleEndian)), value);
      writeNumber(written, 1, bit, bits, isLittleEndian, Number(value));
      assert.deepEqual(written, bytes);
    }),
  );
});

test("bits: writing touches the field alone, and of it only what the mask names", () => {
  fc.assert(
    fc.property(
      field,
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      (f, v, m) => {
        const { bytes, bit, bits, isLittleEndian } = f;
        const value = BigInt.asUintN(bits, v);
        const mask = BigInt.asUintN(bits, m);
        const before = readBig(bytes, 1, bit, bits, isLittleEndian);
        const written = bytes.slice();
        writeBig(written, 1, bit, bits, isLittleEndian, value, mask);
        assert.equal(readBig(written, 1, bit, bits, isLittleEndian), (before & ~mask) | (value & mask));
        assert.equal(written[0], bytes[0]);
        const behind = 1 + spannedBytes(bit, bits);
        assert.deepEqual(written.subarray(behind), bytes.subarray(behind));
        if (bits > 53) return;
        const asNumber = bytes.slice();
        writeNumber(asNumber, 1, bit, bits, isLittleEndian, Number(value), Number(mask));
        assert.deepEqual(asNumber, written);
      },
    ),
  );
});

test("bits: gathering undoes scattering", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 40n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }), (mask, v) => {
      const positions = maskPositions(mask, 40);
      const value = BigInt.asUintN(positions.length, v);
      assert.equal(gather(scatter(value, positions), positions), value);
      assert.equal(scatter(value, positions) & ~mask, 0n);
    }),
  );
});
