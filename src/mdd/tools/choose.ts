/** Which variant and service a caller of a tool means. */
import { Fault } from "#core/errors.ts";
import type { Database } from "../query/database.ts";
import { baseVariant, findVariant, functionalGroupsOf, type Scope, variantsOf } from "../query/layers.ts";
import { findGenericService } from "../query/lookup.ts";
import type { ServiceEntry } from "../query/service-entry.ts";
import { type ServiceIndex, servicesWithSid } from "../query/service-index.ts";

/** Added to the service id in a positive response (ISO 14229-1 §8.2). */
const POSITIVE = 0x40;
const NEGATIVE_RESPONSE = 0x7f;

/** The variant or functional group of this name in any case; without a name the base variant, or the only group. @throws Fault notFound */
export function chooseScope(database: Database, name: string | undefined): Scope {
  const groups = functionalGroupsOf(database);
  if (name === undefined) {
    const scope = baseVariant(database) ?? variantsOf(database)[0] ?? groups[0];
    if (scope === undefined) throw new Fault("notFound", "neither a variant nor a functional group is there");
    return scope;
  }
  const group = groups.find((one) => one.name.toLowerCase() === name.toLowerCase());
  const scope = findVariant(database, name) ?? group;
  if (scope !== undefined) return scope;
  const known = [...variantsOf(database), ...groups].map((one) => one.name);
  throw new Fault("notFound", `no variant '${name}'; there are: ${known.join(", ")}`, { possibleValues: known });
}

/** The service of this short name in any case, or the only one of this resource id. @throws Fault notFound */
export function chooseService({ services, byName }: ServiceIndex, name: string): ServiceEntry {
  const wanted = name.toLowerCase();
  const exact = byName.get(wanted);
  if (exact !== undefined) return exact;
  const named = services.filter(({ id, serviceId }) => [id, serviceId].some((one) => one.toLowerCase() === wanted));
  if (named.length === 1) return named[0]!;
  const near = named.length > 1 ? named : services.filter(({ shortName }) => shortName.toLowerCase().includes(wanted));
  const names = near.slice(0, 20).map(({ shortName }) => shortName);
  const hint = names.length === 0 ? "" : `; meant one of ${names.join(", ")}?`;
  throw new Fault("notFound", `no service '${name}'${hint}`, { possibleValues: names });
}

/** True when a message is an answer: requests have service ids without bit 6 (ISO 14229-1 table 2). */
export function isResponse(message: Uint8Array): boolean {
  return ((message[0] ?? 0) & POSITIVE) !== 0;
}

/** The service that a message belongs to: by the request when it is known, else by what the answer repeats of it. @throws Fault notFound */
export function serviceOfMessage(index: ServiceIndex, message: Uint8Array, request?: Uint8Array): ServiceEntry {
  if (request !== undefined) return findGenericService(index, request);
  if (!isResponse(message)) return findGenericService(index, message);
  if (message[0] !== NEGATIVE_RESPONSE) {
    const asked = Uint8Array.from(message);
    asked[0] = message[0]! - POSITIVE;
    return findGenericService(index, asked);
  }
  const candidates = servicesWithSid(index, message[1] ?? 0);
  if (candidates.length === 1) return candidates[0]!;
  throw new Fault("notFound", "a negative response does not tell its service: give the request or the service");
}
