import { existsSync, readFileSync } from "node:fs";
import { inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import { type Database, type DatabaseOptions, openDatabase } from "#mdd/query/database.ts";
import { inflateLzma } from "#store/lzma.ts";

/** Real databases and golden vectors; not part of the project, so tests skip without them. */
const SHARED = new URL("../../../../shared/", import.meta.url);

/** Reason to skip, or false. */
export const SKIP_WITHOUT_SHARED = existsSync(SHARED) ? false : "no ../shared beside the project";

export const REAL_FILES = [
  "FLXC1000",
  "FLXCNG1000",
  "FSNR2000",
  "HOVR4000",
  "JGWT5000",
  "TMCC3000",
  "functional_groups",
] as const;

/** Opens a database of the shared folder. */
export async function openShared(file: string, options?: DatabaseOptions): Promise<Database> {
  const folder = file.startsWith("SYNTH") ? "facts" : "mdd";
  const container = decodeContainer(readFileSync(new URL(`${folder}/${file}`, SHARED)));
  return openDatabase(await inflateChunk(diagnosticDescription(container), { inflate: inflateLzma }), options);
}

export function readShared(path: string): string {
  return readFileSync(new URL(path, SHARED), "utf8");
}
