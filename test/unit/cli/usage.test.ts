/** Exit codes of the command line (sovd-api.md §17.3): 0 for help, 1 with the reason, 2 for wrong usage. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

const ROWS: readonly [argv: readonly string[], code: number, text: RegExp][] = [
  [["--version"], 0, /^\d+\.\d+\.\d+/],
  [["serve", "--help"], 0, /--databases-path/],
  [["nonsense"], 2, /unknown command 'nonsense'/],
  [["toString"], 2, /unknown command 'toString'/],
  [["serve", "--bogus"], 2, /unknown option '--bogus'/],
  [["serve", "--listen-port"], 2, /argument missing/],
  [["serve", "--listen-port", "abc"], 2, /server\.port: expected an integer/],
  [["simulate", "--config", "vehicle.toml", "--port", "13401"], 2, /'--port <port>'/],
  [["serve", "--config", "/nowhere/at/all.toml"], 1, /ENOENT/],
];

for (const [argv, code, text] of ROWS) {
  test(`${argv.join(" ")} ends with ${code}`, async () => {
    const ended = await new Promise<{ code: unknown; out: string }>((resolve) => {
      execFile(process.execPath, ["--import", "tsx", CLI, ...argv], (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, out: stdout + stderr }),
      );
    });
    assert.match(ended.out, text);
    assert.equal(ended.code, code);
  });
}
