import { toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { withAction } from "./naming.ts";
import type { NamingConvention, ServiceAction } from "./naming-convention.ts";
import { type ServiceEntry, type ServiceType, SIDS_BY_TYPE } from "./service-entry.ts";
import { prefixKey, type ServiceIndex, servicesWithSid } from "./service-index.ts";

/** How a caller names a service: by resource id and action, or by its full short name. */
export interface ServiceQuery {
  readonly type: ServiceType;
  /** Resource id, in any case. */
  readonly name: string;
  /** Default: read for data, write for configurations, start for the rest. */
  readonly action?: ServiceAction;
  /** Short name (or its beginning) to look for instead of name and action. */
  readonly lookupName?: string;
  /** Sub-function the request must have, compared without the suppress bit; the action is then not looked at. */
  readonly subFunction?: number;
}

const DEFAULT_ACTIONS: Readonly<Record<ServiceType, ServiceAction>> = {
  Data: "read",
  Configurations: "write",
  Faults: "start",
  Modes: "start",
  Operations: "start",
};

/** Bit 7 of a sub-function asks for no positive response; it is no part of its number (ISO 14229-1). */
const SUB_FUNCTION_MASK = 0x7f;

/**
 * Finds a service by name, in any case: the whole short name first, then a service whose id is the wanted one (a listed id must be
 * reachable even if its service has another affix than the action's), then one that begins with the name.
 * @throws Fault notFound when there is none; invalidParameter when several different ones begin with the name; badRequest for a name
 * with a separator
 */
export function findService(index: ServiceIndex, naming: NamingConvention, query: ServiceQuery): ServiceEntry {
  const { type, name, subFunction } = query;
  if (name.includes("/")) throw new Fault("badRequest", "Invalid path");
  const wanted = wantedName(naming, query).toLowerCase();
  const fits = (service: ServiceEntry) =>
    subFunction === undefined ||
    (service.subFunction !== undefined &&
      (service.subFunction & SUB_FUNCTION_MASK) === (subFunction & SUB_FUNCTION_MASK));
  const exact = index.byName.get(wanted);
  if (exact?.sid !== undefined && SIDS_BY_TYPE[type].includes(exact.sid) && fits(exact)) return exact;
  const candidates = servicesWithSid(index, ...SIDS_BY_TYPE[type]).filter(fits);
  const beginning = candidates.filter((service) => service.shortName.toLowerCase().startsWith(wanted));
  const byId = (service: ServiceEntry) => isCalled(service, query.lookupName ?? name);
  const listed = type === "Data" || type === "Configurations" ? candidates.find(byId) : undefined;
  const found = beginning.find(byId) ?? listed ?? theOnly(beginning, wanted);
  if (found === undefined) throw notFound(index, wanted);
  return found;
}

function wantedName(naming: NamingConvention, query: ServiceQuery): string {
  if (query.lookupName !== undefined) return query.lookupName;
  if (query.subFunction !== undefined) return query.name;
  return withAction(naming, query.name, query.action ?? DEFAULT_ACTIONS[query.type]);
}

function isCalled(service: ServiceEntry, name: string): boolean {
  const wanted = name.toLowerCase();
  return service.id.toLowerCase() === wanted || service.serviceId.toLowerCase() === wanted;
}

/** The one service of a prefix match. Services of one resource count as one: which of them comes first, the database says. */
function theOnly(services: readonly ServiceEntry[], wanted: string): ServiceEntry | undefined {
  const first = services[0];
  const other = services.find((service) => service.serviceId.toLowerCase() !== first?.serviceId.toLowerCase());
  if (other === undefined) return first;
  const names = services.map((service) => service.shortName);
  throw new Fault("invalidParameter", `'${wanted}' is ambiguous: ${names.join(", ")}`, { possibleValues: names });
}

function notFound(index: ServiceIndex, name: string): Fault {
  const place =
    index.scope.kind === "group"
      ? `functional group '${index.scope.name.toLowerCase()}'`
      : "variant, base variant, or ECU shared data";
  return new Fault("notFound", `Diagnostic service '${name}' not found in ${place}`);
}

/**
 * Services whose fixed bytes agree with `bytes` as far as both go, in index order of the SID: a browser's question.
 * @throws Fault notFound
 */
export function findByPrefix(index: ServiceIndex, bytes: Uint8Array): readonly ServiceEntry[] {
  if (bytes.length === 0) throw new Fault("notFound", "cannot lookup service by empty prefix");
  const found = servicesWithSid(index, bytes[0]!).filter(({ prefix }) => agree(prefix, bytes));
  if (found.length === 0) throw new Fault("notFound", `No service found matching request prefix: [${spaced(bytes)}]`);
  return found;
}

/**
 * The service of a complete raw request: the one with the longest fixed prefix that the request begins with; for a request
 * shorter than every prefix the first that agrees.
 * @throws Fault notFound
 */
export function findGenericService(index: ServiceIndex, request: Uint8Array): ServiceEntry {
  for (let length = Math.min(request.length, longestPrefix(index, request)); length > 0; length--) {
    const service = index.byPrefix.get(prefixKey(request, length))?.[0];
    if (service !== undefined) return service;
  }
  const sid = request[0];
  if (sid === undefined) throw new Fault("notFound", "cannot lookup service by empty prefix");
  const sameSid = requireSid(index, sid);
  const shorter = sameSid.find(({ prefix }) => prefix.length > request.length && agree(prefix, request));
  if (shorter !== undefined) return shorter;
  throw new Fault("notFound", `No matching generic service found for request prefix: [${spaced(request)}]`);
}

/** Services with this SID. @throws Fault notFound when the scope has none */
export function requireSid(index: ServiceIndex, sid: number): readonly ServiceEntry[] {
  const services = servicesWithSid(index, sid);
  if (services.length > 0) return services;
  throw new Fault(
    "notFound",
    `No services with SID 0x${toHex(Uint8Array.of(sid))} found in variant, base variant, or ECU shared data`,
  );
}

function longestPrefix(index: ServiceIndex, request: Uint8Array): number {
  const sid = request[0];
  if (sid === undefined) return 0;
  return servicesWithSid(index, sid).reduce((longest, { prefix }) => Math.max(longest, prefix.length), 0);
}

function agree(a: Uint8Array, b: Uint8Array): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function spaced(bytes: Uint8Array): string {
  return toHex(bytes, ", ");
}
