/** Calls to functional groups. */
import { Fault } from "#core/errors.ts";
import type { GroupCallName, GroupCalls, GroupOutcome, ModeWrite, Reply, ServiceBody } from "#fleet/messages.ts";
import { MODE_NAMES } from "#fleet/messages.ts";
import { findOperation, listData, listOperations, type OperationItem } from "#mdd/query/describe.ts";
import { findService } from "#mdd/query/lookup.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { findModeService, findSessionService } from "#mdd/query/service-purposes.ts";
import { findState, startStates } from "#mdd/query/state-charts.ts";
import { answerText } from "../answer.ts";
import type { Ecu } from "../ecu.ts";
import type { GroupDescription } from "../functional-description.ts";
import { type FunctionalTarget, membersOf, runFunctional } from "../functional-run.ts";
import type { KeepAlives } from "../keep-alive.ts";
import { emptyReply, jsonReply } from "../reply.ts";
import { NO_BODY } from "../run.ts";
import { listSchema } from "../schemas.ts";
import { serviceFacts } from "./call.ts";
import { dataFacts } from "./data.ts";
import { operationDocument } from "./docs.ts";
import { restoreDefault } from "./modes.ts";
import { anyFacts, operationFacts, operationItem } from "./operations.ts";

export interface GroupContext {
  readonly group: GroupDescription;
  readonly target: FunctionalTarget;
  readonly keepAlives: KeepAlives;
}

type GroupCall<K extends GroupCallName> = (context: GroupContext, args: GroupCalls[K]) => Reply | Promise<Reply>;

function outcomeReply(group: GroupOutcome, meta: Reply["meta"] = {}): Reply {
  return emptyReply(200, { ...meta, group });
}

function members({ group, target }: GroupContext): readonly Ecu[] {
  return target.gateways.flatMap((gateway) => membersOf(gateway, group.name));
}

function run(
  { group, target }: GroupContext,
  service: ServiceEntry,
  body: ServiceBody,
  resource: string,
): Promise<GroupOutcome> {
  return runFunctional(group, service, body, target, (ecu, answer) => {
    const id = ecu.name.toLowerCase();
    if (answer.response.length === 0) return { text: "{}", errors: [] };
    const { text, errors } = answerText(answer, `${resource}/${id}`);
    return {
      text,
      errors: errors.map(({ path, error }) => ({
        path: path.slice(resource.length + 1),
        fault: { kind: "dataError", message: error.message, details: error.parameters },
      })),
    };
  });
}

function groupDataList({ group }: GroupContext, { schema }: GroupCalls["groupDataList"]): Reply {
  const data = listData(group.index);
  const items = data.map(({ category, id, name }) => ({ category, id, name }));
  return jsonReply({ items, ...(schema ? { schema: listSchema("data") } : {}) }, { services: data.map(dataFacts) });
}

function groupOperationList({ group }: GroupContext, { schema }: GroupCalls["groupOperationList"]): Reply {
  const operations = listOperations(group.index);
  const answer = {
    items: operations.map(operationItem),
    ...(schema ? { schema: listSchema("operations") } : {}),
  };
  return jsonReply(answer, { services: operations.map(anyFacts) });
}

/** Looked up as the calls do it; nothing is sent. */
function groupResolveServices({ group }: GroupContext, wanted: GroupCalls["groupResolveServices"]): Reply {
  return emptyReply(200, { services: [serviceFacts(serviceOf(group, wanted))] });
}

function serviceOf(group: GroupDescription, { call, args }: GroupCalls["groupResolveServices"]): ServiceEntry {
  switch (call) {
    case "groupData":
      return dataService(group, args);
    case "groupOperation":
      return operationService(group, args);
    case "groupModeWrite":
      return modeService(group, args);
  }
}

function groupDocs({ group }: GroupContext, { service }: GroupCalls["groupDocs"]): Reply {
  const base = `/functions/functionalgroups/${group.name}`;
  return operationDocument(group.loaded.database, base, findOperation(group.index, service), true);
}

async function groupData(context: GroupContext, args: GroupCalls["groupData"]): Promise<Reply> {
  return outcomeReply(await run(context, dataService(context.group, args), args.body, "data"));
}

function dataService({ index, loaded }: GroupDescription, args: GroupCalls["groupData"]): ServiceEntry {
  const type = args.action === "read" ? "Data" : "Configurations";
  return findService(index, loaded.database.naming, { type, name: args.service, action: args.action });
}

/** @throws Fault notFound that names the group, as clients of groups know it */
function groupOperationOf({ index, name }: GroupDescription, service: string): OperationItem {
  const wanted = service.toLowerCase();
  const found = listOperations(index).find(({ id }) => id.toLowerCase() === wanted);
  if (found === undefined)
    throw new Fault("notFound", `Operation '${service}' not found in functional group '${name}'`);
  return found;
}

function operationService(group: GroupDescription, args: GroupCalls["groupOperation"]): ServiceEntry {
  const operation = groupOperationOf(group, args.service);
  const service = operation[args.action === "results" ? "requestResults" : args.action];
  if (service !== undefined) return service;
  throw new Fault("notFound", `Operation '${args.service}' has no service for ${args.action}`);
}

async function groupOperation(context: GroupContext, args: GroupCalls["groupOperation"]): Promise<Reply> {
  const operation = groupOperationOf(context.group, args.service);
  const service = operationService(context.group, args);
  const outcome = await run(context, service, args.body, "parameters");
  return outcomeReply(outcome, { operation: operationFacts(operation) });
}

function groupModeRead(context: GroupContext, { mode }: GroupCalls["groupModeRead"]): Reply {
  const results: Record<string, string> = {};
  const errors: GroupOutcome["errors"][number][] = [];
  for (const ecu of members(context)) {
    const id = ecu.name.toLowerCase();
    ecu.seedStates();
    const value = ecu.states[mode];
    if (value !== undefined) results[id] = JSON.stringify({ name: MODE_NAMES[mode], value });
    else {
      const message = `Not found: state of mode ${mode} is not known`;
      errors.push({ path: `/${id}`, fault: { kind: "notFound", message } });
    }
  }
  return outcomeReply({ results, errors });
}

async function groupModeWrite(context: GroupContext, args: ModeWrite): Promise<Reply> {
  const { group } = context;
  const service = modeService(group, args);
  const body: ServiceBody = args.parameters === undefined ? NO_BODY : { type: "json", parameters: args.parameters };
  const state = args.mode === "session" ? findState(group.charts.session, args.value) : undefined;
  const outcome = await runFunctional(group, service, body, context.target, (ecu) => {
    ecu.seedStates();
    ecu.states = { ...ecu.states, [args.mode]: state ?? args.value.toLowerCase() };
    if (args.mode === "session") expireSession(ecu, args.expirationS);
    return { text: JSON.stringify({ id: args.mode, value: args.value }), errors: [] };
  });
  return outcomeReply(outcome);
}

function modeService({ index, charts }: GroupDescription, { mode, value }: ModeWrite): ServiceEntry {
  if (mode === "session") return findSessionService(index, charts, startStates(charts), value);
  if (mode === "commctrl" || mode === "dtcsetting") return findModeService(index, mode, value);
  throw new Fault("notFound", `Not found: mode ${mode} of a functional group`);
}

function expireSession(ecu: Ecu, expirationS: number | undefined): void {
  ecu.expiries.clear("session");
  if (expirationS === undefined || expirationS === 0) return;
  ecu.expiries.set("session", expirationS * 1_000, () => void restoreDefault(ecu, "session"));
}

/** The group's keep-alive is functional; the members' own physical ones stop, or both would be sent. */
function groupLockAcquired({ group, target, keepAlives }: GroupContext): Reply {
  for (const gateway of target.gateways) {
    for (const ecu of gateway.ecus) if (ecu.assignment.groups.includes(group.name)) keepAlives.stop(ecu);
  }
  keepAlives.startGroup(group.name, target.gateways);
  return emptyReply(204);
}

async function groupLockReleased(context: GroupContext): Promise<Reply> {
  context.keepAlives.stopGroup(context.group.name);
  await Promise.all(
    members(context).map(async (ecu) => {
      await restoreDefault(ecu, "session");
      await restoreDefault(ecu, "security");
    }),
  );
  return emptyReply(204);
}

export const GROUP_CALLS: { readonly [K in GroupCallName]: GroupCall<K> } = {
  groupDataList,
  groupOperationList,
  groupDocs,
  groupResolveServices,
  groupData,
  groupOperation,
  groupModeRead,
  groupModeWrite,
  groupLockAcquired,
  groupLockReleased,
};
