import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeChunk, encodeChunk } from "#store/content.ts";
import { storedName } from "#store/names.ts";
import { decodeRecord, encodeRecord, type Json } from "#store/record.ts";
import fc from "../../fixtures/properties.ts";
import { faultOf } from "./support.ts";

const json = fc.jsonValue() as fc.Arbitrary<Json>;

test("a record comes back; under another key, cut short or with a bit turned it is corruption", () => {
  fc.assert(
    fc.property(fc.string(), json, fc.nat(), fc.nat(7), (key, value, at, bit) => {
      const stored = encodeRecord(key, value);
      assert.deepEqual(decodeRecord(key, stored), JSON.parse(JSON.stringify(value)));
      assert.throws(() => decodeRecord(`${key}x`, stored), faultOf("corruption"));
      assert.throws(() => decodeRecord(key, stored.subarray(0, at % stored.length)), faultOf("corruption"));
      const place = at % stored.length;
      stored.writeUInt8(stored.readUInt8(place) ^ (1 << bit), place);
      assert.throws(() => decodeRecord(key, stored), faultOf("corruption"));
    }),
  );
});

test("garbage is never a record or a chunk", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.throws(() => decodeRecord("key", bytes), faultOf("corruption"));
      assert.throws(() => decodeChunk(bytes, "chunk"), faultOf("corruption"));
      assert.deepEqual([...decodeChunk(encodeChunk(bytes), "chunk")], [...bytes]);
    }),
  );
});

test("names: ASCII letters in lower case, all else as it is; stored names stay as they are", () => {
  assert.equal(storedName("key", "ÄFcm_01.MDD"), "Äfcm_01.mdd");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      let stored: string;
      try {
        stored = storedName("key", name);
      } catch (error) {
        return faultOf("invalidParameter")(error);
      }
      return storedName("key", stored) === stored && !/[/\\A-Z]/.test(stored);
    }),
  );
});
