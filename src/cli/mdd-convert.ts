/** `sovd-edge mdd convert`: ODX files to MDD databases. */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Fault, reasonOf } from "#core/errors.ts";
import { type PartialJobs, parsePartialJobs } from "#mdd/odx/code-files.ts";
import { type ConvertedDatabase, type ConvertOptions, convertOdx } from "#mdd/odx/convert.ts";
import { DEFAULT_ODX_LIMITS } from "#mdd/odx/limits.ts";
import { converterMetadata } from "#mdd/odx/metadata.ts";
import type { ReportEntry } from "#mdd/odx/report.ts";
import { type OdxSource, readZip } from "#mdd/odx/zip.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { deflateLzma } from "#store/lzma.ts";
import type { Output } from "./config.ts";

export interface ConvertFlags {
  readonly output: string;
  readonly ecu?: string;
  readonly includeJobs?: boolean;
  readonly partialJobs?: readonly PartialJobs[];
  readonly withAudience?: readonly string[];
  readonly lenient?: boolean;
  readonly compression: "lzma" | "none";
  /** ISO 8601. */
  readonly created?: string;
  readonly json?: boolean;
}

const STANDARD: Output = {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
};

/** Hangs `convert` into the `mdd` command. */
export function registerConvert(mdd: Command): void {
  mdd
    .command("convert <input>")
    .description("Convert ODX 2.2 (a PDX, a folder or one file) to MDD databases")
    .requiredOption("-o, --output <path>", "file (.mdd, for one database) or folder")
    .option("--ecu <name>", "only this base variant")
    .option("--include-jobs", "embed the code files of jobs")
    .addOption(
      new Option("--partial-jobs <files:contents>", "embed parts of code archives; two regular expressions, repeatable")
        .argParser(collectPartialJobs)
        .default(undefined),
    )
    .option("--with-audience <names...>", "keep only services for these audiences")
    .option("-L, --lenient", "let doubtful references pass with a warning")
    .addOption(new Option("--compression <kind>", "of the chunks").choices(["lzma", "none"]).default("lzma"))
    .option("--created <iso>", "time of creation to write, for reproducible files", isoTime)
    .option("--json", "print the report as JSON")
    .action((input: string, flags: ConvertFlags) => convert(input, flags));
}

function collectPartialJobs(text: string, before: readonly PartialJobs[] = []): readonly PartialJobs[] {
  try {
    return [...before, parsePartialJobs(text)];
  } catch (error) {
    throw new InvalidArgumentError(reasonOf(error));
  }
}

function isoTime(text: string): string {
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError("not an ISO 8601 time");
  return text;
}

/**
 * Converts `input` and writes one file per database, each complete or not at all; then prints what was left out.
 * @throws Fault invalidData with the first problem's place, after every problem has been printed
 */
export async function convert(input: string, flags: ConvertFlags, output: Output = STANDARD): Promise<void> {
  const options = convertOptions(flags, (text) => output.error(`${text}\n`));
  try {
    const { databases, report } = convertOdx(readInput(input), options);
    const files = targets(flags.output, databases);
    const created = flags.created ?? creationTime();
    for (const [path, database] of files) await writeDatabase(path, database, input, created, flags, options);
    print(files, report, flags, output);
  } catch (error) {
    const report = error instanceof Fault ? error.details?.report : undefined;
    if (Array.isArray(report)) print([], report as ReportEntry[], flags, output);
    throw error;
  }
}

function convertOptions(flags: ConvertFlags, onProgress: (text: string) => void): ConvertOptions {
  return {
    ...(flags.ecu !== undefined && { ecuName: flags.ecu }),
    includeJobs: flags.includeJobs ?? false,
    partialJobs: flags.partialJobs ?? [],
    withAudiences: flags.withAudience ?? [],
    isLenient: flags.lenient ?? false,
    onProgress,
  };
}

/** What one read of a file gives at most. */
const MAX_ARCHIVE_BYTES = 2 ** 31 - 1;

/** Sources of a PDX, of every file below a folder, or of one ODX file. */
function readInput(input: string): OdxSource[] {
  const stat = statSync(input, { throwIfNoEntry: false });
  if (stat === undefined) throw new Fault("notFound", `${input}: no such file or folder`);
  if (stat.isDirectory()) return filesBelow(input);
  if (/\.odx/i.test(basename(input))) return [{ name: basename(input), read: () => readFileSync(input) }];
  if (stat.size > MAX_ARCHIVE_BYTES)
    throw new Fault("payloadTooLarge", `${input}: more than 2 GiB; unpack it and name the folder`);
  return readZip(basename(input), readFileSync(input), DEFAULT_ODX_LIMITS);
}

function filesBelow(folder: string): OdxSource[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  if (files.length > DEFAULT_ODX_LIMITS.maxFiles)
    throw new Fault("invalidData", `${folder}: more than ${DEFAULT_ODX_LIMITS.maxFiles} files`);
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return paths.map((path) => ({
    name: relative(folder, path).split(sep).join("/"),
    read: () => readFileSync(path),
  }));
}

/** Path of each database. Names come from the ODX, so they must stay names. */
function targets(output: string, databases: readonly ConvertedDatabase[]): [string, ConvertedDatabase][] {
  if (output.toLowerCase().endsWith(".mdd")) {
    if (databases.length !== 1)
      throw new Fault("badRequest", `${databases.length} databases do not fit into one file: name a folder or an ECU`);
    return [[output, databases[0]!]];
  }
  return databases.map((database) => {
    if (!/^[\w.-]+$/.test(database.ecuName) || /^\.+$/.test(database.ecuName))
      throw new Fault("invalidData", `SHORT-NAME '${database.ecuName}' is no file name`);
    return [join(output, `${database.ecuName}.mdd`), database];
  });
}

/** Now, or what SOURCE_DATE_EPOCH (seconds) asks for, to the second. */
function creationTime(): string {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  const time = epoch !== undefined && /^\d{1,11}$/.test(epoch) ? new Date(Number(epoch) * 1000) : new Date();
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

async function writeDatabase(
  path: string,
  { description, codeFiles }: ConvertedDatabase,
  input: string,
  created: string,
  { compression }: ConvertFlags,
  options: ConvertOptions,
): Promise<void> {
  const bytes = await writeMdd({
    description,
    metadata: converterMetadata(basename(input), created, options),
    chunks: codeFiles,
    ...(compression === "lzma" && { deflate: deflateLzma }),
  });
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.tmp`;
  writeFileSync(partial, bytes);
  renameSync(partial, path);
}

function print(
  files: readonly (readonly [string, ConvertedDatabase])[],
  report: readonly ReportEntry[],
  { json }: ConvertFlags,
  output: Output,
): void {
  if (json === true) {
    const databases = files.map(([path, { ecuName }]) => ({ ecuName, path }));
    output.out(`${JSON.stringify({ databases, report }, null, 2)}\n`);
    return;
  }
  for (const { severity, file, line, message } of report) output.out(`${file}:${line}: ${severity}: ${message}\n`);
  for (const [path, { description, codeFiles }] of files) {
    const count = (what: string, number: number) => `${number} ${what}${number === 1 ? "" : "s"}`;
    const { variants = [], functional_groups: groups = [] } = description;
    const services = [...variants, ...groups].reduce(
      (sum, one) => sum + (one.diag_layer?.diag_services?.length ?? 0),
      0,
    );
    output.out(
      `${path}: ${count("variant", variants.length)}, ${count("functional group", groups.length)}, ${count("service", services)}, ${count("code file", codeFiles.length)}\n`,
    );
  }
}
