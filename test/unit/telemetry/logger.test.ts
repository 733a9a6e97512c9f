import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { openLogFile } from "#telemetry/log-file.ts";
import { createLogger } from "#telemetry/logger.ts";
import { strftime } from "#telemetry/strftime.ts";
import { textLine } from "#telemetry/text-lines.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import fc from "../../fixtures/properties.ts";

const TIME = Date.UTC(2026, 0, 5, 13, 4, 9, 7);

const FORMATS = [
  ["%T%.3f", "13:04:09.007"],
  ["%F %T%.3f", "2026-01-05 13:04:09.007"],
  ["%Y/%m/%d %I:%M %p", "2026/01/05 01:04 PM"],
  ["%a %A %b %B %e %j", "Mon Monday Jan January  5 005"],
  ["%y%D %R %.6f %.9f %f", "2601/05/26 13:04 .007000 .007000000 007000000"],
  ["%s%z %:z %Z %% %Q", "1767618249+0000 +00:00 UTC % %Q"],
] as const;
for (const [format, text] of FORMATS) {
  test(`strftime ${format}`, () => assert.equal(strftime(format, TIME), text));
}

test("strftime never throws", () => {
  fc.assert(fc.property(fc.string(), (format) => assert.equal(typeof strftime(format, TIME), "string")));
});

const form = { timeFormat: "%T", colour: false };

test("a record as text", () => {
  const line = JSON.stringify({ level: 40, time: TIME, scope: "doip", msg: "lost", gateway: "0x1000" });
  assert.equal(textLine(line, form), '13:04:09 WARN  doip: lost {"gateway":"0x1000"}\n');
  assert.equal(textLine(line, { ...form, colour: true }).slice(0, 23), "13:04:09 \u001b[33mWARN \u001b[0m");
});

test("a message cannot begin a new record or drive the terminal", () => {
  const line = JSON.stringify({ level: 30, time: TIME, msg: "a\n13:00 INFO fake\u001b[2J" });
  assert.equal(textLine(line, form), "13:04:09 INFO  a\\n13:00 INFO fake\\u001b[2J\n");
});

test("what is no record passes unchanged", () => assert.equal(textLine("plain\n", form), "plain\n"));

function logging(more: Partial<Config["logging"]> = {}): Config["logging"] {
  return { ...defaultConfig().logging, ...more };
}

function sink(isTTY: boolean) {
  const lines: string[] = [];
  return { lines, isTTY, write: (line: string) => lines.push(line) };
}

const FORMS = [
  { format: "auto", isTTY: false, json: true },
  { format: "auto", isTTY: true, json: false },
  { format: "json", isTTY: true, json: true },
  { format: "text", isTTY: false, json: false },
] as const;
for (const { format, isTTY, json } of FORMS) {
  test(`stdout: format ${format}, terminal ${isTTY}`, () => {
    const stdout = sink(isTTY);
    createLogger(logging({ format }), { stdout }).scope("main").info({ port: 1 }, "listening");
    const [line = ""] = stdout.lines;
    assert.equal(line.startsWith("{"), json);
    assert.match(line, json ? /"scope":"main".*"port":1.*"msg":"listening"/ : /INFO .* main: listening \{"port":1\}/);
  });
}

test("levels: below is silent, off is silent, and it can be turned", () => {
  const stdout = sink(false);
  const log = createLogger(logging({ level: "warn" }), { stdout });
  log.logger.info("no");
  log.logger.warn("yes");
  log.setLevel("off");
  assert.equal(log.level, "off");
  log.logger.error("no");
  log.setLevel("debug");
  log.logger.debug("again");
  assert.deepEqual(
    stdout.lines.map((line) => JSON.parse(line).msg),
    ["yes", "again"],
  );
});

test("a worker's record is written with its scope and fields", () => {
  const stdout = sink(false);
  createLogger(logging(), { stdout }).record({ level: "error", scope: "ecu", message: "broken", fields: { ecu: "A" } });
  const { level, scope, msg, ecu } = JSON.parse(stdout.lines[0] ?? "{}");
  assert.deepEqual([level, scope, msg, ecu], [50, "ecu", "broken", "A"]);
});

test("errors are written with message and stack", () => {
  const stdout = sink(false);
  createLogger(logging(), { stdout }).logger.error({ error: new Error("why") }, "failed");
  assert.match(stdout.lines[0] ?? "", /"error":\{"type":"Error","message":"why","stack":"/);
});

test("the log file gets text with its own time format, besides stdout", async () => {
  const path = scratchFolder("log");
  const stdout = sink(false);
  const file = {
    ...logging().log_file_config,
    enabled: true,
    path: join(path, "new"),
    name: "a.log",
    date_format: "<%Y>",
  };
  const log = createLogger(logging({ log_file_config: file }), { stdout });
  log.scope("main").warn("careful");
  await log.close();
  assert.match(readFileSync(join(path, "new", "a.log"), "utf8"), /^<20\d\d> WARN {2}main: careful\n$/);
  assert.equal(stdout.lines.length, 1);
});

test("into a pipe the process writes JSON, the last line too", () => {
  const script = `import { createLogger } from "#telemetry/logger.ts"; import { defaultConfig } from "#config/load.ts";
    const log = createLogger(defaultConfig().logging); log.logger.info("first"); log.logger.info("last"); await log.close();`;
  const { stdout } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.deepEqual(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).msg),
    ["first", "last"],
  );
});

// ---- file --------------------------------------------------------------------------------------------------------------

const contents = (path: string) =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name), "utf8")]));

test("a file that has grown is rotated, and only so many are kept", () => {
  const path = scratchFolder("log");
  const file = openLogFile({ path: join(path, "l"), append: true, maxBytes: 8, maxFiles: 2 });
  for (const line of ["aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "e\n"]) file.write(line);
  file.close();
  assert.deepEqual(contents(path), { l: "dddd\ne\n", "l.1": "cccc\n", "l.2": "bbbb\n" });
});

test("without old files the grown one is dropped", () => {
  const path = scratchFolder("log");
  const file = openLogFile({ path: join(path, "l"), append: true, maxBytes: 4, maxFiles: 0 });
  for (const line of ["aaaa\n", "bbbb\n"]) file.write(line);
  file.close();
  assert.deepEqual(contents(path), { l: "bbbb\n" });
});

for (const append of [true, false]) {
  test(`at start the file is ${append ? "continued" : "begun anew"}`, () => {
    const path = join(scratchFolder("log"), "l");
    writeFileSync(path, "old\n");
    const file = openLogFile({ path, append, maxBytes: 100, maxFiles: 1 });
    file.write("new\n");
    file.close();
    assert.equal(readFileSync(path, "utf8"), append ? "old\nnew\n" : "new\n");
  });
}

test("reopen writes to the path again after somebody moved the file", () => {
  const path = scratchFolder("log");
  const file = openLogFile({ path: join(path, "l"), append: true, maxBytes: 100, maxFiles: 1 });
  file.write("a\n");
  renameSync(join(path, "l"), join(path, "moved"));
  file.write("b\n");
  file.reopen();
  file.write("c\n");
  file.close();
  assert.deepEqual(contents(path), { l: "c\n", moved: "a\nb\n" });
});

test("a failing file is told once and never ends the program", () => {
  const path = scratchFolder("log");
  const errors: string[] = [];
  const options = { path: join(path, "sub", "l"), append: true, maxBytes: 4, maxFiles: 1 };
  const file = openLogFile({ ...options, onError: (error) => errors.push(error.message) });
  file.write("aaaa\n");
  rmSync(join(path, "sub"), { recursive: true });
  for (const line of ["bbbb\n", "cccc\n"]) file.write(line);
  file.close();
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? "", /ENOENT/);
});

test("a folder that cannot be made ends the start", () => {
  assert.throws(() => openLogFile({ path: "/dev/null/x/l", append: true, maxBytes: 9, maxFiles: 1 }), /ENOTDIR/);
});
