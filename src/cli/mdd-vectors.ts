/** `sovd-edge mdd vectors`: runs a file of reference vectors. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { resolveComParams } from "#mdd/query/com-param-resolution.ts";
import { parseVectors, runVectors } from "#mdd/tools/vectors.ts";
import type { Vector, VectorEnvironment, VectorResult } from "#mdd/tools/vectors-run.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";
import { nrcText } from "#uds/nrc.ts";
import { addLimits, type LimitFlags, openMdd, parseJson, readInput } from "./mdd-files.ts";
import { jsonText, paint, processTerminal, type Terminal } from "./mdd-terminal.ts";

export interface VectorFlags extends LimitFlags {
  readonly databases?: readonly string[];
  readonly asCda?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export function registerVectors(mdd: Command): void {
  addLimits(
    mdd
      .command("vectors <file>")
      .description(
        "Run vectors (encode, decode, schemas, look-ups …) and print each difference; exit code 1 when one fails",
      )
      .option("--databases <folders...>", "where the databases are (default: the folder of the file)")
      .option("--as-cda", "where a vector has two answers, the CDA's is right instead of the recommended one")
      .option("--verbose", "print vectors that pass with a remark too")
      .option("--json", "print as JSON"),
  ).action(async (file: string, flags: VectorFlags) => {
    process.exitCode = await vectors(file, flags);
  });
}

/** Prints the differences and `N passed, N failed`. @returns the exit code @throws Fault when the file is no vector file */
export async function vectors(
  file: string,
  flags: VectorFlags,
  terminal: Terminal = processTerminal(),
): Promise<number> {
  const all = parseVectors(parseJson(Buffer.from(readInput(file)).toString("utf8"), basename(file)));
  const folders = flags.databases ?? [dirname(file)];
  const results: VectorResult[] = [];
  for (const mdd of new Set(all.map((vector) => vector.mdd)))
    results.push(
      ...(await runFile(
        mdd,
        folders,
        all.filter((vector) => vector.mdd === mdd),
        flags,
      )),
    );
  const failed = results.filter(({ differences }) => differences.length > 0).length;
  const passed = results.length - failed;
  if (flags.json) terminal.out(jsonText({ passed, failed, results: results.filter(isWorthShowing).map(resultJson) }));
  else {
    for (const result of results) print(terminal, result, flags.verbose === true);
    terminal.out(`${passed} passed, ${failed} failed\n`);
  }
  return failed === 0 ? 0 : 1;
}

const isWorthShowing = ({ differences, remarks }: VectorResult): boolean => differences.length + remarks.length > 0;

function resultJson({ vector: { id, mdd, op, service }, differences, remarks }: VectorResult): unknown {
  return { id, mdd, op, service: service?.name, differences, remarks };
}

/** Runs the vectors of one database. A database that is not there or broken fails them all, the others still run. */
async function runFile(
  mdd: string,
  folders: readonly string[],
  own: readonly Vector[],
  flags: VectorFlags,
): Promise<readonly VectorResult[]> {
  try {
    const loaded = await openMdd(findFile(mdd, folders), flags);
    return runVectors(loaded.database, loaded, own, environmentOf(flags));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return own.map((vector) => ({ vector, differences: [error.message], remarks: [] }));
  }
}

/** Only the name counts: a vector file must not lead out of the folders. */
function findFile(mdd: string, folders: readonly string[]): string {
  const paths = folders.map((folder) => join(folder, basename(mdd)));
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Fault("notFound", `${basename(mdd)}: not in ${folders.join(", ")}`);
  return found;
}

function environmentOf({ asCda }: VectorFlags): VectorEnvironment {
  const readers = { parse: parseComParam, readConfig: readComParamConfig };
  return {
    mode: asCda ? "cda" : "recommended",
    nrcText,
    comParams: (database) => resolveComParams(database, undefined, { rows: COM_PARAM_ROWS, readers }),
  };
}

function print(terminal: Terminal, { vector, differences, remarks }: VectorResult, verbose: boolean): void {
  const { id, mdd, op, service, why } = vector;
  const hasFailed = differences.length > 0;
  if (!hasFailed && !(verbose && remarks.length > 0)) return;
  const verdict = hasFailed ? paint(terminal, "red", "failed") : paint(terminal, "yellow", "passed");
  terminal.out(`${verdict} ${id} ${mdd} ${op} ${service?.name ?? ""}\n`);
  for (const text of differences) terminal.out(`  ${text}\n`);
  for (const text of remarks) terminal.out(`  ${paint(terminal, "dim", text)}\n`);
  if (hasFailed && why !== undefined) terminal.out(`  ${paint(terminal, "dim", `the vector says: ${why}`)}\n`);
}
