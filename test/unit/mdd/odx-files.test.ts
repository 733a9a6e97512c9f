// Code files of jobs, and the command: from files on disk to MDD files that load.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Command } from "commander";
import { strFromU8, strToU8, zipSync } from "fflate";
import { type ConvertFlags, convert as convertFiles, registerConvert } from "#cli/mdd-convert.ts";
import { readingOf } from "#mdd/codec/options.ts";
import { inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import { parsePartialJobs } from "#mdd/odx/code-files.ts";
import { convertOdx } from "#mdd/odx/convert.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { verifyEcuData } from "#mdd/verify/verify.ts";
import { inflateLzma } from "#store/lzma.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import {
  container,
  convert,
  dop,
  ecu,
  layer,
  name,
  ref,
  service,
  snref,
  source,
  t,
  uint,
  value,
  x,
} from "./odx-support.ts";

const U8 = x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8)));
const JAR = zipSync({ "com/Job.class": strToU8("class"), "META-INF/MANIFEST.MF": strToU8("main") });

const JOB = x(
  "SINGLE-ECU-JOB",
  { ID: "job", SEMANTIC: "CALIBRATE" },
  name("Job"),
  x(
    "PROG-CODES",
    {},
    x(
      "PROG-CODE",
      {},
      t("CODE-FILE", "job.jar"),
      t("ENCRYPTION", "none"),
      t("SYNTAX", "JAR"),
      t("REVISION", "1"),
      t("ENTRYPOINT", "com.Job"),
      x("LIBRARY-REFS", {}, ref("LIBRARY-REF", "lib")),
    ),
  ),
  x(
    "INPUT-PARAMS",
    {},
    x("INPUT-PARAM", { SEMANTIC: "IN" }, name("in"), t("PHYSICAL-DEFAULT-VALUE", 5), ref("DOP-BASE-REF", "u8")),
  ),
  x("OUTPUT-PARAMS", {}, x("OUTPUT-PARAM", { ID: "o" }, name("out"), ref("DOP-BASE-REF", "u8"))),
  x("NEG-OUTPUT-PARAMS", {}, x("NEG-OUTPUT-PARAM", {}, name("wrong"), ref("DOP-BASE-REF", "u8"))),
);
const LIBRARY = x(
  "LIBRARYS",
  {},
  x(
    "LIBRARY",
    { ID: "lib" },
    name("Lib"),
    t("CODE-FILE", "lib.jar"),
    t("SYNTAX", "JAR"),
    t("REVISION", "2"),
    t("ENTRYPOINT", "x"),
  ),
);
const WITH_JOB = ecu({
  dictionary: [U8],
  comms: [JOB],
  services: [service("S", 1, [value("v", "u8")])],
  more: LIBRARY,
});
const FILES = [source("a.odx-d", WITH_JOB), source("job.jar", JAR), source("code/lib.jar", strToU8("library"))];

test("a job keeps its code, libraries and parameters", () => {
  const [job] = convert(WITH_JOB).databases[0]!.description.variants![0]!.diag_layer!.single_ecu_jobs!;
  assert.equal(job!.diag_comm!.semantic, "CALIBRATE");
  assert.deepEqual(job!.prog_codes, [
    {
      code_file: "job.jar",
      encryption: "none",
      syntax: "JAR",
      revision: "1",
      entrypoint: "com.Job",
      library: [{ short_name: "Lib", code_file: "lib.jar", syntax: "JAR", entry_point: "x" }],
    },
  ]);
  const [input] = job!.input_params!;
  assert.deepEqual(
    [input!.short_name, input!.physical_default_value, input!.semantic, input!.dop_base!.short_name],
    ["in", "5", "IN", "u8"],
  );
  assert.deepEqual([job!.output_params![0]!.short_name, job!.neg_output_params![0]!.short_name], ["out", "wrong"]);
});

test("code files are embedded whole or in part, only when asked for", () => {
  const chunks = (options: Parameters<typeof convertOdx>[1]) =>
    convertOdx(FILES, options).databases[0]!.codeFiles.map(({ type, name: file, content }) => [
      type,
      file,
      strFromU8(content.subarray(0, 7)),
    ]);
  const head = strFromU8(JAR.subarray(0, 7));
  assert.deepEqual(chunks({}), []);
  assert.deepEqual(chunks({ includeJobs: true }), [
    [1, "job.jar", head],
    [1, "lib.jar", "library"],
  ]);
  const partialJobs = [parsePartialJobs("job\\.jar:com/.*")];
  assert.deepEqual(chunks({ partialJobs }), [[2, "job.jar::com/Job.class", "class"]]);
  assert.throws(() => convertOdx(FILES.slice(0, 2), { includeJobs: true }), {
    message: /lib\.jar:0: code file is not in the set/,
  });
});

test("partial jobs are two patterns that match whole names", () => {
  const { file, content } = parsePartialJobs("(?:a|b)\\.jar:x:y");
  assert.deepEqual([file.test("a.jar"), file.test("aa.jar"), content.test("x:y")], [true, false, true]);
  for (const bad of ["", "abc", "(:)", "[:a"])
    assert.throws(() => parsePartialJobs(bad), { kind: "invalidParameter" }, bad);
});

// the command

function listener() {
  const lines = { out: "", error: "" };
  return {
    lines,
    output: {
      out: (text: string) => {
        lines.out += text;
      },
      error: (text: string) => {
        lines.error += text;
      },
    },
  };
}

const flags = (output: string, more: Partial<ConvertFlags> = {}): ConvertFlags => ({
  output,
  compression: "lzma",
  ...more,
});

test("a PDX becomes an MDD that loads, the same bytes again for the same time", async () => {
  const path = scratchFolder("odx");
  const pdx = join(path, "car.pdx");
  writeFileSync(
    pdx,
    zipSync({
      "index.xml": strToU8("<CATALOG/>"),
      "a.odx-d": strToU8(WITH_JOB),
      "job.jar": JAR,
      "lib.jar": strToU8("l"),
    }),
  );
  const { lines, output } = listener();
  const options = { created: "2026-01-02T03:04:05Z", includeJobs: true };
  await convertFiles(pdx, flags(join(path, "out"), options), output);
  const bytes = readFileSync(join(path, "out", "ECU.mdd"));
  const mdd = decodeContainer(bytes);
  assert.deepEqual(
    [...mdd.metadata],
    [
      ["created", "2026-01-02T03:04:05Z"],
      ["source", "car.pdx"],
      ["options", '{"includeJobFiles":true}'],
      ["converter", mdd.metadata.get("converter")],
      ["plugins", "compression@0.1.0"],
    ],
  );
  assert.equal(readingOf(mdd.metadata.get("converter")).positions, "sequential");
  assert.deepEqual(
    mdd.chunks.map((chunk) => [chunk.type, chunk.name, chunk.compressionAlgorithm]),
    [
      [0, "ECU", "lzma"],
      [1, "job.jar", "lzma"],
      [1, "lib.jar", "lzma"],
    ],
  );
  const database = await inflateChunk(diagnosticDescription(mdd), { inflate: inflateLzma });
  assert.equal(verifyEcuData(database).ok, true);
  assert.equal(openDatabase(database).ecuName, "ECU");
  assert.match(lines.out, /ECU\.mdd: 1 variant, 0 functional groups, 1 service, 2 code files\n$/);
  assert.equal(lines.error, "reading a.odx-d\nconverting ECU\n");
  await convertFiles(pdx, flags(join(path, "again.mdd"), options), output);
  assert.deepEqual(readFileSync(join(path, "again.mdd")), bytes);
});

test("a folder or one file will do; the report can be JSON", async () => {
  const path = scratchFolder("odx");
  mkdirSync(join(path, "odx", "sub"), { recursive: true });
  const two = container(
    "DLC",
    x("BASE-VARIANTS", {}, layer("BASE-VARIANT", "A"), layer("BASE-VARIANT", "B", { more: x("SUB-COMPONENTS") })),
  );
  const file = join(path, "odx", "sub", "two.odx-d");
  writeFileSync(file, two);
  const { lines, output } = listener();
  await convertFiles(join(path, "odx"), flags(join(path, "out"), { json: true, compression: "none" }), output);
  assert.deepEqual(readdirSync(join(path, "out")).sort(), ["A.mdd", "B.mdd"]);
  const { databases, report } = JSON.parse(lines.out);
  assert.deepEqual(
    databases.map((one: { ecuName: string }) => one.ecuName),
    ["A", "B"],
  );
  assert.deepEqual(
    report.map((one: { file: string; severity: string }) => [one.file, one.severity]),
    [["sub/two.odx-d", "left-out"]],
  );
  assert.equal(decodeContainer(readFileSync(join(path, "out", "A.mdd"))).chunks[0]!.compressionAlgorithm, undefined);
  await convertFiles(file, flags(join(path, "b.mdd"), { ecu: "B" }), output);
  assert.equal(decodeContainer(readFileSync(join(path, "b.mdd"))).ecuName, "B");
  await assert.rejects(convertFiles(file, flags(join(path, "both.mdd")), output), { kind: "badRequest" });
  await assert.rejects(convertFiles(join(path, "gone"), flags(path), output), { kind: "notFound" });
});

test("errors are printed one a line and nothing is written", async () => {
  const path = scratchFolder("odx");
  const file = join(path, "bad.odx-d");
  writeFileSync(
    file,
    ecu({
      services: [service("S", 1, [], [], snref("X", "y") + ref("FUNCT", "z"))],
      more: x("PARENT-REFS", {}, ref("PARENT-REF", "gone")),
    }),
  );
  const { lines, output } = listener();
  await assert.rejects(convertFiles(file, flags(join(path, "out")), output), { kind: "invalidData" });
  assert.match(lines.out, /^bad\.odx-d:\d+: error: PARENT-REF: nothing has ID gone\n/);
  assert.deepEqual(readdirSync(path), ["bad.odx-d"]);
});

test("names of ECUs cannot lead out of the folder", async () => {
  const path = scratchFolder("odx");
  const file = join(path, "evil.odx-d");
  writeFileSync(file, container("DLC", x("BASE-VARIANTS", {}, layer("BASE-VARIANT", "../evil"))));
  await assert.rejects(convertFiles(file, flags(join(path, "out")), listener().output), { message: /is no file name/ });
});

test("the command line says what it cannot take", async () => {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  const mdd = program
    .command("mdd")
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  registerConvert(mdd);
  for (const command of mdd.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  const run = (...words: string[]) => program.parseAsync(["mdd", "convert", ...words], { from: "user" });
  await assert.rejects(run("a.pdx"), { code: "commander.missingMandatoryOptionValue" });
  await assert.rejects(run("a.pdx", "-o", "b", "--compression", "zip"), { code: "commander.invalidArgument" });
  await assert.rejects(run("a.pdx", "-o", "b", "--created", "yesterday"), { code: "commander.invalidArgument" });
  await assert.rejects(run("a.pdx", "-o", "b", "--partial-jobs", "x"), { code: "commander.invalidArgument" });
});
