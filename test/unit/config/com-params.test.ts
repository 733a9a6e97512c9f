import assert from "node:assert/strict";
import { test } from "node:test";
import { COM_PARAMS as SECTIONS } from "#config/schema/com-params.ts";
import { COM_PARAMS as TABLE } from "#uds/com-params.ts";

for (const group of ["uds", "doip", "can"] as const) {
  test(`every communication parameter of ${group} can be configured, and no others`, () => {
    const keys = Object.values(TABLE[group]).map(({ key }) => key);
    assert.deepEqual(Object.keys(SECTIONS.keys[group].keys).sort(), keys.sort());
  });
}

test("name, default and time of a parameter are the table's", () => {
  const { name, value } = SECTIONS.keys.uds.keys.rc_21_repeat_request_time.keys;
  assert.deepEqual([name.default, value.default], ["CP_RC21RequestTime", { secs: 0, nanos: 200_000_000 }]);
});
