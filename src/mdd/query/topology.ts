import type { Database } from "./database.ts";
import { baseVariant, functionalGroupsOf, layersOf, type Scope, variantsOf } from "./layers.ts";
import { functionalGroupId } from "./naming.ts";
import type { AffixPosition } from "./naming-convention.ts";
import { protocolsOf } from "./protocols.ts";
import { hasSpecialData, layerSdgs } from "./sdg.ts";

/** What placement asks of a database before any variant is known; addresses come with `resolveComParams`. */
export interface DatabaseFacts {
  readonly ecuName: string;
  /** As in the database, `0.0.0` when it has none. */
  readonly revision: string;
  readonly baseVariant: string | undefined;
  readonly variants: readonly string[];
  /** A database without variants describes functional groups, not an ECU. */
  readonly isFunctionalDescription: boolean;
  readonly protocols: readonly string[];
  /** Functional groups the database lists or inherits from, as spelled. */
  readonly functionalGroups: readonly string[];
}

/** Facts of one database, as plain data. */
export function databaseFacts(database: Database): DatabaseFacts {
  const variants = variantsOf(database);
  const parents = variants
    .flatMap((variant) => layersOf(database, variant))
    .filter(({ kind }) => kind === "FunctionalGroup");
  const groups = [...functionalGroupsOf(database), ...parents].map(({ name }) => name);
  return {
    ecuName: database.ecuName,
    revision: database.revision ?? "0.0.0",
    baseVariant: baseVariant(database)?.name,
    variants: variants.map(({ name }) => name),
    isFunctionalDescription: variants.length === 0,
    protocols: protocolsOf(database),
    functionalGroups: [...new Set(groups)],
  };
}

/** A functional group of a functional description, with what decides who belongs to it. */
export interface FunctionalGroupFacts {
  readonly scope: Scope;
  /** Lower-case name. */
  readonly name: string;
  /** Lower-case name without the protocol's. */
  readonly shortId: string;
  /** Protocols the group inherits from, as spelled. */
  readonly protocols: readonly string[];
}

/** The functional groups of a functional description. */
export function functionalGroupFacts(
  database: Database,
  position: AffixPosition = "Suffix",
): readonly FunctionalGroupFacts[] {
  return functionalGroupsOf(database).map((scope) => {
    const protocols = layersOf(database, scope)
      .filter(({ kind }) => kind === "Protocol")
      .map(({ name }) => name);
    const name = scope.name.toLowerCase();
    return { scope, name, shortId: functionalGroupId(name, protocols[0], position), protocols };
  });
}

/**
 * Whether an ECU belongs to a functional group: its database lists the group by either name. A database that lists none at all says
 * nothing about membership; then the protocol decides, in whose terms a functional group is defined.
 */
export function isGroupMember(ecu: DatabaseFacts, protocol: string | undefined, group: FunctionalGroupFacts): boolean {
  if (ecu.functionalGroups.length > 0) {
    const listed = ecu.functionalGroups.map((name) => name.toLowerCase());
    return listed.includes(group.name) || listed.includes(group.shortId);
  }
  if (protocol === undefined || group.protocols.length === 0) return true;
  return group.protocols.some((name) => name.toLowerCase() === protocol.toLowerCase());
}

/** `components.additional_fields`: field name, then special data name, then the values that put an ECU into the field. */
export type AdditionalFields = Readonly<
  Record<string, Readonly<Record<string, { readonly values: readonly string[]; readonly ignore_case?: boolean }>>>
>;

/** The configured component fields an ECU is listed in. */
export function additionalFieldsOf(database: Database, fields: AdditionalFields): readonly string[] {
  const base = baseVariant(database);
  if (base === undefined) return [];
  const groups = layerSdgs(database, base);
  return Object.entries(fields)
    .filter(([, conditions]) =>
      Object.entries(conditions).some(([name, { values, ignore_case }]) =>
        hasSpecialData(groups, name, values, ignore_case ?? false),
      ),
    )
    .map(([field]) => field);
}
