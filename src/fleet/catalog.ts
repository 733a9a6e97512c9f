/** From what the databases say to the ECUs of the vehicle: which database speaks for which name. Pure. */
import type { ComParams } from "#uds/com-params.ts";

/** One diagnostic database of the current set, as the jobs thread read it with the configuration in force. */
export interface CatalogEntry {
  /** Key of the database in the store. */
  readonly database: string;
  /** Content hash: another version means other plans. */
  readonly version: string;
  readonly name: string;
  readonly revision: string;
  /** A database without variants describes functional groups, not an ECU. */
  readonly functional: boolean;
  readonly gatewayAddress: number | undefined;
  readonly ecuAddress: number | undefined;
  readonly comParams: ComParams;
  readonly protocol: string | undefined;
  /** Functional groups (lower case): for an ECU those it belongs to, for a functional description those it defines. */
  readonly groups: readonly string[];
  /** Configured additional component fields that this ECU is listed in. */
  readonly fields: readonly string[];
}

export interface BrokenDatabase {
  readonly file: string;
  readonly problem: string;
}

export interface Catalog {
  readonly generation: number;
  readonly entries: readonly CatalogEntry[];
  readonly broken: readonly BrokenDatabase[];
}

/** Compares revisions as versions: numbers by value, other runs as text; a missing part is smaller. */
export function compareRevisions(a: string, b: string): number {
  const left = a.match(/\d+|[^\d.]+/g) ?? [];
  const right = b.match(/\d+|[^\d.]+/g) ?? [];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const x = left[i];
    const y = right[i];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    const byNumber = Number(x) - Number(y);
    if (Number.isNaN(byNumber) ? x !== y : byNumber !== 0) return Number.isNaN(byNumber) ? (x < y ? -1 : 1) : byNumber;
  }
  return 0;
}

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
): { readonly database: string | undefined; readonly groups: readonly string[] } {
  const entry = entries.find((candidate) => candidate.functional && candidate.name === descriptionName);
  if (entry === undefined) return { database: undefined, groups: [] };
  const wanted = enabled === undefined ? undefined : new Set(enabled.map((name) => name.toLowerCase()));
  return { database: entry.database, groups: entry.groups.filter((name) => wanted === undefined || wanted.has(name)) };
}
