/** Files that diagnostic databases carry, read from the store. */
import { createHash } from "node:crypto";
import { BYTES_TYPE } from "#core/media-types.ts";
import type { EcuView } from "#fleet/api.ts";
import { type ChunkProperties, CURRENT, databaseProperties } from "#store/databases.ts";
import type { Storage } from "#store/storage.ts";
import type { EmbeddedFile, EmbeddedFiles } from "./context.ts";

const DEFAULT_TYPE = BYTES_TYPE;
const ID_LENGTH = 32;

/** `databaseOf`: key of an ECU's database in the current set. */
export function createEmbeddedFiles(storage: Storage, databaseOf: (ecu: EcuView) => string | undefined): EmbeddedFiles {
  const chunksOf = (ecu: EcuView): readonly ChunkProperties[] => {
    const key = databaseOf(ecu);
    return key === undefined ? [] : databaseProperties(storage.metadata(CURRENT, key)).chunks;
  };
  return {
    list: async (ecu) => chunksOf(ecu).map((chunk) => describe(ecu, chunk)),
    read: async (ecu, id) => {
      const key = databaseOf(ecu);
      const chunk = chunksOf(ecu).find((candidate) => idOf(ecu, candidate) === id.toLowerCase());
      if (key === undefined || chunk?.part == null) return undefined;
      const value = storage.read(CURRENT, key, chunk.part);
      try {
        return { contentType: chunk.mimeType ?? DEFAULT_TYPE, bytes: Buffer.concat([...value.chunks()]) };
      } finally {
        value.close();
      }
    },
  };
}

function describe(ecu: EcuView, chunk: ChunkProperties): EmbeddedFile {
  const name = chunk.name.split(/[/\\]/).at(-1) ?? chunk.name;
  const mimetype = chunk.mimeType ?? DEFAULT_TYPE;
  return { id: idOf(ecu, chunk), name, mimetype, sizeBytes: chunk.size, originalPath: chunk.name };
}

/** The same at every start: a hash of who carries it and what it is called. */
function idOf(ecu: EcuView, { type, name }: ChunkProperties): string {
  return createHash("sha256").update(`${ecu.id}\n${type}\n${name}`).digest("hex").slice(0, ID_LENGTH);
}
