/** What only shows where services come together: in a variant or functional group with all that it inherits. */
import { hexByte, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { compileService } from "../codec/compile.ts";
import type { CodecOptions } from "../codec/options.ts";
import { type ParamList, type ServicePlan, StepKind } from "../codec/plan.ts";
import { DiagService } from "../generated/dataformat.ts";
import type { Database } from "../query/database.ts";
import { functionalGroupsOf, variantsOf } from "../query/layers.ts";
import type { ServiceEntry } from "../query/service-entry.ts";
import { serviceIndex } from "../query/service-index.ts";
import type { FindingList } from "./findings.ts";

/** Services whose second and third byte identify what they read or write (ISO 14229-1). */
const DID_SERVICES = [0x22, 0x2e];

/** Checks the services of each variant and functional group; what two of them share is said once. */
export function checkScopes(database: Database, positions: CodecOptions["positions"], found: FindingList): void {
  const compiled = new Set<number>();
  for (const scope of [...variantsOf(database), ...functionalGroupsOf(database)]) {
    const { services } = serviceIndex(database, scope);
    checkNames(services, found);
    checkDids(services, found);
    for (const service of services) {
      if (compiled.has(service.table)) continue;
      compiled.add(service.table);
      checkPlan(database, service, positions, found);
    }
  }
}

const placeOf = ({ shortName }: ServiceEntry): string => `services[${shortName}]`;

/** Requests are by name in any case, resources by the name without its affix. */
function checkNames(services: readonly ServiceEntry[], found: FindingList): void {
  const names = new Map<string, ServiceEntry>();
  const ids = new Map<string, ServiceEntry>();
  for (const service of services) {
    const twin = take(names, service.shortName.toLowerCase(), service);
    if (twin !== undefined) {
      found.add("error", "duplicate-name", placeOf(service), `'${twin.shortName}' has the same name in the same scope`);
      continue;
    }
    if (service.type !== "Data" && service.type !== "Configurations") continue;
    const rival = take(ids, `${service.sid} ${service.id.toLowerCase()}`, service);
    if (rival !== undefined)
      found.add(
        "warning",
        "ambiguous-name",
        placeOf(service),
        `resource '${service.id}' means '${rival.shortName}' too`,
      );
  }
}

/** Keeps the first of a key; gives it to those that come later. */
function take<K, V>(map: Map<K, V>, key: K, value: V): V | undefined {
  const known = map.get(key);
  if (known === undefined) map.set(key, value);
  return known;
}

function checkDids(services: readonly ServiceEntry[], found: FindingList): void {
  const dids = new Map<string, ServiceEntry>();
  for (const service of services) {
    const { sid, prefix } = service;
    if (sid === undefined || !DID_SERVICES.includes(sid) || prefix.length < 3) continue;
    const twin = take(dids, toHex(prefix), service);
    if (twin !== undefined && twin.shortName !== service.shortName)
      found.add(
        "error",
        "duplicate-did",
        placeOf(service),
        `${hexByte(sid)} ${toHex(prefix.subarray(1))} is '${twin.shortName}' too`,
      );
  }
}

function checkPlan(
  database: Database,
  service: ServiceEntry,
  positions: CodecOptions["positions"],
  found: FindingList,
): void {
  const place = placeOf(service);
  try {
    const table = new DiagService().__init(service.table, database.buffer);
    const plan = compileService(table, { positions });
    for (const [path, problem] of planProblems(plan))
      found.add("error", "does-not-compile", `${place}${path}`, problem);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    found.add("error", "does-not-compile", place, error.message);
  }
}

/** What keeps parts of a service from being used, with the message and parameter. */
export function planProblems(plan: ServicePlan): (readonly [path: string, problem: string])[] {
  const messages: (readonly [string, ParamList])[] = [
    ...(plan.request === undefined ? [] : [[".request", plan.request.list] as const]),
    ...plan.responses.map(({ list }, i) => [`.responses[${i}]`, list] as const),
    ...plan.pool.structures.map(({ list }) => ["", list] as const),
    ...plan.pool.envDescs.flatMap(({ datas }) => datas.map(({ list }) => ["", list] as const)),
  ];
  const broken = messages.flatMap(([path, list]) =>
    list.steps
      .filter(({ kind }) => kind === StepKind.BROKEN)
      .map(({ key, problem }) => [`${path}.${key.name}`, problem] as const),
  );
  const said = new Set(broken.map(([, problem]) => problem));
  return [
    ...broken,
    ...plan.pool.problems.filter((problem) => !said.has(problem)).map((problem) => ["", problem] as const),
  ];
}
