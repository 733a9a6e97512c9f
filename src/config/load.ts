/** Where the configuration comes from: defaults < TOML file < environment < command line. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve as resolvePath } from "node:path";
import { parse, TomlError } from "smol-toml";
import { Fault } from "#core/errors.ts";
import { configFileOf, type Environment, readEnvironment } from "./env.ts";
import type { FlagLayer } from "./flags.ts";
import { locateKeys, type Place } from "./locate.ts";
import { type Finding, type Findings, resolve } from "./resolve.ts";
import { checkRules, FEATURES, type Features } from "./rules.ts";
import { SCHEMA } from "./schema.ts";
import { merge, type Path, pathText, type Tree, valueAt } from "./tree.ts";
import type { Config, ConfigProblem } from "./types.ts";

export const CONFIG_FILE = "opensovd-cda.toml";

export interface ConfigInput {
  /** `--config`; wins over the environment's. */
  readonly file?: string;
  readonly flags?: FlagLayer;
  readonly env?: Environment;
  /** Where the search for a file that nobody named begins. */
  readonly cwd?: string;
  readonly features?: Features;
}

export interface ConfigResult {
  readonly config: Config;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** The file that was read. */
  readonly source: string | undefined;
}

/** One place that values come from, and how it names itself in a problem. */
interface Layer {
  readonly tree: Tree;
  readonly origin: (key: string) => Pick<ConfigProblem, "source" | "line" | "column">;
}

/** The configuration of this process. Throws `invalidConfig` that names every problem; `details.problems` holds them as data. */
export function loadConfig(input: ConfigInput = {}): Omit<ConfigResult, "problems"> {
  const { problems, ...loaded } = readConfig(input);
  if (problems.length > 0) {
    throw new Fault("invalidConfig", problems.map(problemText).join("\n"), { problems });
  }
  return loaded;
}

/** The configuration when nobody says anything. */
export function defaultConfig(): Config {
  return resolve(SCHEMA, {}, { problems: [], warnings: [] });
}

/** As `loadConfig`, with the problems as data; the configuration is meaningful only without any. */
export function readConfig(input: ConfigInput = {}): ConfigResult {
  const env = input.env ?? {};
  const named = input.file ?? configFileOf(env);
  const source = named ?? searchUpwards(input.cwd ?? process.cwd());
  const file = source === undefined ? undefined : readFile(source);
  const environment = readEnvironment(SCHEMA, env);
  const layers: Layer[] = [
    ...(file?.layer === undefined ? [] : [file.layer]),
    { tree: environment.tree, origin: (key) => ({ source: `environment ${environment.names.get(key) ?? ""}`.trim() }) },
    ...(input.flags === undefined ? [] : [flagLayer(input.flags)]),
  ];
  const findings: Findings = { problems: [], warnings: [] };
  const config = resolve(SCHEMA, layers.map((layer) => layer.tree).reduce(merge, {}), findings);
  if (findings.problems.length === 0) findings.problems.push(...checkRules(config, input.features ?? FEATURES));
  const place = (found: Finding) => placed(found, layers);
  return {
    config,
    problems: [...(file?.problems ?? []), ...findings.problems.map(place)],
    warnings: [...findings.warnings.map(place), ...environment.unknown.map(unknownVariable)],
    source,
  };
}

/** A problem as one line: `file:line:column: key: message`. */
export function problemText({ key, message, source, line, column }: ConfigProblem): string {
  const where = [source, line, column].filter((part) => part !== undefined).join(":");
  return [where, key, message].filter((part) => part !== "").join(": ");
}

function searchUpwards(cwd: string): string | undefined {
  for (let folder = resolvePath(cwd); ; folder = dirname(folder)) {
    const file = join(folder, CONFIG_FILE);
    if (existsSync(file)) return file;
    if (folder === dirname(folder)) return undefined;
  }
}

function readFile(source: string): { layer?: Layer; problems: ConfigProblem[] } {
  try {
    const text = readFileSync(source, "utf8");
    const tree = parse(text, { integersAsBigInt: "asNeeded" }) as Tree;
    const places = locateKeys(text);
    return { layer: { tree, origin: (key) => ({ source, ...nearestPlace(places, key) }) }, problems: [] };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const place = error instanceof TomlError ? { line: error.line, column: error.column } : {};
    const [message = ""] = error.message.split("\n");
    return { problems: [{ key: "", message, source, ...place }] };
  }
}

/** Place of a key, or of the table that ought to hold it. */
function nearestPlace(places: ReadonlyMap<string, Place>, key: string): Place | undefined {
  for (let name = key; name !== ""; name = name.slice(0, Math.max(name.lastIndexOf("."), name.lastIndexOf("["), 0))) {
    const place = places.get(name);
    if (place !== undefined) return place;
  }
  return undefined;
}

function flagLayer(flags: FlagLayer): Layer {
  return { tree: flags.tree, origin: (key) => ({ source: `flag ${flags.names.get(key) ?? ""}`.trim() }) };
}

/** The finding with the place that set the value: the last layer that has the key, or the nearest table above it. */
function placed({ path, message }: Finding, layers: readonly Layer[]): ConfigProblem {
  const key = pathText(path);
  for (let at: Path = path; at.length > 0; at = at.slice(0, -1)) {
    const layer = layers.findLast(({ tree }) => valueAt(tree, at) !== undefined);
    if (layer !== undefined) return { key, message, ...layer.origin(pathText(at)) };
  }
  return { key, message };
}

function unknownVariable(name: string): ConfigProblem {
  return { key: name, message: "unknown variable; write two underscores between table and key", source: "environment" };
}
