/** The fault memory (ISO 14229-1, 11.2 and 11.3). */
import { DTC_STATUS_MEMBERS } from "#core/dtc-status.ts";
import { Fault } from "#core/errors.ts";
import type { EcuCalls, Reply } from "#fleet/messages.ts";
import { type DtcEntry, dtcsOf, formatDtc, parseDtc } from "#mdd/query/dtc.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { type FaultServices, faultServices } from "#mdd/query/service-purposes.ts";
import { answerObject, answerProblems } from "../answer.ts";
import type { Ecu } from "../ecu.ts";
import { emptyReply, jsonReply } from "../reply.ts";
import { type Answer, runService, sendRaw, throwRefusal } from "../run.ts";
import { faultSchema } from "../schemas.ts";
import type { CallContext } from "./call.ts";
import { dtcRecords } from "./dtc-records.ts";

const CLEAR = 0x14;
const READ = 0x19;
/** All groups of DTCs (ISO 14229-1, D.1). */
const ALL_GROUPS = 0xffffff;
const ALL_STATUS_BITS = 0xff;
/** Every record number (ISO 14229-1, 11.3.1). */
const ALL_RECORDS = 0xff;
/** reportUserDefMemoryDTCSnapshotRecordByDTCNumber, …ExtDataRecordByDTCNumber, and the database's services for them. */
const USER_MEMORY = {
  snapshot: { subFunction: 0x18, service: "userMemorySnapshot" },
  extendedData: { subFunction: 0x19, service: "userMemoryExtendedData" },
} as const;

const USER_SCOPE = "UserMem";

interface Reported {
  readonly code: number;
  readonly status: number;
  readonly scope: string;
}

function statusJson(status: number) {
  const bits = Object.fromEntries(DTC_STATUS_MEMBERS.map((name, bit) => [name, ((status >> bit) & 1) === 1]));
  return { ...bits, mask: status.toString(16).toUpperCase().padStart(2, "0") };
}

/** A fault of the API; a code that the database does not know has no more than itself. */
function faultJson({ code, status, scope }: Reported, known: DtcEntry | undefined) {
  return {
    code: formatDtc(code),
    scope,
    ...(known?.displayCode === undefined ? {} : { display_code: known.displayCode }),
    fault_name: known?.faultName ?? `DTC_${formatDtc(code)}`,
    ...(known?.severity === undefined ? {} : { severity: known.severity }),
    status: statusJson(status),
  };
}

/** Which memories a scope asks for. @throws Fault invalidParameter */
function memoriesOf(scope: string | undefined, { options }: CallContext): { default: boolean; user: boolean } {
  if (scope === undefined) return { default: true, user: true };
  const { default: standard, userMemory } = options.faultScopes;
  const wanted = scope.toLowerCase();
  if (wanted === standard.toLowerCase()) return { default: true, user: false };
  if (wanted === USER_SCOPE.toLowerCase() || wanted === userMemory.toLowerCase()) return { default: false, user: true };
  throw new Fault("invalidParameter", "The parameter value is not valid", {
    possibleValues: [standard, USER_SCOPE, userMemory],
  });
}

export async function faultList(ecu: Ecu, args: EcuCalls["faultList"], context: CallContext): Promise<Reply> {
  const services = faultServices(ecu.index);
  const mask = args.statusMask === undefined || args.statusMask === 0 ? ALL_STATUS_BITS : args.statusMask;
  const memories = memoriesOf(args.scope, context);
  const reported: Reported[] = [];
  if (memories.default) reported.push(...(await readDefaultMemory(ecu, services, mask, context)));
  if (memories.user && services.userMemoryByStatusMask !== undefined) {
    reported.push(...(await readUserMemory(ecu, services.userMemoryByStatusMask, mask, args, context)));
  }
  const known = dtcsOf(ecu.loaded.database);
  const seen = new Set(reported.map(({ code }) => code));
  const silent =
    mask === ALL_STATUS_BITS && memories.default ? [...known.keys()].filter((code) => !seen.has(code)) : [];
  const scope = context.options.faultScopes.default;
  const items = [...reported, ...silent.map((code) => ({ code, status: 0, scope }))]
    .filter(({ code }) => args.severity === undefined || (known.get(code)?.severity ?? 0) <= args.severity)
    .map((fault) => faultJson(fault, known.get(fault.code)));
  return jsonReply({ items, ...(args.schema ? { schema: faultSchema("list") } : {}) });
}

async function readDefaultMemory(
  ecu: Ecu,
  { byStatusMask }: FaultServices,
  mask: number,
  context: CallContext,
): Promise<Reported[]> {
  if (byStatusMask === undefined) throw new Fault("notFound", "Not found: service to report DTCs by status mask");
  const answer = await runService(ecu, byStatusMask, { type: "raw", bytes: Uint8Array.of(mask) }, context.send);
  // 59 02 availabilityMask {DTC(3) status}…
  return dtcRecords(answer.response, 3).map((dtc) => ({ ...dtc, scope: context.options.faultScopes.default }));
}

async function readUserMemory(
  ecu: Ecu,
  service: ServiceEntry,
  mask: number,
  { memorySelection = 0 }: Pick<EcuCalls["faultList"], "memorySelection">,
  context: CallContext,
): Promise<Reported[]> {
  const bytes = Uint8Array.of(mask, memorySelection);
  const answer = await runService(ecu, service, { type: "raw", bytes }, context.send);
  // 59 17 memorySelection availabilityMask {DTC(3) status}…
  return dtcRecords(answer.response, 4).map((dtc) => ({ ...dtc, scope: USER_SCOPE }));
}

export async function faultRead(ecu: Ecu, args: EcuCalls["faultRead"], context: CallContext): Promise<Reply> {
  const code = requireDtc(args.code);
  const services = faultServices(ecu.index);
  const known = dtcsOf(ecu.loaded.database).get(code);
  const listing = isUserMemory(args) ? services.userMemoryByStatusMask : undefined;
  const reports =
    listing === undefined
      ? await readDefaultMemory(ecu, services, ALL_STATUS_BITS, context)
      : await readUserMemory(ecu, listing, ALL_STATUS_BITS, args, context);
  const reported = reports.find((dtc) => dtc.code === code);
  if (known === undefined && reported === undefined) {
    throw new Fault("badRequest", `Invalid request: DTC ${formatDtc(code)} is not known`);
  }
  const fault = reported ?? { code, status: 0, scope: context.options.faultScopes.default };
  // Without a list of the user memory only the records themselves can tell.
  const mayBeStored = reported !== undefined || (isUserMemory(args) && listing === undefined);
  const environment = mayBeStored ? await environmentOf(ecu, code, args, context) : {};
  return jsonReply({
    item: faultJson(fault, known),
    ...(Object.keys(environment).length === 0 ? {} : { environment_data: environment }),
    ...(args.schema ? { schema: faultSchema("one") } : {}),
  });
}

async function environmentOf(ecu: Ecu, code: number, args: EcuCalls["faultRead"], context: CallContext) {
  const extended = args.extendedData ? await readRecords(ecu, "extendedData", code, args, context) : undefined;
  const snapshots = args.snapshotData ? await readRecords(ecu, "snapshot", code, args, context) : undefined;
  return {
    ...(extended === undefined ? {} : recordsMember("extended_data_records", extended, extendedData(extended))),
    ...(snapshots === undefined ? {} : recordsMember("snapshots", snapshots, snapshotData(snapshots))),
  };
}

function isUserMemory({ memorySelection = 0 }: EcuCalls["faultRead"]): boolean {
  return memorySelection !== 0;
}

/** Nothing to tell when the database has no such service or the ECU nothing stored. */
async function readRecords(
  ecu: Ecu,
  kind: keyof typeof USER_MEMORY,
  code: number,
  args: EcuCalls["faultRead"],
  context: CallContext,
): Promise<Answer | undefined> {
  const services = faultServices(ecu.index);
  const own = services[kind];
  const bytes = [(code >> 16) & 0xff, (code >> 8) & 0xff, code & 0xff, ALL_RECORDS];
  const run = (service: ServiceEntry, more: readonly number[] = []) =>
    runService(ecu, service, { type: "raw", bytes: Uint8Array.from([...bytes, ...more]) }, context.send);
  if (!isUserMemory(args)) return own && run(own);
  const { memorySelection = 0 } = args;
  const { subFunction, service } = USER_MEMORY[kind];
  const described = services[service];
  if (described !== undefined) return run(described, [memorySelection]);
  if (own === undefined) return undefined;
  // The report of the default memory stands for it: the same but for the byte that names the memory.
  const plan = ecu.plan(own.table);
  const request = Uint8Array.of(READ, subFunction, ...bytes, memorySelection);
  const answer = throwRefusal(plan, await sendRaw(ecu, request, context.send, own));
  const response = Buffer.concat([Uint8Array.of(answer[0] ?? 0, own.subFunction ?? 0), answer.subarray(3)]);
  return { plan, request: Uint8Array.of(READ, own.subFunction ?? 0, ...bytes), response };
}

/** A member for what an ECU stored beside a fault; none when it stored nothing. */
function recordsMember(name: string, answer: Answer, data: Record<string, unknown> | undefined) {
  const errors = answerProblems(answer, "environment_data");
  const some = data !== undefined && Object.keys(data).length > 0;
  if (!some && errors.length === 0) return {};
  return { [name]: { ...(some ? { data } : {}), ...(errors.length === 0 ? {} : { errors }) } };
}

const RECORD_NUMBER = /recordnumber$/i;
const SELECTOR = "Selector";

/** The records of a report: the one list among its parameters. */
function recordsOf(answer: Answer): readonly Record<string, unknown>[] | undefined {
  return Object.values(answerObject(answer) ?? {}).find(Array.isArray) as Record<string, unknown>[] | undefined;
}

/** Extended data by the name of its structure; the multiplexer's selector only repeats the record number. */
function extendedData(answer: Answer): Record<string, unknown> | undefined {
  const records = recordsOf(answer);
  if (records === undefined) return undefined;
  const data: Record<string, unknown> = {};
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) {
      if (RECORD_NUMBER.test(name)) continue;
      if (typeof value !== "object" || value === null) data[name] = value;
      else for (const [inner, content] of Object.entries(value)) if (inner !== SELECTOR) data[inner] = content;
    }
  }
  return data;
}

/** Snapshots by record number: how many identifiers, and the list of them. */
function snapshotData(answer: Answer): Record<string, unknown> | undefined {
  const records = recordsOf(answer);
  if (records === undefined) return undefined;
  const byNumber: Record<string, unknown> = {};
  for (const record of records) {
    const number = Object.entries(record).find(([name]) => RECORD_NUMBER.test(name))?.[1];
    const entries = Object.values(record).find(Array.isArray) ?? [];
    byNumber[String(number ?? Object.keys(byNumber).length)] = {
      DTCSnapshotRecordNumberOfIdentifiers: record.DTCSnapshotRecordNumberOfIdentifiers ?? entries.length,
      DTCSnapshotRecord: entries,
    };
  }
  return byNumber;
}

function requireDtc(text: string): number {
  const code = parseDtc(text);
  if (code === undefined) throw new Fault("badRequest", `Invalid request: '${text}' is not a DTC`);
  return code;
}

/** Services that a list reads by: one for each memory. */
export function faultListServices(ecu: Ecu, args: EcuCalls["faultList"], context: CallContext): ServiceEntry[] {
  const { byStatusMask, userMemoryByStatusMask } = faultServices(ecu.index);
  const memories = memoriesOf(args.scope, context);
  return [memories.default ? byStatusMask : undefined, memories.user ? userMemoryByStatusMask : undefined].filter(
    (service) => service !== undefined,
  );
}

/** Services that one fault and what is stored beside it are read by. */
export function faultReadServices(ecu: Ecu, args: EcuCalls["faultRead"]): ServiceEntry[] {
  const services = faultServices(ecu.index);
  const { byStatusMask, userMemoryByStatusMask } = services;
  const recordsOf = (kind: keyof typeof USER_MEMORY) =>
    (isUserMemory(args) ? services[USER_MEMORY[kind].service] : undefined) ?? services[kind];
  return [
    (isUserMemory(args) ? userMemoryByStatusMask : undefined) ?? byStatusMask,
    args.extendedData ? recordsOf("extendedData") : undefined,
    args.snapshotData ? recordsOf("snapshot") : undefined,
  ].filter((service) => service !== undefined);
}

export async function faultClear(ecu: Ecu, args: EcuCalls["faultClear"], context: CallContext): Promise<Reply> {
  const request = clearRequest(args, context);
  // the request that clears the user memory is the operator's own
  const service = request[0] === CLEAR ? faultServices(ecu.index).clear : undefined;
  throwRefusal(undefined, await sendRaw(ecu, request, context.send, service));
  return emptyReply(204);
}

/** Complete bytes of what clears. @throws Fault badRequest, invalidParameter, misconfigured */
export function clearRequest(args: EcuCalls["faultClear"], context: CallContext): Uint8Array {
  if (args.code !== undefined) {
    if (args.scope !== undefined)
      throw new Fault("badRequest", "Invalid request: scope cannot be used with a single DTC");
    return groupRequest(requireDtc(args.code));
  }
  const memories = args.scope === undefined ? { default: true } : memoriesOf(args.scope, context);
  if (memories.default) return groupRequest(ALL_GROUPS);
  const { clearUserMemory } = context.options;
  if (clearUserMemory === undefined) {
    throw new Fault("misconfigured", "faults.user_defined_dtc_clear_service is not configured");
  }
  return clearUserMemory;
}

function groupRequest(group: number): Uint8Array {
  return Uint8Array.of(CLEAR, (group >> 16) & 0xff, (group >> 8) & 0xff, group & 0xff);
}
