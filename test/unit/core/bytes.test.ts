import assert from "node:assert/strict";
import { test } from "node:test";
import { gathered } from "#core/bytes.ts";

async function* parts(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const [i, size] of sizes.entries()) yield new Uint8Array(size).fill(i);
}
const tooLong = () => new RangeError("too long");

test("what comes in parts is one; what is too long ends as soon as that is known", async () => {
  assert.deepEqual([...(await gathered(parts(2, 0, 1), 3, tooLong))], [0, 0, 2]);
  assert.equal((await gathered(parts(), 0, tooLong)).byteLength, 0);
  let asked = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      asked++;
      yield new Uint8Array(2);
    }
  }
  await assert.rejects(gathered(endless(), 3, tooLong), /too long/);
  assert.equal(asked, 2);
});
