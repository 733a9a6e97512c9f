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

/** The database that describes the functional groups, and the groups in force. `enabled` undefined means all. */
export function selectGroups(
  entries: readonly CatalogEntry[],
  descriptionName: string,
  enabled: readonly string[] | undefined,
): { readonly description: DatabaseReference | undefined; readonly groups: readonly string[] } {
  const entry = entries.find((candidate) => candidate.functional && candidate.name === descriptionName);
  if (entry === undefined) return { description: undefined, groups: [] };
  const wanted = enabled === undefined ? undefined : new Set(enabled.map((name) => name.toLowerCase()));
  const { database, version, converter } = entry;
  return {
    description: { database, version, converter },
    groups: entry.groups.filter((name) => wanted === undefined || wanted.has(name)),
  };
}
