/** What a set of databases holds, with the configuration in force. Runs in the jobs thread. */
import { storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { buildCatalog, type CatalogResult, type StoredDatabase } from "#ecu/catalog.ts";
import type { Catalog } from "#fleet/messages.ts";
import { CURRENT, databaseProperties, readSet } from "#store/databases.ts";
import { type MappedDatabase, openDatabasesReader } from "#store/databases-reader.ts";
import type { Storage } from "#store/storage.ts";

/** Opens every database of a set and reads its facts. The generation is that of the current set. */
export async function readCatalog(
  config: Config,
  storage: Storage,
  set: string = CURRENT,
): Promise<CatalogResult & Catalog> {
  const reader = await openDatabasesReader(storePath(config), set);
  const held: MappedDatabase[] = [];
  try {
    const databases: StoredDatabase[] = reader.list().map(({ key, version }) => {
      const mapped = reader.map(key);
      held.push(mapped);
      const { converter } = databaseProperties(storage.metadata(set, key)).metadata;
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
