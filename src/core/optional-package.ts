/** Packages that an installation may lack: they load when what needs them is asked for. */
import { Fault, reasonOf } from "./errors.ts";

/**
 * What `load` imports. `load` spells the `import()` itself, so that the bundler sees it. `forWhat`: what cannot be without it, for the
 * message. @throws Fault misconfigured when the package is not there, or does not load
 */
export async function optionalPackage<T>(name: string, forWhat: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND" ? "is not installed" : "does not load";
    const message = `${forWhat} needs the package ${name}, which ${why}: ${reasonOf(error)}`;
    throw new Fault("misconfigured", message, undefined, error);
  }
}
