/** `[flat_buf]` bounds what a database may be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { createMddParser, verifyOptionsOf } from "#update/mdd-parser.ts";

const [demo] = DEMO_ECUS;
const parse = async (keys: object) => {
  const config = { flat_buf: { ...defaultConfig().flat_buf, ...keys } };
  return createMddParser(verifyOptionsOf(config))(await writeMdd({ description: demoDatabase(demo!) }), "a.mdd");
};

const BOUNDS: readonly [keys: object, refused: RegExp | undefined][] = [
  [{}, undefined],
  [{ max_depth: 3 }, /deep/],
  [{ max_tables: 10 }, /tables/],
  [{ max_apparent_size: 1_000 }, /apparent|bytes/],
  [{ max_apparent_size: 100_000_000 }, undefined],
];
for (const [keys, refused] of BOUNDS) {
  test(`flat_buf ${JSON.stringify(keys)}`, async () => {
    if (refused === undefined) assert.equal((await parse(keys)).ecuName, demo!.name);
    else await assert.rejects(parse(keys), refused);
  });
}

test("flat_buf.ignore_missing_null_terminator reaches the verifier", () => {
  for (const ignore of [false, true]) {
    const { flat_buf } = defaultConfig();
    const options = verifyOptionsOf({ flat_buf: { ...flat_buf, ignore_missing_null_terminator: ignore } });
    assert.equal(options.ignoreMissingNullTerminator, ignore);
  }
});
