/** Runs vector files of the shape of the golden file: what a reference made of databases, operation by operation. */
import { Fault, reasonOf } from "#core/errors.ts";
import type { Database } from "../query/database.ts";
import { CODEC_OPERATIONS } from "./vectors-codec.ts";
import { QUERY_OPERATIONS } from "./vectors-query.ts";
import {
  activate,
  type FileReading,
  follow,
  type Operation,
  type Run,
  startRun,
  type Vector,
  type VectorEnvironment,
  type VectorResult,
} from "./vectors-run.ts";

const OPERATIONS: Readonly<Record<string, Operation>> = { ...CODEC_OPERATIONS, ...QUERY_OPERATIONS };

/** Names of the operations that vectors may have. */
export const VECTOR_OPERATIONS: readonly string[] = Object.keys(OPERATIONS);

/** The vectors of a file's JSON. @throws Fault invalidData naming the first that has not the shape */
export function parseVectors(json: unknown): readonly Vector[] {
  const vectors = (json as { vectors?: unknown } | null)?.vectors;
  if (!Array.isArray(vectors)) throw new Fault("invalidData", "a vector file is an object with a list `vectors`");
  vectors.forEach((vector: unknown, i) => {
    const { id, mdd, op, cda } = (vector ?? {}) as Partial<Vector>;
    if (typeof id !== "number" || typeof mdd !== "string" || typeof op !== "string" || cda === undefined)
      throw new Fault("invalidData", `vectors[${i}] needs id, mdd, op and cda`, { index: i });
  });
  return vectors as Vector[];
}

/** Runs the vectors of one database in the order of their ids; never throws on what a vector says. */
export function runVectors(
  database: Database,
  reading: FileReading,
  vectors: readonly Vector[],
  environment: VectorEnvironment,
): readonly VectorResult[] {
  const run = startRun(database, reading, environment);
  return [...vectors].sort((a, b) => a.id - b.id).map((vector) => runVector(run, vector));
}

function runVector(run: Run, vector: Vector): VectorResult {
  const result: VectorResult = { vector, differences: [], remarks: [] };
  try {
    activate(run, vector);
    const operation = Object.hasOwn(OPERATIONS, vector.op) ? OPERATIONS[vector.op] : undefined;
    if (operation === undefined) result.differences.push(`operation '${vector.op}' is not known`);
    else operation(run, vector, result);
  } catch (error) {
    result.differences.push(`failed: ${reasonOf(error)}`);
  }
  follow(run, vector);
  return result;
}
