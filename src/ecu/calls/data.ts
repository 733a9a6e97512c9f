/** Data, configurations and raw UDS requests. */
import type { EcuCalls, Reply, ServiceBody, ServiceFacts } from "#fleet/messages.ts";
import { type DataItem, listConfigurations, listData } from "#mdd/query/describe.ts";
import { findGenericService, findService } from "#mdd/query/lookup.ts";
import { serviceSdgs } from "#mdd/query/sdg.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { answerReply } from "../answer.ts";
import type { Ecu } from "../ecu.ts";
import { jsonReply, rawReply } from "../reply.ts";
import { answerOf, NO_BODY, requireState, sendRaw, track } from "../run.ts";
import { answerSchema, listSchema } from "../schemas.ts";
import { type CallContext, serviceFacts } from "./call.ts";

const NEGATIVE = 0x7f;

export function dataList(ecu: Ecu, args: EcuCalls["dataList"]): Reply {
  const items = listData(ecu.index);
  const answer = {
    items: items.map(({ category, id, name }) => ({ category, id, name })),
    ...(args.schema ? { schema: listSchema("data") } : {}),
  };
  return jsonReply(answer, { services: items.map(dataFacts) });
}

export function configurationList(ecu: Ecu, args: EcuCalls["configurationList"]): Reply {
  const items = listConfigurations(ecu.loaded.database, ecu.index);
  const answer = {
    // Both spellings: the CDA's own, and that of the architecture it was specified by.
    items: items.map(({ id, name, serviceAbstracts }) => ({
      id,
      name,
      configurations_type: "parameter",
      type: "parameter",
      "x-sovd2uds-ServiceAbstract": serviceAbstracts,
      "x-sovd2uds-serviceAbstract": serviceAbstracts,
    })),
    ...(args.schema ? { schema: listSchema("configurations") } : {}),
  };
  return jsonReply(answer, { services: items.map(dataFacts) });
}

/** Every item has one of the two services. */
export function dataFacts({ read, write }: Pick<DataItem, "read" | "write">): ServiceFacts {
  return serviceFacts((read ?? write)!);
}

export function dataRead(ecu: Ecu, args: EcuCalls["dataRead"], context: CallContext): Promise<Reply> {
  return runData(ecu, readService(ecu, args.service), NO_BODY, args, context);
}

export function dataWrite(ecu: Ecu, args: EcuCalls["dataWrite"], context: CallContext): Promise<Reply> {
  return runData(ecu, writeService(ecu, args.service), args.body, args, context);
}

function runData(
  ecu: Ecu,
  service: ServiceEntry,
  body: ServiceBody,
  { service: id, accept, byteFormat, schema }: EcuCalls["dataRead"],
  context: CallContext,
): Promise<Reply> {
  return answerOf(ecu, service, body, context.send, (answer) =>
    // members named one by one: a spread of what came through the port makes a new hidden class each time
    answerReply(answer, { id, member: "data", accept, byteFormat, schema }, () =>
      answerSchema(ecu, service, "data", context.options),
    ),
  );
}

export function readService(ecu: Ecu, name: string): ServiceEntry {
  return findService(ecu.index, ecu.loaded.database.naming, { type: "Data", name, action: "read" });
}

export function writeService(ecu: Ecu, name: string): ServiceEntry {
  return findService(ecu.index, ecu.loaded.database.naming, { type: "Configurations", name, action: "write" });
}

export function sdgsReply(ecu: Ecu, key: string, service: ServiceEntry, schema: boolean | undefined): Reply {
  const sdgs = serviceSdgs(ecu.loaded.database, service);
  return jsonReply({
    items: sdgs.length === 0 ? {} : { [key]: { sdgs } },
    ...(schema ? { schema: listSchema("sdgs") } : {}),
  });
}

/**
 * A request of a flash sequence: a boot loader's services need not be in the database, and it may say "pending" for minutes, longer
 * than the database lets a diagnostic service: only the caller's deadline counts.
 */
export async function flashService(
  ecu: Ecu,
  { request }: EcuCalls["flashService"],
  { send }: CallContext,
): Promise<Reply> {
  return rawReply(await sendRaw(ecu, request, { ...send, params: { ...ecu.params.uds, ...PATIENT } }));
}

const PATIENT = {
  rc78Handling: "ContinueUnlimited",
  rc21Handling: "ContinueUnlimited",
  rc94Handling: "ContinueUnlimited",
} as const;

/** The complete answer, refusals included; the service it belongs to must be known and allowed in the present state. */
export async function genericService(
  ecu: Ecu,
  { request }: EcuCalls["genericService"],
  context: CallContext,
): Promise<Reply> {
  const service = findGenericService(ecu.index, request);
  requireState(ecu, service);
  const response = await sendRaw(ecu, request, context.send, service);
  if (response[0] !== NEGATIVE) track(ecu, service);
  return rawReply(response);
}
