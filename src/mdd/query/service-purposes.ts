import { Fault } from "#core/errors.ts";
import { DiagService } from "#mdd/generated/dataformat.ts";
import { type Database, each, reading } from "./database.ts";
import { requireSid } from "./lookup.ts";
import type { ServiceEntry } from "./service-entry.ts";
import { type ServiceIndex, servicesOfClass, servicesWithSid } from "./service-index.ts";
import { type EcuStates, findTransitionService, type StateCharts } from "./state-charts.ts";

/** Service identifiers (ISO 14229-1) that a mode or resource of its own stands for. */
const SID = {
  session: 0x10,
  reset: 0x11,
  clearFaults: 0x14,
  readFaults: 0x19,
  securityAccess: 0x27,
  commctrl: 0x28,
  authentication: 0x29,
  requestDownload: 0x34,
  transferData: 0x36,
  transferExit: 0x37,
  dtcsetting: 0x85,
} as const;

/** Modes whose values are the names of services. */
export type NamedMode = "commctrl" | "dtcsetting";

/** The service that enters a session. @throws Fault notFound */
export function findSessionService(
  index: ServiceIndex,
  charts: StateCharts,
  states: EcuStates,
  target: string,
): ServiceEntry {
  return findTransitionService(index.services, charts.session, states.session, target);
}

/** The service that unlocks a security level. @throws Fault notFound */
export function findSendKeyService(
  index: ServiceIndex,
  charts: StateCharts,
  states: EcuStates,
  level: string,
): ServiceEntry {
  return findTransitionService(index.services, charts.security, states.security, level);
}

/**
 * The SecurityAccess service that asks for the seed of a level: an odd sub-function (ISO 14229-1), a request of two
 * parameters or more, and a short name that ends in the level, contains it, or else a sub-function equal to the level's number.
 * @throws Fault notFound
 */
export function findRequestSeedService(database: Database, index: ServiceIndex, level: string): ServiceEntry {
  const seeds = requireSid(index, SID.securityAccess).filter(
    (service) => (service.subFunction ?? 0) % 2 === 1 && requestParams(database, service).length >= 2,
  );
  const wanted = plain(level);
  const number = levelNumber(level);
  const found =
    seeds.find(({ shortName }) => plain(shortName).endsWith(wanted)) ??
    seeds.find(({ shortName }) => plain(shortName).includes(wanted)) ??
    seeds.find(({ subFunction }) => number !== undefined && (subFunction ?? 0) % 0x80 === number);
  if (found === undefined)
    throw new Fault("notFound", `No service found to request the seed of security level '${level}'`);
  return found;
}

/** Name of the request parameter that takes a security key: the first whose semantic is that of data. Undefined: it has none. */
export function keyParameter(database: Database, service: ServiceEntry): string | undefined {
  const { data } = database.naming.semantics;
  return (
    requestParams(database, service)
      .find((param) => param.semantic() === data)
      ?.shortName() ?? undefined
  );
}

/**
 * The service of a communication control or DTC setting value, in any case: the whole value first, then its beginning.
 * @throws Fault invalidParameter with every possible value
 */
export function findModeService(index: ServiceIndex, mode: NamedMode, value: string): ServiceEntry {
  const services = servicesWithSid(index, SID[mode]);
  const wanted = value.toLowerCase();
  const beginning = services.filter((service) => service.serviceId.toLowerCase().startsWith(wanted));
  const exact = beginning.find((service) => service.serviceId.toLowerCase() === wanted);
  const found = exact ?? (wanted === "" ? undefined : nearest(beginning));
  if (found !== undefined) return found;
  const possibleValues = services.map((service) => service.serviceId.toLowerCase());
  throw new Fault(
    "invalidParameter",
    `Invalid value '${value}' for ${mode}. Possible values: ${possibleValues.join(", ")}`,
    {
      possibleValues,
    },
  );
}

/** A value is clear when one service stands for it, or when the others only go on where the shortest name ends. */
function nearest(services: readonly ServiceEntry[]): ServiceEntry | undefined {
  const [first, ...others] = [...services].sort((a, b) => a.serviceId.length - b.serviceId.length);
  if (first === undefined) return undefined;
  const own = first.serviceId.toLowerCase();
  return others.every((other) => other.serviceId.toLowerCase().startsWith(own)) ? first : undefined;
}

/** Values a mode can be set to, lower case. */
export function modeValues(index: ServiceIndex, mode: NamedMode): readonly string[] {
  return servicesWithSid(index, SID[mode]).map((service) => service.serviceId.toLowerCase());
}

/** ECUReset services. */
export function resetServices(index: ServiceIndex): readonly ServiceEntry[] {
  return servicesWithSid(index, SID.reset);
}

/** The reset service of this short name, in any case. @throws Fault invalidParameter with the allowed values */
export function findResetService(index: ServiceIndex, value: string): ServiceEntry {
  const services = resetServices(index);
  const found = services.find((service) => service.shortName.toLowerCase() === value.toLowerCase());
  if (found !== undefined) return found;
  const possibleValues = services.map((service) => service.shortName);
  throw new Fault(
    "invalidParameter",
    `Invalid value for reset service: ${value}. Allowed values: [${possibleValues.join(", ")}]`,
    { possibleValues },
  );
}

/** Authentication services (0x29). */
export function authenticationServices(index: ServiceIndex): readonly ServiceEntry[] {
  return servicesWithSid(index, SID.authentication);
}

export type FlashStep = "requestDownload" | "transferData" | "transferExit";

/** The service of one step of a download, of the functional class for flashing. */
export function flashService(database: Database, index: ServiceIndex, step: FlashStep): ServiceEntry | undefined {
  return servicesOfClass(servicesWithSid(index, SID[step]), database.naming.functionalClassFlash)[0];
}

/** The same. @throws Fault notFound */
export function findFlashService(database: Database, index: ServiceIndex, step: FlashStep): ServiceEntry {
  const found = flashService(database, index, step);
  if (found !== undefined) return found;
  requireSid(index, SID[step]);
  throw new Fault("notFound", `No ${step} service of functional class '${database.naming.functionalClassFlash}'`);
}

/** Services of the fault memory; undefined where the database has none. Sub-functions of ReadDTCInformation (ISO 14229-1). */
export interface FaultServices {
  readonly byStatusMask: ServiceEntry | undefined;
  readonly snapshot: ServiceEntry | undefined;
  readonly extendedData: ServiceEntry | undefined;
  readonly userMemoryByStatusMask: ServiceEntry | undefined;
  readonly userMemorySnapshot: ServiceEntry | undefined;
  readonly userMemoryExtendedData: ServiceEntry | undefined;
  readonly clear: ServiceEntry | undefined;
}

/** The fault memory services of a scope. */
export function faultServices(index: ServiceIndex): FaultServices {
  const reports = servicesWithSid(index, SID.readFaults);
  const report = (subFunction: number) => reports.find((service) => (service.subFunction ?? -1) % 0x80 === subFunction);
  return {
    byStatusMask: report(0x02),
    snapshot: report(0x04),
    extendedData: report(0x06),
    userMemoryByStatusMask: report(0x17),
    userMemorySnapshot: report(0x18),
    userMemoryExtendedData: report(0x19),
    clear: servicesWithSid(index, SID.clearFaults)[0],
  };
}

/** Parameters of a service's request, in database order. */
function requestParams(database: Database, service: ServiceEntry) {
  return reading(service.shortName, () => {
    const request = new DiagService().__init(service.table, database.buffer).request();
    return request === null ? [] : each(request.paramsLength(), (i) => request.params(i));
  });
}

function plain(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

/** Number after the last underscore of a level: hexadecimal, else decimal. */
function levelNumber(level: string): number | undefined {
  const digits = level.slice(level.lastIndexOf("_") + 1);
  return /^[0-9a-f]{1,2}$/i.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
