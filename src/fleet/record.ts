/** An ECU as the fleet keeps it: what the API shows, and where its calls go. */
import type { Fault } from "#core/errors.ts";
import type { EcuView } from "./api.ts";
import type { CatalogEntry, EcuAssignment, EcuStateWord } from "./messages.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { Shard } from "./shard.ts";

export interface EcuRecord extends EcuView {
  state: EcuStateWord;
  variant: string | undefined;
  isBaseVariant: boolean;
  shard: Shard;
  assignment: EcuAssignment;
  /** Those that speak to the ECU. */
  readonly calls: OpenCalls;
  /** What calls are refused with. */
  busy: Fault | undefined;
}

/** What a shard must know of an ECU. */
export function assignmentOf(entry: CatalogEntry): EcuAssignment {
  const { functional: _, revision: __, fields: ___, groupAliases: ____, ...assignment } = entry;
  return assignment;
}
