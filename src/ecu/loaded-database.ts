/** A diagnostic database as a shard uses it: mapped bytes, queries on them, compiled plans. */
import { PlanCache } from "#mdd/codec/cache.ts";
import { compileService } from "#mdd/codec/compile.ts";
import type { CodecOptions } from "#mdd/codec/options.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { DiagService } from "#mdd/generated/dataformat.ts";
import { type Database, openDatabase } from "#mdd/query/database.ts";
import type { NamingConvention } from "#mdd/query/naming-convention.ts";

/** A mapping that stays valid until it is released (store: read transaction of its own). */
export interface MappedBytes {
  readonly bytes: Uint8Array;
  release(): void;
}

export interface LoadedDatabase {
  readonly database: Database;
  readonly version: string;
  readonly plans: PlanCache;
  /** The compiled plan of the service whose table lies there. */
  plan(table: number): ServicePlan;
  /** No request uses it any more. */
  release(): void;
}

export interface LoadOptions {
  readonly naming: NamingConvention;
  readonly codec: CodecOptions;
  /** Compiled services kept per database. */
  readonly maxPlans: number;
  readonly maxPlanBytes: number;
}

/** @throws Fault invalidDatabase; the mapping is released then */
export function loadDatabase(mapped: MappedBytes, version: string, options: LoadOptions): LoadedDatabase {
  let database: Database;
  try {
    database = openDatabase(mapped.bytes, { naming: options.naming });
  } catch (error) {
    mapped.release();
    throw error;
  }
  const plans = new PlanCache(options.maxPlans, options.maxPlanBytes);
  const compile = (table: number) => compileService(new DiagService().__init(table, database.buffer), options.codec);
  return {
    database,
    version,
    plans,
    plan: (table) => plans.get(table, compile),
    release: () => mapped.release(),
  };
}
