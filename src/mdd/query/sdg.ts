import { DiagService, SD, SDG, type SDGS, SDxorSDG } from "#mdd/generated/dataformat.ts";
import { type Database, each, memoised, reading, unfolding } from "./database.ts";
import { member } from "./json.ts";
import { layersOf, type Scope } from "./layers.ts";
import type { ServiceEntry } from "./service-entry.ts";

/** A special datum. Absent members are left out, so this is the API's JSON as it stands. */
export interface SpecialData {
  readonly value?: string;
  readonly si?: string;
  readonly ti?: string;
}

/** A special data group; `sdgs` is left out when empty. */
export interface SpecialDataGroup {
  readonly caption?: string;
  readonly si?: string;
  readonly sdgs?: readonly SpecialDataEntry[];
}

export type SpecialDataEntry = SpecialData | SpecialDataGroup;

/** Special data of an ECU: of the nearest layer that has some. */
export function layerSdgs(database: Database, scope: Scope): readonly SpecialDataGroup[] {
  return memoised(database, `sdgs:${scope.kind}:${scope.index}`, () =>
    reading(`${scope.name}.sdgs`, () => {
      for (const { diagLayer } of layersOf(database, scope)) {
        const groups = readSdgs(diagLayer.sdgs());
        if (groups.length > 0) return groups;
      }
      return [];
    }),
  );
}

/** Special data of a service; empty when it has none. */
export function serviceSdgs(database: Database, service: ServiceEntry): readonly SpecialDataGroup[] {
  return reading(`${service.shortName}.sdgs`, () => {
    const table = new DiagService().__init(service.table, database.buffer);
    return readSdgs(table.diagComm()?.sdgs() ?? null);
  });
}

/** Whether special data anywhere in the groups has the semantic (`SI`) `name` and one of `values`. */
export function hasSpecialData(
  groups: readonly SpecialDataEntry[],
  name: string,
  values: readonly string[],
  ignoreCase: boolean,
): boolean {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  const wanted = new Set(values.map(fold));
  return flatten(groups).some(
    (datum) => datum.si !== undefined && fold(datum.si) === fold(name) && wanted.has(fold(datum.value ?? "")),
  );
}

function flatten(entries: readonly SpecialDataEntry[]): SpecialData[] {
  return entries.flatMap((entry) =>
    "sdgs" in entry ? flatten(entry.sdgs ?? []) : "caption" in entry ? [] : [entry as SpecialData],
  );
}

function readSdgs(sdgs: SDGS | null): SpecialDataGroup[] {
  const count = unfolding("SDGS");
  return sdgs === null ? [] : each(sdgs.sdgsLength(), (i) => sdgs.sdgs(i)).map((group) => readGroup(group, 0, count));
}

function readGroup(group: SDG, depth: number, count: (depth: number) => void): SpecialDataGroup {
  count(depth);
  const entries = each(group.sdsLength(), (i) => {
    const entry = group.sds(i);
    if (entry?.sdOrSdgType() === SDxorSDG.SD) return optional(entry.sdOrSdg(new SD()), readDatum);
    if (entry?.sdOrSdgType() === SDxorSDG.SDG)
      return optional(entry.sdOrSdg(new SDG()), (nested) => readGroup(nested, depth + 1, count));
    return null;
  });
  return {
    ...member("caption", group.captionSn()),
    ...member("si", group.si()),
    ...(entries.length === 0 ? {} : { sdgs: entries }),
  };
}

function readDatum(datum: SD): SpecialData {
  return { ...member("value", datum.value()), ...member("si", datum.si()), ...member("ti", datum.ti()) };
}

function optional<T, R>(table: T | null, read: (table: T) => R): R | null {
  return table === null ? null : read(table);
}
