/** ES modules of the operator's: loaded by path, their default export, and what it makes. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Fault, reasonOf } from "./errors.ts";

/**
 * What the default export of the module at `path` (relative to the working directory) makes, called with `args`.
 * @throws Fault invalidConfig that names `key` and the module
 */
export async function makeOfModule(key: string, path: string, ...args: readonly unknown[]): Promise<unknown> {
  const make = await functionOfModule(key, path);
  try {
    return await make(...args);
  } catch (error) {
    throw doesNotLoad(key, path, error);
  }
}

/** The default export of the module at `path`, a function. @throws Fault invalidConfig that names `key` and the module */
export async function functionOfModule(key: string, path: string): Promise<(...args: readonly unknown[]) => unknown> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    throw doesNotLoad(key, path, error);
  }
  if (typeof module.default === "function") return module.default as (...args: readonly unknown[]) => unknown;
  throw new Fault("invalidConfig", `${key}: ${path} has no function as default export`);
}

function doesNotLoad(key: string, path: string, error: unknown): Fault {
  return new Fault("invalidConfig", `${key}: ${path} does not load: ${reasonOf(error)}`, undefined, error);
}
