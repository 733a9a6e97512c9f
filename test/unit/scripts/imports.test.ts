import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { scratchFolder } from "../../fixtures/cleanup.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Planted faults and one right import; the name of the rule that must see each. */
const PLANTED = [
  { file: "src/core/a.ts", text: 'import "#doip/b.ts";', rule: "core-imports-downward" },
  { file: "src/doip/b.ts", text: 'import "node:http";', rule: "native-free" },
  { file: "src/mdd/c.ts", text: 'import "lmdb";', rule: "native-free" },
  {
    file: "src/uds/d.ts",
    text: 'import type { X } from "#ecu/e.ts"; export type Y = X;',
    rule: "uds-imports-downward",
  },
  { file: "src/ecu/e.ts", text: 'import "#uds/f.ts"; export type X = 1;', rule: undefined },
  { file: "src/uds/f.ts", text: "export {};", rule: undefined },
  { file: "src/unheard/g.ts", text: 'import "#core/a.ts";', rule: "every-folder-has-a-row" },
  { file: "src/http/h.ts", text: 'import "./nowhere.ts";', rule: "resolvable" },
];

test("the import rules see planted faults, each by its own rule", () => {
  const folder = scratchFolder("imports");
  for (const file of [".dependency-cruiser.cjs", "package.json"]) copyFileSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { file, text } of PLANTED) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const args = ["--config", ".dependency-cruiser.cjs", "--output-type", "json", "src"];
  const { stdout } = spawnSync(join(ROOT, "node_modules/.bin/depcruise"), args, { cwd: folder, encoding: "utf8" });
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } };
  assert.deepEqual(
    summary.violations.map(({ from, rule }) => [from, rule.name]).sort(),
    PLANTED.filter(({ rule }) => rule !== undefined)
      .map(({ file, rule }) => [file, rule])
      .sort(),
  );
});
