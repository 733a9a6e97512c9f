/** ES modules of the operator's: loaded by path, and what their default export makes. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Fault } from "./errors.ts";

/**
 * What the default export of the module at `path` (relative to the working directory) makes, called with `args`.
 * @throws Fault invalidConfig that names `key` and the module
 */
export async function makeOfModule(key: string, path: string, ...args: readonly unknown[]): Promise<unknown> {
  try {
    const module: { default?: unknown } = await import(pathToFileURL(resolve(path)).href);
    if (typeof module.default === "function") return await module.default(...args);
  } catch (error) {
    throw new Fault("invalidConfig", `${key}: ${path} does not load: ${reasonOf(error)}`, undefined, error);
  }
  throw new Fault("invalidConfig", `${key}: ${path} has no function as default export`);
}

/** What was thrown, in words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
