/** Which services a call would run, for the security plugin: looked up as the call itself does it, nothing is sent. */
import { hexByte, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { EcuCalls, Reply, ServiceCallName, ServiceFacts } from "#fleet/messages.ts";
import { findGenericService } from "#mdd/query/lookup.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { findFlashService, findResetService, flashService } from "#mdd/query/service-purposes.ts";
import type { Ecu } from "../ecu.ts";
import { emptyReply } from "../reply.ts";
import { type CallContext, serviceFacts } from "./call.ts";
import { readService, writeService } from "./data.ts";
import { clearRequest, faultListServices, faultReadServices } from "./faults.ts";
import { modeService } from "./modes.ts";
import { operationService } from "./operations.ts";

const TRANSFER_DATA = 0x36;

type Resolver<K extends ServiceCallName> = (
  ecu: Ecu,
  args: EcuCalls[K],
  context: CallContext,
) => readonly ServiceFacts[];

const one = (service: ServiceEntry): readonly ServiceFacts[] => [serviceFacts(service)];

const RESOLVERS: { readonly [K in ServiceCallName]: Resolver<K> } = {
  dataRead: (ecu, { service }) => one(readService(ecu, service)),
  dataWrite: (ecu, { service }) => one(writeService(ecu, service)),
  operationStart: (ecu, { service }) => one(operationService(ecu, service, "start")),
  operationStop: (ecu, { service }) => one(operationService(ecu, service, "stop")),
  operationResults: (ecu, { service }) => one(operationService(ecu, service, "requestResults")),
  genericService: (ecu, { request }) => [factsOfBytes(ecu, request)],
  modeWrite: (ecu, args) => one(modeService(ecu, args)),
  reset: (ecu, { value }) => one(findResetService(ecu.index, value)),
  faultList: (ecu, args, context) => faultListServices(ecu, args, context).map(serviceFacts),
  faultRead: (ecu, args) => faultReadServices(ecu, args).map(serviceFacts),
  faultClear: (ecu, args, context) => [factsOfBytes(ecu, clearRequest(args, context))],
  requestDownload: (ecu) => one(findFlashService(ecu.loaded.database, ecu.index, "requestDownload")),
  transferStart: (ecu) => {
    const service = flashService(ecu.loaded.database, ecu.index, "transferData");
    return [service === undefined ? bareFacts(Uint8Array.of(TRANSFER_DATA)) : serviceFacts(service)];
  },
  transferExit: (ecu) => one(findFlashService(ecu.loaded.database, ecu.index, "transferExit")),
};

/** `meta.services`. @throws Fault as the call would, for a service that is not there */
export function resolveServices(ecu: Ecu, { call, args }: EcuCalls["resolveServices"], context: CallContext): Reply {
  const resolve = RESOLVERS[call] as Resolver<ServiceCallName>;
  return emptyReply(200, { services: resolve(ecu, args, context) });
}

/** A request that is complete by now; its service need not be in the database. */
function factsOfBytes(ecu: Ecu, bytes: Uint8Array): ServiceFacts {
  const request = toHex(bytes);
  try {
    return { ...serviceFacts(findGenericService(ecu.index, bytes)), request };
  } catch (error) {
    if (error instanceof Fault && error.kind === "notFound") return { ...bareFacts(bytes), request };
    throw error;
  }
}

/** Where only the bytes are known the SID is the name. */
function bareFacts(bytes: Uint8Array): ServiceFacts {
  const sid = bytes[0] ?? 0;
  return { name: `0x${hexByte(sid)}`, sid, prefix: toHex(bytes), functionalClasses: [] };
}
