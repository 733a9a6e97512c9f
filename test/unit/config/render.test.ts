import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { configMarkdown } from "#config/docs.ts";
import { readConfig } from "#config/load.ts";
import { leavesOf, type Node } from "#config/node.ts";
import { configToml, sampleToml } from "#config/render.ts";
import { OWN, SCHEMA } from "#config/schema.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

function read(toml: string) {
  const path = scratchFolder("config");
  writeFileSync(join(path, "a.toml"), toml);
  return readConfig({ file: join(path, "a.toml"), features: { can: true } });
}

const defaults = () => read("").config;

test("the sample as it stands changes nothing and warns about nothing", () => {
  const { config, problems, warnings } = read(sampleToml());
  assert.deepEqual([problems, warnings], [[], []]);
  assert.deepEqual(config, defaults());
});

/** Lines whose key has no default show an example, which is not what is in force without them. */
/** The sample with every default switched on; tables that are there only when the user writes them stay out. */
function uncommented(): string {
  const lines = sampleToml().split("\n");
  const kept = lines.filter((_, index) => !lines[index - 1]?.includes("Absent by default."));
  let inOptional = false;
  const standing = kept.filter((line) => {
    if (/^#?\[/.test(line)) inOptional = line.startsWith("#");
    return !inOptional;
  });
  return standing.map((line) => line.replace(/^#(?=["A-Za-z0-9])/, "")).join("\n");
}

test("every line of the sample is the default and known", () => {
  const { config, problems, warnings } = read(uncommented());
  assert.deepEqual(problems, []);
  assert.deepEqual(
    warnings.filter(({ message }) => !message.startsWith("has no effect")),
    [],
  );
  assert.deepEqual(config, defaults());
});

test("examples of the sample are right too", () => {
  const all = sampleToml().replace(/^#(?=["A-Za-z0-9[])/gm, "");
  const keys = read(all).problems.map(({ key }) => key);
  assert.deepEqual(keys, []);
});

/** Every key of the schema, maps by their key's name. */
function keysOf(node: Node, path: readonly string[] = []): string[] {
  switch (node.kind) {
    case "leaf":
      return [path.join(".")];
    case "section":
      return node.inline
        ? [path.join(".")]
        : Object.entries(node.keys).flatMap(([key, child]) => keysOf(child, [...path, key]));
    case "map":
      return keysOf(node.item, [...path, `<${node.keyName}>`]);
    case "list":
      return keysOf(node.item, path);
    case "partial":
      return [];
  }
}

test("docs/config.md names the schema's keys, and no others", () => {
  const keys: string[] = [];
  let table = "";
  for (const line of configMarkdown().split("\n")) {
    table = /^## `\[+(.*?)\]+`/.exec(line)?.[1] ?? table;
    const key = /^\| `([^`]+)`/.exec(line)?.[1];
    if (key !== undefined) keys.push(table === "" ? key : `${table}.${key}`);
  }
  assert.deepEqual(keys.sort(), keysOf(SCHEMA).sort());
});

test("every key and section is documented in a sentence", () => {
  const visit = (node: Node, path: string): void => {
    assert.match(node.doc, /\S.*[.`!]$/, path);
    if (node.kind === "section") for (const [key, child] of Object.entries(node.keys)) visit(child, `${path}.${key}`);
    if (node.kind === "map" || node.kind === "list") visit(node.item, `${path}[]`);
  };
  visit(SCHEMA, "");
});

test("keys that are ours exist", () => {
  const known = new Set(leavesOf(SCHEMA).flatMap(({ path }) => path.map((_, end) => path.slice(0, end + 1).join("."))));
  assert.deepEqual(
    [...OWN].filter((key) => !known.has(key)),
    [],
  );
});

const FILES = [
  { path: "config/sample.toml", make: sampleToml },
  { path: "docs/config.md", make: configMarkdown },
];
for (const { path, make } of FILES) {
  test(`${path} is what the schema says`, () => {
    assert.equal(readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8"), make());
  });
}

test("printed values load to the same configuration", () => {
  const { config, problems } = read(
    [
      'flash_files_path = "a\\"b"',
      "[ecu.EMPTY]",
      '[ecu."x y"]',
      "ignore_protocol = true",
      '[ecu."x y".com_params.doip]',
      'logical_response_id_table_name = "T"',
      "logical_gateway_address = { value = 1 }",
      "[ecu.Z.com_params.uds.tester_present_response_expected]",
      'value = "yes"',
      "[can]",
      'interface = "can0"',
      "[[can.ecu_mappings]]",
      'ecu_name = "A"',
      "request_id = 1",
      "response_id = 2",
      "[components.additional_fields.f.SD]",
      'values = ["v"]',
      "[data]",
      'categories = { a = "sysInfo" }',
    ].join("\n"),
  );
  assert.deepEqual(problems, []);
  const again = read(configToml(config));
  assert.deepEqual([again.problems, again.config], [[], config]);
});

test("secrets are not printed", () => {
  const { config } = read("[security]\nsecret = 'do not show me'\n");
  assert.doesNotMatch(configToml(config), /do not show me/);
});
