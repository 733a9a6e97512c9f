/** The command line's flags are the schema's; commander only carries them. */
import type { Command } from "commander";
import { leavesOf, type PlacedLeaf } from "./node.ts";
import { SCHEMA } from "./schema.ts";
import { fromText } from "./text.ts";
import { pathText, setAt, type Tree } from "./tree.ts";

/** Values given on the command line, and the flag each key came by. */
export interface FlagLayer {
  readonly tree: Tree;
  readonly names: ReadonlyMap<string, string>;
}

const FLAGGED: readonly PlacedLeaf[] = leavesOf(SCHEMA).filter(({ leaf }) => leaf.flag !== undefined);
const CONFIG_FLAG = "-c, --config <file>";

/** Adds `--config` and one option for each key that has a flag. */
export function addConfigOptions(command: Command): Command {
  command.option(CONFIG_FLAG, "configuration file (TOML)");
  for (const { path, leaf } of FLAGGED) {
    const about = `${leaf.doc} [${pathText(path)}]`;
    if (Array.isArray(leaf.default)) {
      command.option(leaf.flag as string, about, (value: string, before?: string[]) => [...(before ?? []), value]);
    } else {
      command.option(leaf.flag as string, about);
    }
  }
  return command;
}

/** What commander parsed, as input of `loadConfig`. Options of other purpose are passed over. */
export function configFromFlags(options: Readonly<Record<string, unknown>>): { file?: string; flags: FlagLayer } {
  const tree: Tree = {};
  const names = new Map<string, string>();
  for (const { path, leaf } of FLAGGED) {
    const name = longName(leaf.flag as string);
    const given = options[attribute(name)];
    if (given === undefined) continue;
    const value = Array.isArray(given) ? given.join(",") : String(given);
    setAt(
      tree,
      path,
      Array.isArray(leaf.default) ? value.split(",").map((item) => item.trim()) : fromText(leaf, value),
    );
    names.set(pathText(path), name);
  }
  const flags = { tree, names };
  return typeof options.config === "string" ? { file: options.config, flags } : { flags };
}

/** `--listen-port` of `-p, --listen-port <port>`. */
function longName(flag: string): string {
  return /--[a-z-]+/.exec(flag)?.[0] ?? flag;
}

/** commander's name of an option: `listenPort`. */
function attribute(name: string): string {
  return name.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
