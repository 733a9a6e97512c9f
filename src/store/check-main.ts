/** Entry of the process that checks a store: `FOLDER LIMITS`; writes the report as one line of JSON. */
import { pathToFileURL } from "node:url";
import { toFaultData } from "#core/errors.ts";
import { type CheckReport, checkStore } from "./check.ts";
import { openStore, type StoreLimits } from "./environments.ts";

/** Opens the store in `folder`, checks it and closes it; a store that does not open is a problem like any other. */
export async function checkFolder(folder: string, maxBytes: StoreLimits): Promise<CheckReport> {
  try {
    const store = await openStore({ folder, maxBytes });
    const report = checkStore(store);
    await store.close();
    return report;
  } catch (error) {
    return { problems: [{ where: "store", problem: toFaultData(error).message }], values: 0, records: 0, bytes: 0 };
  }
}

const [, script, folder, limits] = process.argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href && folder !== undefined)
  process.stdout.write(`${JSON.stringify(await checkFolder(folder, JSON.parse(limits ?? "{}") as StoreLimits))}\n`);
