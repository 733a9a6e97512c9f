/** Files in and out of the MDD tools, and the limits on what they may ask for. */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { Fault, reasonOf } from "#core/errors.ts";
import { type ContainerLimits, DEFAULT_LIMITS } from "#mdd/container/limits.ts";
import { inFile, type LoadedMdd, type LoadOptions, loadMdd } from "#mdd/tools/load.ts";
import { DEFAULT_VERIFY, type VerifyOptions } from "#mdd/verify/verify.ts";
import { inflateLzma } from "#store/lzma.ts";

/** Options that `addLimits` gives a command. */
export interface LimitFlags {
  readonly maxFileBytes?: number;
  readonly maxChunkBytes?: number;
  readonly maxDictionaryBytes?: number;
  readonly maxRatio?: number;
  readonly maxChunks?: number;
  readonly maxDepth?: number;
  readonly maxTables?: number;
}

/** Adds the options for limits, with the defaults of the layers they come from. */
export function addLimits(command: Command): Command {
  const option = (flags: string, what: string, value: number) =>
    command.option(`${flags} <n>`, `${what} (default: ${value})`, positive);
  option("--max-file-bytes", "largest file that is read", DEFAULT_LIMITS.maxFileBytes);
  option("--max-chunk-bytes", "largest chunk, decompressed", DEFAULT_LIMITS.maxChunkBytes);
  option("--max-dictionary-bytes", "largest LZMA dictionary", DEFAULT_LIMITS.maxDictionaryBytes);
  option("--max-ratio", "highest compression ratio", DEFAULT_LIMITS.maxRatio);
  option("--max-chunks", "most chunks", DEFAULT_LIMITS.maxChunks);
  option("--max-depth", "deepest nesting of tables", DEFAULT_VERIFY.maxDepth);
  option("--max-tables", "most tables", DEFAULT_VERIFY.maxTables);
  return command;
}

/** A whole number from 1 on. */
export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0)
    throw new InvalidArgumentError("not a whole number from 1 on");
  return value;
}

/** What the layers below take of the options. */
export function loadOptions(flags: LimitFlags): LoadOptions {
  const { maxDepth, maxTables, ...container } = flags;
  const limits: Partial<ContainerLimits> = pick(container, Object.keys(DEFAULT_LIMITS));
  const verify: Partial<VerifyOptions> = pick({ maxDepth, maxTables }, ["maxDepth", "maxTables"]);
  return { inflate: inflateLzma, limits, verify };
}

function pick<T>(from: object, names: readonly string[]): T {
  return Object.fromEntries(
    Object.entries(from).filter(([name, value]) => value !== undefined && names.includes(name)),
  ) as T;
}

/** Bytes of a file. @throws Fault notFound, payloadTooLarge; its message begins with the file's name */
export function readInput(file: string, maxBytes = DEFAULT_LIMITS.maxFileBytes): Uint8Array {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw new Fault("badRequest", `${file}: is no file`);
    if (stat.size > maxBytes)
      throw new Fault(
        "payloadTooLarge",
        `${file}: ${stat.size} bytes exceed the limit of ${maxBytes} (--max-file-bytes)`,
      );
    return readFileSync(file);
  } catch (error) {
    if (error instanceof Fault) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Fault("notFound", `${file}: ${code === "ENOENT" ? "no such file" : message}`, { file });
  }
}

/** Opens an MDD file. @throws Fault naming file and place */
export function openMdd(file: string, flags: LimitFlags): Promise<LoadedMdd> {
  return loadMdd(readInput(file, flags.maxFileBytes), basename(file), loadOptions(flags));
}

/** Opens an MDD file and works on it; faults of both name the file. */
export async function withMdd<T>(
  file: string,
  flags: LimitFlags,
  work: (loaded: LoadedMdd) => T | Promise<T>,
): Promise<T> {
  const loaded = await openMdd(file, flags);
  return inFile(basename(file), () => work(loaded));
}

/** JSON of a file or argument. @throws Fault invalidData naming `what` and the place */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault("invalidData", `${what}: ${reasonOf(error)}`, undefined);
  }
}

/** Writes a file whole or not at all. */
export function writeOutput(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true });
  const partial = `${file}.tmp`;
  writeFileSync(partial, content);
  renameSync(partial, file);
}
