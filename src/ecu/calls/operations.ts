/** Routines (ISO 14229-1, 13.2) and resets (9.2). */
import { Fault } from "#core/errors.ts";
import type { EcuCalls, OperationFacts, Reply, ServiceFacts } from "#fleet/messages.ts";
import { listOperations, type OperationItem, resolveOperation } from "#mdd/query/describe.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { findResetService } from "#mdd/query/service-purposes.ts";
import { answerReply, parametersReply } from "../answer.ts";
import type { Ecu } from "../ecu.ts";
import { jsonReply } from "../reply.ts";
import { NO_BODY, runService } from "../run.ts";
import { answerSchema, listSchema, parametersSchema } from "../schemas.ts";
import { type CallContext, serviceFacts } from "./call.ts";

export function operationFacts(operation: OperationItem): OperationFacts {
  return {
    asynchronous: operation.asynchronous,
    hasStop: operation.stop !== undefined,
    hasResults: operation.requestResults !== undefined,
  };
}

/** How an operation stands in lists. */
export function operationItem({ id, name, asynchronous }: OperationItem) {
  return { id, name, proximity_proof_required: false, asynchronous_execution: asynchronous };
}

/** Every operation has one of the three services. */
export function anyFacts({ start, stop, requestResults }: OperationItem): ServiceFacts {
  return serviceFacts((start ?? stop ?? requestResults)!);
}

export function operationList(ecu: Ecu, args: EcuCalls["operationList"]): Reply {
  const operations = listOperations(ecu.index);
  const answer = {
    items: operations.map(operationItem),
    ...(args.schema ? { schema: listSchema("operations") } : {}),
  };
  return jsonReply(answer, { services: operations.map(anyFacts) });
}

export function operationInfo(ecu: Ecu, args: EcuCalls["operationInfo"]): Reply {
  const operation = resolveOperation(ecu.index, ecu.loaded.database.naming, args.service);
  const answer = { items: [operationItem(operation)], ...(args.schema ? { schema: listSchema("operations") } : {}) };
  return jsonReply(answer, { operation: operationFacts(operation), services: [anyFacts(operation)] });
}

/** The service behind one action of an operation. @throws Fault notFound */
export function operationService(ecu: Ecu, name: string, action: "start" | "stop" | "requestResults"): ServiceEntry {
  return actionOf(resolveOperation(ecu.index, ecu.loaded.database.naming, name), name, action);
}

function actionOf(operation: OperationItem, name: string, action: "start" | "stop" | "requestResults"): ServiceEntry {
  const service = operation[action];
  if (service === undefined) throw new Fault("notFound", `Operation '${name}' has no service for ${action}`);
  return service;
}

export async function operationStart(ecu: Ecu, args: EcuCalls["operationStart"], context: CallContext): Promise<Reply> {
  const operation = resolveOperation(ecu.index, ecu.loaded.database.naming, args.service);
  const facts = operationFacts(operation);
  const service = actionOf(operation, args.service, "start");
  const answer = await runService(ecu, service, args.body, context.send);
  if (facts.asynchronous) {
    const meta = { operation: facts, ...schemaMeta(ecu, service, args, context) };
    return { ...parametersReply(answer, args), meta };
  }
  const form = { ...args, member: "parameters", firstErrorOnly: true } as const;
  const reply = answerReply(answer, form, () => answerSchema(ecu, service, "parameters", context.options));
  return { ...reply, meta: { operation: facts } };
}

export async function operationResults(
  ecu: Ecu,
  args: EcuCalls["operationResults"],
  context: CallContext,
): Promise<Reply> {
  return runAction(ecu, args, "requestResults", context);
}

export async function operationStop(ecu: Ecu, args: EcuCalls["operationStop"], context: CallContext): Promise<Reply> {
  return runAction(ecu, args, "stop", context);
}

async function runAction(
  ecu: Ecu,
  args: EcuCalls["operationStop"],
  action: "stop" | "requestResults",
  context: CallContext,
): Promise<Reply> {
  const service = operationService(ecu, args.service, action);
  const answer = await runService(ecu, service, NO_BODY, context.send);
  const form = { ...args, accept: "json", schema: false, member: "parameters", errorsAs: "error" } as const;
  const reply = answerReply(answer, form, () => undefined);
  const meta = schemaMeta(ecu, service, args, context);
  return meta === undefined ? reply : { ...reply, meta };
}

/** An execution's other members are main's; it gets the schema of the parameters alone. */
function schemaMeta(
  ecu: Ecu,
  service: ServiceEntry,
  { schema }: { readonly schema?: boolean },
  { options }: CallContext,
): { readonly parametersSchema: unknown } | undefined {
  return schema === true ? { parametersSchema: parametersSchema(ecu, service, options) } : undefined;
}

export async function reset(ecu: Ecu, args: EcuCalls["reset"], context: CallContext): Promise<Reply> {
  const service = findResetService(ecu.index, args.value);
  const answer = await runService(ecu, service, NO_BODY, context.send);
  const form = { ...args, accept: "json", member: "parameters", firstErrorOnly: true, emptyIs204: true } as const;
  return answerReply(answer, form, () => answerSchema(ecu, service, "parameters", context.options));
}
