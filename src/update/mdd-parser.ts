/** Takes an MDD file apart for the store: container, hashes, decompression, and the verifier before anything is used. */

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

/** How signatures of chunks are looked at. */
export type SignatureRules = Pick<InflateOptions, "checkSignature" | "requireSignature">;

/**
 * @returns a parser that throws Fault invalidContainer or invalidDatabase, naming what is broken and where
 */
export function createMddParser(verify: Partial<VerifyOptions> = {}, signatures: SignatureRules = {}): ParseDatabase {
  const inflating: InflateOptions = { inflate: inflateLzma, ...signatures };
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
