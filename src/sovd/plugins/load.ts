/** Plugins as the configuration names them, each looked at before anything of it is used. */
import { basename, extname } from "node:path";
import { Fault } from "#core/errors.ts";
import { makeOfModule } from "#core/module.ts";
import type { Plugin } from "./types.ts";

export interface LoadedPlugin extends Plugin {
  readonly name: string;
  /** As the configuration has it. */
  readonly path: string;
}

const FUNCTIONS = ["logSink", "checkBeforeSend", "init", "close"] as const;
const MEMBERS = new Set<string>(["name", "routes", "checkTesterPresent", ...FUNCTIONS]);

/** In order. @throws Fault invalidConfig that names the module and what is wrong */
export async function loadPlugins(paths: readonly string[]): Promise<readonly LoadedPlugin[]> {
  const plugins: LoadedPlugin[] = [];
  for (const path of paths) {
    const made = await makeOfModule("plugins.modules", path, { thread: "main" });
    const problem = problemOf(made);
    if (problem !== undefined) throw badPlugin(path, problem);
    plugins.push(loaded(made as Plugin, path));
  }
  const names = plugins.map(({ name }) => name);
  const twice = plugins.find(({ name }, at) => names.indexOf(name) < at);
  if (twice !== undefined) throw badPlugin(twice.path, `another plugin is called ${twice.name}`);
  return plugins;
}

/** What is wrong with a plugin, under the key that names it. */
export function badPlugin(path: string, problem: string): Fault {
  return new Fault("invalidConfig", `plugins.modules: ${path}: ${problem}`);
}

function problemOf(made: unknown): string | undefined {
  if (typeof made !== "object" || made === null) return "the default export makes no plugin";
  const plugin = made as Readonly<Record<string, unknown>>;
  const wrong = FUNCTIONS.find((name) => plugin[name] !== undefined && typeof plugin[name] !== "function");
  if (wrong !== undefined) return `${wrong} is no function`;
  if (plugin.name !== undefined && (typeof plugin.name !== "string" || plugin.name === "")) return "name is no text";
  if (plugin.routes !== undefined && !Array.isArray(plugin.routes)) return "routes is no list";
  return [...MEMBERS].some((name) => plugin[name] !== undefined)
    ? undefined
    : "it has no member that a plugin may have";
}

/** A plugin may be an instance of a class: its functions keep their object. */
function loaded(plugin: Plugin, path: string): LoadedPlugin {
  const { name = basename(path, extname(path)), routes, checkBeforeSend, checkTesterPresent } = plugin;
  return {
    name,
    path,
    ...(routes === undefined ? {} : { routes }),
    ...(checkBeforeSend === undefined ? {} : { checkBeforeSend }),
    ...(checkTesterPresent === undefined ? {} : { checkTesterPresent }),
    ...(plugin.logSink === undefined ? {} : { logSink: (record) => plugin.logSink!(record) }),
    ...(plugin.init === undefined ? {} : { init: (context) => plugin.init!(context) }),
    ...(plugin.close === undefined ? {} : { close: () => plugin.close!() }),
  };
}
