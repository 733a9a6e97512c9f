import { type Database, each, memoised, reading } from "./database.ts";
import { layersOf, type Scope } from "./layers.ts";
import { readService, type ServiceEntry } from "./service-entry.ts";

/** The services a scope can use, found by every key a request may bring. Built once at first use. */
export interface ServiceIndex {
  readonly scope: Scope;
  /** Nearest layer first, then database order; an inherited service that a nearer one of the same short name replaces is left out. */
  readonly services: readonly ServiceEntry[];
  readonly byName: ReadonlyMap<string, ServiceEntry>;
  readonly bySid: ReadonlyMap<number, readonly ServiceEntry[]>;
  readonly byPrefix: ReadonlyMap<string, readonly ServiceEntry[]>;
}

/**
 * The index of a scope. At most `maxIndexes` are kept per database; the one longest unused goes first. Entries are shared between
 * indexes, so a variant that inherits a base variant costs only its maps.
 * @throws Fault invalidDatabase
 */
export function serviceIndex(database: Database, scope: Scope): ServiceIndex {
  const latest = memoised(database, "latestIndex", (): { index?: ServiceIndex } => ({}));
  if (latest.index?.scope === scope) return latest.index;
  latest.index = indexOf(database, scope);
  return latest.index;
}

function indexOf(database: Database, scope: Scope): ServiceIndex {
  const indexes = memoised(database, "indexes", () => new Map<string, ServiceIndex>());
  const key = `${scope.kind}:${scope.index}`;
  const known = indexes.get(key);
  const index = known ?? buildIndex(database, scope);
  indexes.delete(key);
  indexes.set(key, index);
  if (indexes.size > database.maxIndexes) indexes.delete(indexes.keys().next().value as string);
  return index;
}

/** Services with one of these service identifiers, in index order of each identifier. */
export function servicesWithSid(index: ServiceIndex, ...sids: readonly number[]): readonly ServiceEntry[] {
  if (sids.length === 1) return index.bySid.get(sids[0]!) ?? [];
  return sids.flatMap((sid) => index.bySid.get(sid) ?? []);
}

/** Services of a functional class, in any case. */
export function servicesOfClass(services: readonly ServiceEntry[], functionalClass: string): ServiceEntry[] {
  const wanted = functionalClass.toLowerCase();
  return services.filter((service) => service.functionalClasses.some((name) => name.toLowerCase() === wanted));
}

/** Key of `byPrefix`: the bytes as Latin-1 text. */
export function prefixKey(bytes: Uint8Array, length = bytes.length): string {
  let key = "";
  for (let i = 0; i < length; i++) key += String.fromCharCode(bytes[i]!);
  return key;
}

function buildIndex(database: Database, scope: Scope): ServiceIndex {
  const byName = new Map<string, ServiceEntry>();
  const bySid = new Map<number, ServiceEntry[]>();
  const byPrefix = new Map<string, ServiceEntry[]>();
  const services = visibleServices(database, scope);
  for (const service of services) {
    const name = service.shortName.toLowerCase();
    if (!byName.has(name)) byName.set(name, service);
    if (service.sid === undefined) continue;
    append(bySid, service.sid, service);
    append(byPrefix, prefixKey(service.prefix), service);
  }
  return { scope, services, byName, bySid, byPrefix };
}

function visibleServices(database: Database, scope: Scope): ServiceEntry[] {
  const entries = memoised(database, "services", () => new Map<number, ServiceEntry>());
  const taken = new Set<string>();
  const visible: ServiceEntry[] = [];
  for (const { diagLayer, hidden, name } of layersOf(database, scope)) {
    const own = reading(`${name}.diag_services`, () =>
      each(diagLayer.diagServicesLength(), (i) => diagLayer.diagServices(i)).map((service) => {
        const entry = entries.get(service.bb_pos) ?? readService(service, database.naming);
        entries.set(service.bb_pos, entry);
        return entry;
      }),
    );
    const nearer = own.filter((service) => !hidden.has(service.shortName) && !taken.has(service.shortName));
    for (const service of nearer) taken.add(service.shortName);
    visible.push(...nearer);
  }
  return visible;
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
