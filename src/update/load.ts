/** Brings the store in line with the databases folder and tells what the current set holds. Runs in the jobs thread. */
import type { Config } from "#config/types.ts";
import type { CatalogResult } from "#ecu/catalog.ts";
import { type ImportResult, importDatabases } from "#store/import-databases.ts";
import { importFolderStore } from "#store/import-folder-store.ts";
import { readCatalog } from "./catalog.ts";
import { recoverUpdate } from "./change-set.ts";
import { createMddParser, verifyOptionsOf } from "./mdd-parser.ts";
import { withStorage } from "./open-storage.ts";
import { sweepUploads } from "./pending-set.ts";

export interface LoadResult extends CatalogResult {
  readonly generation: number;
  readonly imported: ImportResult;
}

/** Ends what a restart interrupted, imports what is new or changed, then reads the catalog. @throws Fault of the store */
export async function loadDatabases(config: Config): Promise<LoadResult> {
  return withStorage(config, async (storage) => {
    await sweepUploads(storage);
    const parse = createMddParser(verifyOptionsOf(config));
    await recoverUpdate(config, storage, Date.now());
    await importFolderStore(storage, config.runtime_update_config.storage_dir, { parse });
    const imported = await importDatabases(storage, config.database.path, {
      parse,
      parallel: config.jobs.parallel_load_tasks,
    });
    return { imported, ...(await readCatalog(config, storage)) };
  });
}
