/** ES modules of the operator's. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { functionOfModule, makeOfModule } from "#core/module.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

test("the default export is a function, called by us or by whom it is for", async () => {
  const folder = scratchFolder("module");
  const file = join(folder, "sum.mjs");
  await writeFile(file, "export default (a, b) => a + b");
  assert.equal(await makeOfModule("a.key", file, 1, 2), 3);
  assert.equal((await functionOfModule("a.key", file))(3, 4), 7);
  for (const [name, text, maker, reason] of [
    ["absent", undefined, false, /^a\.key: .*absent\.mjs does not load: /],
    ["broken", "export default (", false, /broken\.mjs does not load: /],
    ["object", "export default {}", false, /object\.mjs has no function as default export$/],
    ["throws", "export default () => { throw new Error('not today') }", true, /throws\.mjs does not load: not today$/],
  ] as const) {
    const path = join(folder, `${name}.mjs`);
    if (text !== undefined) await writeFile(path, text);
    const expected = { kind: "invalidConfig", message: reason };
    await assert.rejects(makeOfModule("a.key", path), expected);
    if (maker) assert.throws(await functionOfModule("a.key", path), /^Error: not today$/);
    else await assert.rejects(functionOfModule("a.key", path), expected);
  }
});
