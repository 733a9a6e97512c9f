/** The database that describes functional groups, as a shard uses it. */
import { Fault } from "#core/errors.ts";
import { functionalGroup, type Scope } from "#mdd/query/layers.ts";
import { type ServiceIndex, serviceIndex } from "#mdd/query/service-index.ts";
import { type StateCharts, stateChartsOf } from "#mdd/query/state-charts.ts";
import type { HeldDatabase } from "./held-database.ts";
import type { LoadedDatabase } from "./loaded-database.ts";

export interface GroupDescription {
  readonly name: string;
  readonly loaded: LoadedDatabase;
  readonly scope: Scope;
  readonly index: ServiceIndex;
  readonly charts: StateCharts;
}

/** @throws Fault notFound when there is no description, or no such group in it */
export function describeGroup(held: HeldDatabase | undefined, name: string): GroupDescription {
  if (held === undefined) throw new Fault("notFound", `Functional group '${name}' not found`);
  const { loaded } = held;
  const scope = functionalGroup(loaded.database, name);
  return {
    name,
    loaded,
    scope,
    index: serviceIndex(loaded.database, scope),
    charts: stateChartsOf(loaded.database, scope),
  };
}
