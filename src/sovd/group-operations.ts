/** Operations of a functional group: routines of many ECUs at once. */
import { Type } from "#core/schema.ts";
import type { GroupOutcome, ServiceBody } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import type { Execution } from "./executions.ts";
import { dataErrors, groupText } from "./group-answer.ts";
import { mergeObjects, objectText, withMember } from "./json-text.ts";
import { ExecutionBody, Force, OperationItem, operationDeadlineMs, Started, startedAnswer } from "./operations.ts";
import { callGroupPermitted, visibleItems } from "./permit.ts";
import { type Answer, type Route, route, type ServiceCall, type SovdRequest } from "./route.ts";
import {
  DataErrors,
  ExecutionStatus,
  IdItem,
  IdParams,
  IncludeSchema,
  items,
  NO_CONTENT,
  ok,
  SchemaQuery,
  Values,
} from "./schemas.ts";

const OPERATIONS = "/functions/functionalgroups/{group}/operations" as const;
const EXECUTIONS = `${OPERATIONS}/{service}/executions` as const;
const tag = "functional groups";
const NO_BODY: ServiceBody = { type: "none" };

const GroupState = Type.Object({
  status: ExecutionStatus,
  capability: Type.Literal("execute"),
  parameters: Type.Optional(Values),
  errors: Type.Optional(DataErrors),
});
const GroupResult = Type.Object({ parameters: Values, errors: Type.Optional(DataErrors) });

type Params = { readonly service: string };
type StartRequest = SovdRequest<Params, unknown, ServiceCall, undefined, string>;

function groupKey(group: string): string {
  return `functionalgroups/${group}`;
}

/** Members of an execution: results, and errors only when there are some. */
function outcomeText(group: string, outcome: GroupOutcome, context: SovdContext): string {
  return groupText("parameters", group, outcome, context);
}

async function start(request: StartRequest, context: SovdContext): Promise<Answer> {
  const { group, body, signal } = request;
  const { service } = request.params;
  const reservation = context.executions.reserve(groupKey(group), service, request.owner);
  try {
    const deadlineMs = operationDeadlineMs(body.timeoutS, request, context);
    const args = { service, action: "start", body: body.service } as const;
    const reply = await callGroupPermitted(request, context, "groupOperation", args, { deadlineMs, signal });
    const brought = outcomeText(group, reply.outcome, context);
    const facts = reply.meta?.operation;
    if (facts?.asynchronous !== true) return { status: 200, text: brought };
    return startedAnswer(reservation.start(facts, "{}"), brought, request);
  } finally {
    reservation.free();
  }
}

/** An execution as it stands; without a service for results that is said in `errors`. */
function storedText(execution: Execution, noResults: boolean): string {
  const state = mergeObjects(objectText({ status: `"${execution.state}"`, capability: '"execute"' }), execution.result);
  if (!noResults) return state;
  const error = {
    message: `Operation '${execution.operation}' has no service for results`,
    error_code: "vendor-specific",
    vendor_code: "bad-request",
  };
  return withMember(state, "errors", JSON.stringify([{ path: "/", error }]));
}

export const groupOperationRoutes: readonly Route[] = [
  route({
    method: "get",
    path: OPERATIONS,
    summary: "All operations of a group",
    tag,
    query: SchemaQuery,
    responses: { 200: ok(items(OperationItem)) },
    handle: async (request, context) => {
      const schema = request.query["include-schema"] === true;
      const reply = await context.fleet.callGroup(request.group, "groupOperationList", { schema }, request);
      return visibleItems(reply, request, context);
    },
  }),
  route({
    method: "get",
    path: `${OPERATIONS}/{service}/docs`,
    summary: "OpenAPI document of this operation alone",
    tag,
    responses: { 200: ok(Type.Object({ openapi: Type.String(), info: Values, paths: Values })) },
    handle: (request, { fleet }) =>
      fleet.callGroup(request.group, "groupDocs", { service: request.params.service }, request),
  }),
  route({
    method: "get",
    path: EXECUTIONS,
    summary: "Executions of a group's operation",
    tag,
    query: SchemaQuery,
    responses: { 200: ok(items(IdItem)) },
    handle: (request, { executions }) => {
      const list = executions.list(groupKey(request.group), request.params.service);
      return { status: 200, json: { items: list.map(({ id }) => ({ id })) } };
    },
  }),
  route({
    method: "post",
    path: EXECUTIONS,
    summary: "Run an operation on every ECU of a group",
    tag,
    lock: "group",
    links: true,
    negotiated: true,
    query: SchemaQuery,
    body: {
      kind: "service",
      member: "parameters",
      memberRequired: true,
      required: false,
      schema: ExecutionBody,
    },
    responses: { 200: ok(GroupResult, "Done (synchronous)."), 202: ok(Started, "Begun (asynchronous).") },
    outranks: async (request, { executions, fleet }) => {
      const { service } = request.params;
      executions.requireFree(groupKey(request.group), service);
      const start = { call: "groupOperation", args: { service, action: "start", body: NO_BODY } } as const;
      await fleet.callGroup(request.group, "groupResolveServices", start, request);
    },
    handle: start,
  }),
  route({
    method: "get",
    path: `${EXECUTIONS}/{id}`,
    summary: "State and results of a group's execution",
    tag,
    lock: "group",
    exclusive: true,
    params: IdParams,
    query: SchemaQuery,
    responses: { 200: ok(GroupState) },
    handle: (request, context) => {
      const { executions } = context;
      const { group } = request;
      const { service, id } = request.params;
      const execution = executions.get(groupKey(group), service, id);
      if (!execution.facts.hasResults) return { status: 200, text: storedText(execution, true) };
      if (execution.state === "completed") return { status: 200, text: storedText(execution, false) };
      return executions.exclusively(execution, async () => {
        const args = { service, action: "results", body: NO_BODY } as const;
        const { outcome } = await callGroupPermitted(request, context, "groupOperation", args);
        execution.result = outcomeText(group, outcome, context);
        if (dataErrors("parameters", group, outcome, context).length === 0) executions.apply(execution, "results");
        return { status: 200, text: storedText(execution, false) };
      });
    },
  }),
  route({
    method: "delete",
    path: `${EXECUTIONS}/{id}`,
    summary: "Stop a group's execution and forget it",
    tag,
    lock: "group",
    params: IdParams,
    query: Type.Object({ ...IncludeSchema, ...Force }),
    responses: { 200: ok(GroupResult), 204: NO_CONTENT },
    handle: (request, context) => {
      const { executions } = context;
      const { group } = request;
      const { service, id } = request.params;
      const execution = executions.get(groupKey(group), service, id);
      if (!execution.facts.hasStop || executions.isSuperseded(execution)) {
        executions.apply(execution, "stopped");
        return { status: 204 };
      }
      return executions.exclusively(execution, async () => {
        const args = { service, action: "stop", body: NO_BODY } as const;
        const { outcome } = await callGroupPermitted(request, context, "groupOperation", args);
        const clean = dataErrors("parameters", group, outcome, context).length === 0;
        if (clean || request.query["x-sovd2uds-force"] === true)
          executions.apply(execution, clean ? "stopped" : "forced");
        if (clean) return { status: 204 };
        return { status: 200, text: outcomeText(group, outcome, context) };
      });
    },
  }),
];
