/** What placement asks of each database, with the configuration in force. Runs in the jobs thread. */

import { ecuConfig } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { toFaultData } from "#core/errors.ts";
import type { BrokenDatabase, CatalogEntry, DatabaseReference } from "#fleet/messages.ts";
import { type ComParamSettings, type ResolvedComParams, resolveComParams } from "#mdd/query/com-param-resolution.ts";
import { type Database, openDatabase } from "#mdd/query/database.ts";
import { chooseProtocol } from "#mdd/query/protocols.ts";
import {
  additionalFieldsOf,
  type DatabaseFacts,
  databaseFacts,
  type FunctionalGroupFacts,
  functionalGroupFacts,
  isGroupMember,
} from "#mdd/query/topology.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { buildComParams, COM_PARAM_ROWS, type ComParamKind, DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import { namingOf, protocolChoiceOf } from "./settings.ts";

/** A database of the current set as the store maps it. */
export interface StoredDatabase extends DatabaseReference {
  readonly bytes: Uint8Array;
}

export interface CatalogResult {
  readonly entries: readonly CatalogEntry[];
  readonly broken: readonly BrokenDatabase[];
  /** Values that could not be read, for the log. */
  readonly warnings: readonly string[];
}

interface Opened {
  readonly stored: StoredDatabase;
  readonly database: Database;
  readonly facts: DatabaseFacts;
}

/** Reads every database's facts; one that cannot be read is named and left out. */
export function buildCatalog(databases: Iterable<StoredDatabase>, config: Config): CatalogResult {
  const naming = namingOf(config);
  const broken: BrokenDatabase[] = [];
  const warnings: string[] = [];
  const opened: Opened[] = [];
  for (const stored of databases) {
    try {
      const database = openDatabase(stored.bytes, { naming });
      opened.push({ stored, database, facts: databaseFacts(database) });
    } catch (error) {
      broken.push({ file: stored.database, problem: toFaultData(error).message });
    }
  }
  const description = opened.find(
    ({ facts }) =>
      facts.isFunctionalDescription && facts.ecuName === config.functional_description.description_database,
  );
  const position = config.functional_description.protocol_position;
  const groups = description === undefined ? [] : functionalGroupFacts(description.database, position);
  const entries: CatalogEntry[] = [];
  for (const one of opened) {
    try {
      entries.push(
        one.facts.isFunctionalDescription
          ? functionalEntry(one, groups, config)
          : ecuEntry(one, groups, config, warnings),
      );
    } catch (error) {
      broken.push({ file: one.stored.database, problem: toFaultData(error).message });
    }
  }
  return { entries, broken, warnings };
}

function referenceOf({ stored }: Opened): DatabaseReference {
  const { database, version, converter } = stored;
  return { database, version, converter };
}

function functionalEntry(one: Opened, groups: readonly FunctionalGroupFacts[], config: Config): CatalogEntry {
  const isOfProtocol = ({ protocols }: FunctionalGroupFacts) =>
    protocols.some((name) => name.toLowerCase() === config.doip.protocol_name.toLowerCase());
  // Groups of several protocols may share a short name; then it stands for the one of the configured protocol.
  const ordered = [...groups].sort((a, b) => Number(isOfProtocol(a)) - Number(isOfProtocol(b)));
  return {
    ...referenceOf(one),
    name: one.facts.ecuName,
    revision: one.facts.revision,
    functional: true,
    gatewayAddress: undefined,
    ecuAddress: undefined,
    comParams: DEFAULT_COM_PARAMS,
    protocol: undefined,
    groups: groups.map(({ name }) => name),
    groupAliases: Object.fromEntries(ordered.map(({ shortId, name }) => [shortId, name])),
    fields: [],
  };
}

function ecuEntry(
  one: Opened,
  groups: readonly FunctionalGroupFacts[],
  config: Config,
  warnings: string[],
): CatalogEntry {
  const { database, facts } = one;
  const protocol = chooseProtocol(database, protocolChoiceOf(config, facts.ecuName));
  const resolved = resolve(database, protocol, config, facts.ecuName);
  for (const { rejected } of resolved.values()) {
    if (rejected !== undefined) warnings.push(`${facts.ecuName}: communication parameter ${rejected} is not readable`);
  }
  const address = (field: string) => {
    const found = resolved.get(`doip.${field}`);
    return found?.isResolved ? (found.value as number) : undefined;
  };
  return {
    ...referenceOf(one),
    name: facts.ecuName,
    revision: facts.revision,
    functional: false,
    gatewayAddress: address("logicalGatewayAddress"),
    ecuAddress: address("logicalEcuAddress"),
    comParams: buildComParams(({ group, field }) => resolved.get(`${group}.${field}`)?.value),
    protocol: protocol ?? facts.protocols[0],
    groups: groups.filter((group) => isGroupMember(facts, protocol, group)).map(({ name }) => name),
    fields: additionalFieldsOf(database, config.components.additional_fields),
  };
}

function resolve(database: Database, protocol: string | undefined, config: Config, ecu: string): ResolvedComParams {
  const own = ecuConfig(config, ecu)?.com_params;
  return resolveComParams<ComParamKind>(database, protocol, {
    rows: COM_PARAM_ROWS,
    readers: { parse: parseComParam, readConfig: readComParamConfig },
    global: config.com_params as unknown as ComParamSettings,
    ...(own === undefined ? {} : { ecu: own as unknown as ComParamSettings }),
  });
}
