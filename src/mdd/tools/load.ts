import { Fault } from "#core/errors.ts";
import { type CodecOptions, readingOf } from "../codec/options.ts";
import { type Inflate, inflateChunk } from "../container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "../container/decode.ts";
import type { ContainerLimits } from "../container/limits.ts";
import type { MddContainer } from "../container/messages.ts";
import { type Database, openDatabase } from "../query/database.ts";
import { type VerifyOptions, verifyEcuData } from "../verify/verify.ts";

export interface LoadOptions {
  readonly inflate: Inflate;
  readonly limits?: Partial<ContainerLimits>;
  readonly verify?: Partial<VerifyOptions>;
}

/** An MDD file taken apart, verified and open. */
export interface LoadedMdd {
  readonly container: MddContainer;
  /** The diagnostic description, decompressed. */
  readonly bytes: Uint8Array;
  readonly database: Database;
  /** How absent positions in this file are to be read. */
  readonly positions: CodecOptions["positions"];
  /** What its length keys count. */
  readonly lengthKeyUnit: CodecOptions["lengthKeyUnit"];
}

/**
 * Opens an MDD file for a tool. `file` is how its faults call it.
 * @throws Fault invalidContainer or invalidDatabase naming file and place
 */
export function loadMdd(content: Uint8Array, file: string, options: LoadOptions): Promise<LoadedMdd> {
  return inFile(file, async () => {
    const { limits = {}, verify = {} } = options;
    const container = decodeContainer(content, { limits });
    const bytes = await inflateChunk(diagnosticDescription(container), { inflate: options.inflate, limits });
    const verdict = verifyEcuData(bytes, verify);
    if (!verdict.ok) {
      const { problem, offset, path } = verdict;
      throw new Fault("invalidDatabase", `FlatBuffer: ${problem} at offset ${offset}, ${path}`, { offset, path });
    }
    return {
      container,
      bytes,
      database: openDatabase(bytes),
      ...readingOf(container.metadata.get("converter")),
    };
  });
}

/** Runs work on a file; its faults get the file's name in front and into their details. */
export async function inFile<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault(error.kind, `${file}: ${error.message}`, { ...error.details, file }, error.cause);
  }
}
