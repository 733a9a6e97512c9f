/** `sovd-edge mdd build`: an MDD file from a description in JSON or TypeScript. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Fault } from "#core/errors.ts";
import { VERSION } from "#core/version.ts";
import type { EcuData } from "#mdd/generated/description.ts";
import { inFile, loadMdd } from "#mdd/tools/load.ts";
import { type SigningKeys, writeMdd } from "#mdd/writer/mdd.ts";
import { describeSource } from "#mdd/writer/source.ts";
import type { Source } from "#mdd/writer/source-types.ts";
import { readKey } from "#security/keys.ts";
import { deflateLzma, inflateLzma } from "#store/lzma.ts";
import { parseJson, readInput, writeOutput } from "./mdd-files.ts";
import { processTerminal, type Terminal } from "./mdd-terminal.ts";

export interface BuildFlags {
  readonly output: string;
  readonly compression: "lzma" | "none";
  /** PEM file of an Ed25519 private key. */
  readonly sign?: string;
  /** ISO 8601. */
  readonly created?: string;
}

/** A description, or the compact notation that makes one, with metadata of its own. */
type Described = (EcuData | Source) & { readonly metadata?: Source["metadata"] | EcuData["metadata"] };

export function registerBuild(mdd: Command): void {
  mdd
    .command("build <input>")
    .description("Build a database from a description: JSON, or a TypeScript or JavaScript module that exports one")
    .requiredOption("-o, --output <file>", "MDD file to write")
    .addOption(new Option("--compression <kind>", "of the chunk").choices(["lzma", "none"]).default("lzma"))
    .option("--sign <pem>", "sign with this Ed25519 private key")
    .option("--created <iso>", "time of creation to write, for reproducible files", isoTime)
    .action((input: string, flags: BuildFlags) => build(input, flags));
}

function isoTime(text: string): string {
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError("not an ISO 8601 time");
  return text;
}

/** Writes the file, whole or not at all, after reading it back. @throws Fault naming file and place */
export async function build(input: string, flags: BuildFlags, terminal: Terminal = processTerminal()): Promise<void> {
  const file = basename(input);
  const described = await readDescribed(input);
  const { description, metadata } = await inFile(file, () => descriptionOf(described));
  const signingKeys = flags.sign === undefined ? undefined : pairOf(readKey(flags.sign, "private", "--sign"));
  const bytes = await inFile(file, () =>
    writeMdd({
      description,
      metadata: { created: flags.created ?? now(), source: file, converter: `sovd-edge ${VERSION}`, ...metadata },
      ...(flags.compression === "lzma" && { deflate: deflateLzma }),
      ...(signingKeys && { signingKeys }),
    }),
  );
  await loadMdd(bytes, basename(flags.output), { inflate: inflateLzma });
  writeOutput(flags.output, bytes);
  const { variants = [], functional_groups: groups = [] } = description;
  terminal.out(
    `${flags.output}: ${bytes.length} bytes, ${variants.length} variants, ${groups.length} functional groups\n`,
  );
}

/** Now to the second, or what SOURCE_DATE_EPOCH (seconds) asks for. */
function now(): string {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  const time = epoch !== undefined && /^\d{1,11}$/.test(epoch) ? new Date(Number(epoch) * 1000) : new Date();
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

async function readDescribed(input: string): Promise<Described> {
  const isModule = [".ts", ".mts", ".js", ".mjs"].includes(extname(input).toLowerCase());
  const value = isModule
    ? await exported(input)
    : parseJson(Buffer.from(readInput(input)).toString("utf8"), basename(input));
  const { ecu_name: name } = (value ?? {}) as Partial<EcuData>;
  if (typeof name !== "string")
    throw new Fault("invalidData", `${basename(input)}: no description: an object with ecu_name is expected`);
  return value as Described;
}

/** What a module exports as `default`, `description` or `source`; a function is called. */
async function exported(input: string): Promise<unknown> {
  if (!existsSync(input)) throw new Fault("notFound", `${input}: no such file`);
  const module = await importModule(input);
  // Where a module counts as CommonJS, its exports stand below `default`.
  const inner = module.default as Record<string, unknown> | undefined;
  const exports = inner?.__esModule === true ? inner : module;
  const value = exports.default ?? exports.description ?? exports.source;
  return typeof value === "function" ? (value as () => unknown)() : value;
}

/** A package that only a development checkout has: a name in a variable, so that no bundle or check takes it for a dependency. */
const TSX: string = "tsx/esm/api";

/** @throws Fault misconfigured when TypeScript is given and tsx is not there; invalidData when the module fails */
async function importModule(input: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(resolve(input)).href;
  try {
    if (!/\.m?ts$/i.test(input)) return await import(url);
    const { tsImport } = (await import(TSX)) as {
      tsImport: (url: string, parent: string) => Promise<Record<string, unknown>>;
    };
    return await tsImport(url, import.meta.url);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND" && message.includes("'tsx'"))
      throw new Fault(
        "misconfigured",
        `${input}: TypeScript needs the package tsx: install it, or give JSON or JavaScript`,
      );
    throw new Fault("invalidData", `${input}: ${message}`, undefined, error);
  }
}

/** The compact notation has DOPs and layers by name; a description has them where they are used. */
function descriptionOf(described: Described): { description: EcuData; metadata: Readonly<Record<string, string>> } {
  if ("layers" in described && "dops" in described)
    return { description: describeSource(described), metadata: described.metadata ?? {} };
  return { description: described as EcuData, metadata: {} };
}

function pairOf(privateKey: KeyObject): SigningKeys {
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
