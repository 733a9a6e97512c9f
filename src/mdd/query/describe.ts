import { toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { Database } from "./database.ts";
import { each } from "./database.ts";
import { layersOf } from "./layers.ts";
import { withAction } from "./naming.ts";
import type { NamingConvention } from "./naming-convention.ts";
import type { ServiceEntry } from "./service-entry.ts";
import { type ServiceIndex, servicesOfClass, servicesWithSid } from "./service-index.ts";

const SID = { readByLocal: 0x21, read: 0x22, write: 0x2e, routine: 0x31 } as const;

/** Sub-functions of RoutineControl (ISO 14229-1). */
const ROUTINE = { start: 1, stop: 2, requestResults: 3 } as const;

const SUB_FUNCTION_MASK = 0x7f;

/** A data resource: one id, however many services stand behind it. */
export interface DataItem {
  readonly id: string;
  readonly name: string;
  /** Semantic of the service, or the category its functional class is mapped to. */
  readonly category: string;
  readonly semantic: string | undefined;
  readonly functionalClasses: readonly string[];
  readonly read: ServiceEntry | undefined;
  readonly write: ServiceEntry | undefined;
}

/** Functional class, in any case, to the category of its data; `undefined`: categories are the services' semantics, all listed. */
export type DataCategories = Readonly<Record<string, string>> | undefined;

/**
 * Data resources in database order: what can be read, and what can only be written. With a mapping, classes without a category are
 * left out, and each item has its class's.
 */
export function listData(index: ServiceIndex, categories?: DataCategories): readonly DataItem[] {
  const reads = firstById(servicesWithSid(index, SID.readByLocal, SID.read));
  const writes = firstById(servicesWithSid(index, SID.write));
  const classes = categories === undefined ? undefined : lowerCaseKeys(categories);
  const items = new Map<string, DataItem>();
  for (const service of index.services) {
    const key = idKey(service);
    if (items.has(key) || (reads.get(key) !== service && writes.get(key) !== service)) continue;
    const category = categoryOf(service, classes);
    if (category === undefined) continue;
    const { id, name, semantic, functionalClasses } = service;
    items.set(key, { id, name, category, semantic, functionalClasses, read: reads.get(key), write: writes.get(key) });
  }
  return [...items.values()];
}

function categoryOf(service: ServiceEntry, classes: ReadonlyMap<string, string> | undefined): string | undefined {
  if (classes === undefined) return service.semantic ?? "";
  return service.functionalClasses.map((name) => classes.get(name.toLowerCase())).find((found) => found !== undefined);
}

/** A configuration resource with the fixed beginnings of its services' requests. */
export interface ConfigurationItem {
  readonly id: string;
  readonly name: string;
  /** Upper-case hex. */
  readonly serviceAbstracts: readonly string[];
  readonly read: ServiceEntry | undefined;
  readonly write: ServiceEntry | undefined;
}

/**
 * Configuration resources: read and write services of the functional class for variant coding, by id.
 * @throws Fault notFound when no layer of the scope has the class
 */
export function listConfigurations(database: Database, index: ServiceIndex): readonly ConfigurationItem[] {
  const { functionalClassVarcoding: wanted } = database.naming;
  const isKnown = layersOf(database, index.scope).some(({ diagLayer }) =>
    each(diagLayer.functClassesLength(), (i) => diagLayer.functClasses(i)?.shortName() ?? null).some(
      (name) => name.toLowerCase() === wanted.toLowerCase(),
    ),
  );
  if (!isKnown)
    throw new Fault("notFound", `Functional class '${wanted}' for varcoding not found in any diagnostic layer`);
  const services = servicesOfClass(servicesWithSid(index, SID.read, SID.write), wanted);
  const items = [...groupBy(services, idKey).values()].map((group) => {
    const first = group[0] as ServiceEntry;
    return {
      id: first.id,
      name: group.find(({ name }) => name !== "")?.name ?? "",
      serviceAbstracts: group.map(({ prefix }) => toHex(prefix)),
      read: group.find(({ sid }) => sid === SID.read),
      write: group.find(({ sid }) => sid === SID.write),
    };
  });
  return items.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** An operation with the services behind it. It runs asynchronously when it can be stopped or asked for results. */
export interface OperationItem {
  readonly id: string;
  readonly name: string;
  readonly asynchronous: boolean;
  readonly start: ServiceEntry | undefined;
  readonly stop: ServiceEntry | undefined;
  readonly requestResults: ServiceEntry | undefined;
}

interface Operations {
  readonly all: readonly OperationItem[];
  /** The first one of each id, in lower case. */
  readonly byId: ReadonlyMap<string, OperationItem>;
}

const operations = new WeakMap<ServiceIndex, Operations>();

/** Routines, grouped by name without affix, in database order. Worked out once per index. */
export function listOperations(index: ServiceIndex): readonly OperationItem[] {
  return operationsOf(index).all;
}

function operationsOf(index: ServiceIndex): Operations {
  let known = operations.get(index);
  if (known === undefined) {
    const all = readOperations(index);
    known = { all, byId: new Map(all.map((operation) => [operation.id.toLowerCase(), operation] as const).reverse()) };
    operations.set(index, known);
  }
  return known;
}

function readOperations(index: ServiceIndex): readonly OperationItem[] {
  const groups = groupBy(servicesWithSid(index, SID.routine), (service) => service.serviceId.toLowerCase());
  return [...groups.values()].map((group) => {
    const withFunction = (subFunction: number) =>
      group.find((service) => ((service.subFunction ?? 0) & SUB_FUNCTION_MASK) === subFunction);
    const start = withFunction(ROUTINE.start);
    const stop = withFunction(ROUTINE.stop);
    const requestResults = withFunction(ROUTINE.requestResults);
    const first = start ?? (group[0] as ServiceEntry);
    const asynchronous = stop !== undefined || requestResults !== undefined;
    return { id: first.serviceId, name: first.name, asynchronous, start, stop, requestResults };
  });
}

/** The operation of this id, in any case. @throws Fault notFound */
export function findOperation(index: ServiceIndex, id: string): OperationItem {
  const found = operationsOf(index).byId.get(id.toLowerCase());
  if (found === undefined) throw new Fault("notFound", `Operation '${id}' not found`);
  return found;
}

/**
 * The operation that a path means: the one of this id, else the one whose start service begins with id and affix.
 * @throws Fault notFound; invalidParameter when several begin so; badRequest for a name with a separator
 */
export function resolveOperation(index: ServiceIndex, naming: NamingConvention, id: string): OperationItem {
  if (id.includes("/")) throw new Fault("badRequest", "Invalid path");
  const named = operationsOf(index).byId.get(id.toLowerCase());
  if (named !== undefined) return named;
  const wanted = withAction(naming, id, "start").toLowerCase();
  const begins = ({ start }: OperationItem) => start?.shortName.toLowerCase().startsWith(wanted) === true;
  const [only, ...others] = listOperations(index).filter(begins);
  if (only === undefined) return findOperation(index, id);
  if (others.length === 0) return only;
  const possibleValues = [only, ...others].map((operation) => operation.id);
  throw new Fault("invalidParameter", `'${id}' is ambiguous: ${possibleValues.join(", ")}`, { possibleValues });
}

function firstById(services: readonly ServiceEntry[]): Map<string, ServiceEntry> {
  return new Map(services.toReversed().map((service) => [idKey(service), service] as const));
}

function lowerCaseKeys(record: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(record).map(([key, value]) => [key.toLowerCase(), value] as const));
}

function idKey(service: ServiceEntry): string {
  return service.id.toLowerCase();
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
