/** Brings the store in line with the databases folder and tells what the current set holds. Runs in the jobs thread. */
import { storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { buildCatalog, type CatalogResult, type StoredDatabase } from "#ecu/catalog.ts";
import { CURRENT, databaseProperties, readSet } from "#store/databases.ts";
import { type MappedDatabase, openDatabasesReader } from "#store/databases-reader.ts";
import { openStoreEnvironment } from "#store/environments.ts";
import { type ImportResult, importDatabases } from "#store/import-databases.ts";
import { importFolderStore } from "#store/import-folder-store.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { Storage } from "#store/storage.ts";
import { createMddParser } from "./mdd-parser.ts";

export interface LoadResult extends CatalogResult {
  readonly generation: number;
  readonly imported: ImportResult;
}

/** The storage of the databases environment, open for the duration of `work`. */
export async function withDatabases<T>(config: Config, work: (storage: Storage) => Promise<T>): Promise<T> {
  const env = await openStoreEnvironment(storePath(config), "databases", {
    maxBytes: config.store.max_bytes.databases,
  });
  try {
    return await work(createLmdbStorage(env, { maxMappedBytes: config.store.max_mapped_bytes }));
  } finally {
    await env.close();
  }
}

/** Imports what is new or changed, then reads the catalog. @throws Fault of the store */
export function loadDatabases(config: Config): Promise<LoadResult> {
  return withDatabases(config, async (storage) => {
    const parse = createMddParser({
      maxDepth: config.flat_buf.max_depth,
      maxTables: config.flat_buf.max_tables,
      maxApparentBytes: config.flat_buf.max_apparent_size,
      ignoreMissingNullTerminator: config.flat_buf.ignore_missing_null_terminator,
    });
    await importFolderStore(storage, config.runtime_update_config.storage_dir, { parse });
    const imported = await importDatabases(storage, config.database.path, {
      parse,
      parallel: config.jobs.parallel_load_tasks,
    });
    return { imported, ...(await readCatalog(config, storage)) };
  });
}

/** What the current set holds, with the configuration in force. */
export async function readCatalog(
  config: Config,
  storage: Storage,
): Promise<CatalogResult & { readonly generation: number }> {
  const reader = await openDatabasesReader(storePath(config));
  const held: MappedDatabase[] = [];
  try {
    const databases: StoredDatabase[] = reader.list().map(({ key, version }) => {
      const mapped = reader.map(key);
      held.push(mapped);
      const converter = databaseProperties(storage.metadata(CURRENT, key)).metadata.converter;
      return {
        database: key,
        version,
        bytes: mapped.bytes,
        converter: typeof converter === "string" ? converter : undefined,
      };
    });
    return { ...buildCatalog(databases, config), generation: readSet(storage)?.generation ?? 0 };
  } finally {
    for (const mapped of held) mapped.release();
    await reader.close();
  }
}
