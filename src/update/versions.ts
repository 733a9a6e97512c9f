/** The versions an older database is measured by: those in use, and the highest that ever were. */

import { CURRENT, compareRevisions, databaseProperties } from "#store/databases.ts";
import type { Json } from "#store/record.ts";
import type { Storage } from "#store/storage.ts";
import type { DatabaseFacts, KnownVersions } from "./verifier.ts";

const RECORD = "versions/";

const recordName = (ecuName: string): string => RECORD + ecuName.toLowerCase();
const higher = (a: string | undefined, b: string | undefined) => (compareRevisions(a, b) >= 0 ? a : b);

/** The databases of a set; an absent set has none. */
export function databasesOf(storage: Storage, set: string): readonly (DatabaseFacts & { readonly sha256: string })[] {
  if (!storage.has(set)) return [];
  return storage.list(set).map((file) => {
    const info = storage.metadata(set, file);
    return { file, ecuName: databaseProperties(info).ecuName, revision: info.revision, sha256: info.sha256 };
  });
}

/** What is known of each ECU, by a name in any case. */
export function knownVersions(storage: Storage): (ecuName: string) => KnownVersions {
  const current = highestByEcu(databasesOf(storage, CURRENT));
  return (ecuName) => {
    const inUse = current.get(ecuName.toLowerCase());
    const remembered = storage.record<string>(recordName(ecuName));
    return { current: inUse, highest: higher(inUse, remembered) };
  };
}

/** Records that remember the highest version of each ECU of these sets, for the transaction that changes the current one. */
export function versionRecords(storage: Storage, sets: readonly string[]): Record<string, Json> {
  const records: Record<string, Json> = {};
  for (const [ecu, revision] of highestByEcu(sets.flatMap((set) => databasesOf(storage, set)))) {
    const name = recordName(ecu);
    const highest = higher(storage.record<string>(name), revision);
    if (highest !== undefined) records[name] = highest;
  }
  return records;
}

function highestByEcu(databases: readonly DatabaseFacts[]): Map<string, string | undefined> {
  const highest = new Map<string, string | undefined>();
  for (const { ecuName, revision } of databases) {
    const ecu = ecuName.toLowerCase();
    highest.set(ecu, higher(highest.get(ecu), revision));
  }
  return highest;
}
