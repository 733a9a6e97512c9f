import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkConfig, generateConfig, type Output, printConfig } from "#cli/config.ts";
import { sampleToml } from "#config/render.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

function recorder(): Output & { text: { out: string; error: string } } {
  const text = { out: "", error: "" };
  return {
    text,
    out: (more) => {
      text.out += more;
    },
    error: (more) => {
      text.error += more;
    },
  };
}

function file(toml: string): string {
  const path = scratchFolder("config");
  writeFileSync(join(path, "a.toml"), toml);
  return join(path, "a.toml");
}

test("config check names every problem and fails", () => {
  const output = recorder();
  const path = file("[server]\nport = 'x'\naddress = 1\n[nothing]\n");
  assert.equal(checkConfig(path, output), 1);
  assert.deepEqual(output.text.error.trim().split("\n"), [
    `error: ${path}:3:1: server.address: expected text, got "1"`,
    `error: ${path}:2:1: server.port: expected an integer 0 to 65535, got "x"`,
    `warning: ${path}:4:2: nothing: unknown key`,
  ]);
  assert.equal(output.text.out, `${path}: 2 errors, 1 warning\n`);
});

test("config check of a right file succeeds", () => {
  const output = recorder();
  assert.equal(checkConfig(file("[server]\nport = 1\n"), output), 0);
  assert.equal(output.text.error, "");
});

test("config print shows the values in force", () => {
  const output = recorder();
  assert.equal(printConfig({ file: file("[server]\nport = 1\n") }, output), 0);
  assert.match(output.text.out, /\[server\]\naddress = "0\.0\.0\.0"\nport = 1\n/);
});

test("config print --defaults looks at nothing else", () => {
  const output = recorder();
  assert.equal(printConfig({ defaults: true, file: "/nowhere.toml" }, output), 0);
  assert.match(output.text.out, /\nport = 20002\n/);
});

test("config print of a wrong file fails and prints no values", () => {
  const output = recorder();
  assert.equal(printConfig({ file: file("[server") }, output), 1);
  assert.equal(output.text.out, "");
  assert.match(output.text.error, /^error: .*a\.toml:1:/);
});

test("generate-config writes the sample to a file or stdout", () => {
  const path = file("");
  const output = recorder();
  assert.deepEqual([generateConfig(path, output), generateConfig("-", output)], [0, 0]);
  assert.equal(readFileSync(path, "utf8"), sampleToml());
  assert.equal(output.text.out, sampleToml());
});
