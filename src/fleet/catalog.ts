/** From what the databases say to the ECUs of the vehicle: which database speaks for which name. Pure. */
import { compareRevisions } from "#store/databases.ts";
import type { BrokenDatabase, CatalogEntry, DatabaseReference } from "./messages.ts";

/**
 * One entry per ECU name. Of several with one name and one address the highest revision stands; with different addresses none can
 * be trusted, and all are reported.
 */
export function selectEcus(entries: readonly CatalogEntry[]): {
  readonly ecus: readonly CatalogEntry[];
  readonly rejected: readonly BrokenDatabase[];
} {
  const byName = new Map<string, CatalogEntry[]>();
  for (const entry of entries) {
    if (entry.functional) continue;
    const key = entry.name.toLowerCase();
    byName.set(key, [...(byName.get(key) ?? []), entry]);
  }
  const ecus: CatalogEntry[] = [];
  const rejected: BrokenDatabase[] = [];
  for (const group of byName.values()) {
    const first = group[0]!;
    const sameAddress = group.every(
      (entry) => entry.ecuAddress === first.ecuAddress && entry.gatewayAddress === first.gatewayAddress,
    );
    if (!sameAddress) {
      for (const entry of group) {
        rejected.push({
          file: entry.database,
          problem: `ECU ${entry.name} stands in several databases with different addresses`,
        });
      }
      continue;
    }
    const [newest, ...older] = group.toSorted((a, b) => compareRevisions(b.revision, a.revision));
    ecus.push(newest!);
    for (const entry of older) {
      const problem = `ECU ${entry.name}: revision ${newest!.revision} of ${newest!.database} is used instead`;
      rejected.push({ file: entry.database, problem });
    }
  }
  return { ecus, rejected };
}

export interface GroupSelection {
  readonly description: DatabaseReference | undefined;
  readonly groups: readonly string[];
  /** Short name of a group, without the protocol's → the group. */
  readonly aliases: ReadonlyMap<string, string>;
}

/**
 * The database that describes the functional groups, and the groups in force. `enabled` undefined means all; a group may be named
 * there in full or short.
 */
export function selectGroups(
  entries: readonly CatalogEntry[],
  descriptionName: string,
  enabled: readonly string[] | undefined,
): GroupSelection {
  const entry = entries.find((candidate) => candidate.functional && candidate.name === descriptionName);
  if (entry === undefined) return { description: undefined, groups: [], aliases: new Map() };
  const wanted = enabled === undefined ? undefined : new Set(enabled.map((name) => name.toLowerCase()));
  const { database, version, converter } = entry;
  const aliases = new Map(Object.entries(entry.groupAliases ?? {}));
  const shortNames = new Map([...aliases].map(([short, name]) => [name, short] as const));
  const isWanted = (name: string) =>
    wanted === undefined || wanted.has(name) || wanted.has(shortNames.get(name) ?? name);
  return { description: { database, version, converter }, groups: entry.groups.filter(isWanted), aliases };
}
