/** Takes an MDD file apart for the store: container, hashes, decompression, and the verifier before anything is used. */

import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { type InflateOptions, inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import { CHUNK_TYPE, type Chunk } from "#mdd/container/messages.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { type VerifyOptions, verifyEcuData } from "#mdd/verify/verify.ts";
import type { ParseDatabase, ParsedChunk, ParsedDatabase } from "#store/databases.ts";
import { inflateLzma } from "#store/lzma.ts";

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(CHUNK_TYPE).map(([name, number]) => [number, name] as const),
);

/** How signatures of chunks are looked at, and where chunks are decompressed: without `inflate` on libuv's pool, several at a time. */
export type ChunkRules = Partial<Pick<InflateOptions, "inflate" | "checkSignature" | "requireSignature">>;

/** Bounds of the verifier as `[flat_buf]` has them. */
export function verifyOptionsOf({ flat_buf }: Pick<Config, "flat_buf">): Partial<VerifyOptions> {
  const { max_depth, max_tables, max_apparent_size, ignore_missing_null_terminator } = flat_buf;
  return {
    maxDepth: max_depth,
    maxTables: max_tables,
    // counting costs memory; the default is larger than any file can be
    ...(max_apparent_size < Number.MAX_SAFE_INTEGER ? { maxApparentBytes: max_apparent_size } : {}),
    ignoreMissingNullTerminator: ignore_missing_null_terminator,
  };
}

/**
 * @returns a parser that throws Fault invalidContainer or invalidDatabase, naming what is broken and where
 */
export function createMddParser(verify: Partial<VerifyOptions> = {}, rules: ChunkRules = {}): ParseDatabase {
  const inflating: InflateOptions = { inflate: inflateLzma, ...rules };
  return async (bytes: Uint8Array): Promise<ParsedDatabase> => {
    const container = decodeContainer(bytes);
    const description = diagnosticDescription(container);
    const flatbuffer = await inflateChunk(description, inflating);
    const verdict = verifyEcuData(flatbuffer, verify);
    if (!verdict.ok) {
      const { problem, path, offset } = verdict;
      throw new Fault("invalidContainer", `FlatBuffer is broken at ${path} (offset ${offset}): ${problem}`, {
        path,
        offset,
      });
    }
    const { ecuName } = openDatabase(flatbuffer);
    const { revision } = container;
    const others = container.chunks.filter((chunk) => chunk !== description);
    return {
      ecuName,
      ...(revision === undefined ? {} : { revision }),
      flatbuffer,
      chunks: await Promise.all(others.map((chunk) => parsedChunk(chunk, inflating))),
      metadata: Object.fromEntries(container.metadata),
    };
  };
}

/** Embedded and code files are kept in the clear, so that they can be handed out as they are. */
async function parsedChunk(chunk: Chunk, inflating: InflateOptions): Promise<ParsedChunk> {
  const data = await inflateChunk(chunk, inflating);
  return {
    type: TYPE_NAMES.get(chunk.type) ?? String(chunk.type),
    name: chunk.name ?? "",
    ...(chunk.mimeType === undefined ? {} : { mimeType: chunk.mimeType }),
    size: data.length,
    data,
  };
}
