// What both tests of the vector tool hand it: tables of other layers, and how files of the converter are read.
import { resolveComParams } from "#mdd/query/com-param-resolution.ts";
import type { FileReading, VectorEnvironment, VectorMode } from "#mdd/tools/vectors-run.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";
import { nrcText } from "#uds/nrc.ts";

/** Files of the converter. */
export const READING: FileReading = { positions: "converter", lengthKeyUnit: "bytes" };

const readers = { parse: parseComParam, readConfig: readComParamConfig };

export function environment(mode: VectorMode): VectorEnvironment {
  const comParams: VectorEnvironment["comParams"] = (database) =>
    resolveComParams(database, undefined, { rows: COM_PARAM_ROWS, readers });
  return { mode, nrcText, comParams };
}
