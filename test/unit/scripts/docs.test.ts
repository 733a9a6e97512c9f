/** What is written for people and can be held against the code: links, files, configuration keys, error kinds. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { leavesOf } from "#config/node.ts";
import { SCHEMA } from "#config/schema.ts";
import { FAULTS, type FaultKind } from "#core/errors.ts";
import { errorsMarkdown } from "../../../scripts/errors-doc.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const read = (page: string): string => readFileSync(join(ROOT, page), "utf8");
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found = ""]) => found);

const PAGES = ["", "docs"].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);

/** Modules of a folder but those that only declare keys. */
const modulesOf = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith(".ts") && !path.startsWith(join("src", "config")));

const SECTIONS = new Set(Object.keys(SCHEMA.keys));
const KEYS = new Set(leavesOf(SCHEMA).flatMap(({ path }) => path.map((_, end) => path.slice(0, end + 1).join("."))));

/** Changes name files and keys as they were. */
const HISTORY = "CHANGELOG.md";

for (const page of PAGES) {
  test(`${page}: links lead somewhere`, () => {
    const links = all(read(page), /\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g);
    const missing = links.filter((link) => !existsSync(join(ROOT, dirname(page), link)));
    assert.deepEqual(missing, []);
  });

  test(`${page}: files that it names are there`, { skip: page === HISTORY }, () => {
    const files = all(read(page), /`((?:src|workers|test|scripts|config|docs|native-free-bench)\/[\w./-]*)`/g);
    const missing = files.filter((file) => !existsSync(join(ROOT, file)));
    assert.deepEqual(missing, []);
  });

  test(`${page}: configuration keys that it names are there`, { skip: page === HISTORY }, () => {
    const words = all(read(page), /`([a-z][a-z_]*(?:\.[a-z][a-z_0-9]*)+)(?: = [^`]*)?`/g);
    const keys = words.filter((word) => SECTIONS.has(word.split(".")[0]!));
    const missing = keys.filter((key) => !KEYS.has(key));
    assert.deepEqual(missing, []);
  });
}

test("SECURITY.md names no bound that nothing reads", () => {
  const code = ["src", "workers"].flatMap((folder) => modulesOf(folder)).map(read);
  const keys = all(read("SECURITY.md"), /`([a-z][a-z_]*(?:\.[a-z][a-z_0-9]*)+)(?: = [^`]*)?`/g);
  assert.ok(keys.length > 20);
  const isRead = (key: string) => code.some((text) => new RegExp(`\\b${key.split(".").at(-1)}\\b`).test(text));
  assert.deepEqual(
    keys.filter((key) => !isRead(key)),
    [],
  );
});

test("docs/errors.md lists every kind with its status", () => {
  const page = read("docs/errors.md");
  assert.equal(page, errorsMarkdown());
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, kind, status]) => [kind, Number(status)]);
  const kinds = Object.keys(FAULTS) as FaultKind[];
  assert.deepEqual(
    rows,
    kinds.map((kind) => [kind, FAULTS[kind].status]),
  );
});
