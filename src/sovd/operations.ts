/** Operations of a component: routines, run at once or as executions that are followed. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { EcuView } from "#fleet/api.ts";
import type { OperationFacts, Reply } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import { ByteFormatQuery, docsRoute, formOf } from "./data.ts";
import type { Execution, Reservation } from "./executions.ts";
import { mergeObjects, objectText, textOf } from "./json-text.ts";
import { callPermitted, visibleItems } from "./permit.ts";
import { type Answer, type Route, route, type ServiceCall, type SovdRequest } from "./route.ts";
import {
  DataErrors,
  ExecutionStatus,
  IdItem,
  IdParams,
  IncludeSchema,
  IncludeSdgs,
  items,
  NO_CONTENT,
  ok,
  SchemaQuery,
  Values,
  wantsSdgs,
} from "./schemas.ts";

export const OperationItem = Type.Object({
  id: Type.String(),
  name: Type.String(),
  proximity_proof_required: Type.Boolean(),
  asynchronous_execution: Type.Boolean(),
});
export const ExecutionBody = Type.Object({
  timeout: Type.Optional(Type.Integer({ minimum: 0, description: "Seconds." })),
  parameters: Type.Optional(Values),
  proximity_response: Type.Optional(Type.String()),
});
export const SyncResult = Type.Object({ parameters: Type.Optional(Values), error: Type.Optional(Type.Unknown()) });
export const Started = Type.Object({
  id: Type.String(),
  status: ExecutionStatus,
  parameters: Type.Optional(Values),
  errors: Type.Optional(DataErrors),
});
export const ExecutionState = Type.Object({
  status: ExecutionStatus,
  capability: Type.Literal("execute"),
  parameters: Type.Optional(Values),
  error: Type.Optional(DataErrors),
});
const Suppress = { "x-sovd2uds-suppressService": Type.Optional(Type.Boolean()) };
export const Force = { "x-sovd2uds-force": Type.Optional(Type.Boolean()) };

const RunQuery = Type.Object({ ...IncludeSchema, ...Suppress, ...ByteFormatQuery });
const StopQuery = Type.Object({ ...IncludeSchema, ...Suppress, ...Force, ...ByteFormatQuery });
const ONE = "/components/{ecu}/operations/{service}" as const;
const EXECUTIONS = `${ONE}/executions` as const;
const tag = "operations";

type RunParams = { readonly service: string };
type RunFlags = { "include-schema"?: boolean; "x-sovd2uds-suppressService"?: boolean };
type StartRequest = SovdRequest<RunParams, RunFlags, ServiceCall, EcuView, undefined>;

/** Where the registry keeps executions of a component. */
function componentKey(ecu: EcuView): string {
  return `components/${ecu.id}`;
}

/** A caller's own timeout shortens the wait; 0 and absent leave it. */
export function operationDeadlineMs(
  timeoutS: number | undefined,
  request: { readonly deadlineMs: number },
  { clock }: SovdContext,
): number {
  if (timeoutS === undefined || timeoutS === 0) return request.deadlineMs;
  return Math.min(request.deadlineMs, clock.now() + timeoutS * 1000);
}

/** 202 for an execution that has begun. `brought` is JSON text of the start's parameters. */
export function startedAnswer(
  execution: Execution,
  brought: string,
  request: { readonly origin: string; readonly path: string },
): Answer {
  return {
    status: 202,
    headers: { Location: `${request.origin}${request.path}/${execution.id}` },
    text: mergeObjects(objectText({ id: `"${execution.id}"`, status: `"${execution.state}"` }), brought),
  };
}

async function start(request: StartRequest, context: SovdContext): Promise<Answer> {
  const { service } = request.params;
  const reservation = context.executions.reserve(componentKey(request.ecu), service, request.owner);
  try {
    return request.query["x-sovd2uds-suppressService"] === true
      ? await startSilently(request, context, reservation)
      : await send(request, context, reservation);
  } finally {
    reservation.free();
  }
}

async function send(request: StartRequest, context: SovdContext, reservation: Reservation): Promise<Answer> {
  const { service } = request.params;
  const deadlineMs = operationDeadlineMs(request.body.timeoutS, request, context);
  const args = { ...formOf(request), service, body: request.body.service };
  const options = { deadlineMs, signal: request.signal };
  const reply = await callPermitted(request, context, "operationStart", args, options);
  const facts = reply.meta?.operation;
  if (facts?.asynchronous !== true) return reply;
  const brought = startResult(reply);
  return { ...startedAnswer(reservation.start(facts, brought), brought, request), ...schemaOf(reply) };
}

/** What the shard says of the parameters' schema, for an answer made here. */
function schemaOf({ meta }: Reply): Pick<Answer, "parametersSchema"> {
  return meta?.parametersSchema === undefined ? {} : { parametersSchema: meta.parametersSchema };
}

/** The start's parameters as members of an execution. */
function startResult(reply: Reply): string {
  const parameters = textOf(reply.body);
  return parameters === "{}" ? "{}" : objectText({ parameters });
}

/** `x-sovd2uds-suppressService`: the execution is kept, the ECU hears nothing. */
async function startSilently(request: StartRequest, context: SovdContext, reservation: Reservation): Promise<Answer> {
  const { service } = request.params;
  const { meta } = await context.fleet.call(request.ecu.name, "operationInfo", { service }, request);
  const facts = meta?.operation;
  if (facts?.asynchronous !== true) {
    throw new Fault("badRequest", `Operation '${service}' is not asynchronous, its service cannot be suppressed`);
  }
  return startedAnswer(reservation.start(facts, "{}"), "{}", request);
}

/** The stored state of an execution as the API shows it. */
function executionText(execution: Execution): string {
  const status = execution.state === "completed" ? "completed" : "running";
  return mergeObjects(objectText({ status: `"${status}"`, capability: '"execute"' }), execution.result);
}

function requireAction(facts: OperationFacts, action: "results" | "stop", operation: string): void {
  const has = action === "results" ? facts.hasResults : facts.hasStop;
  if (!has) throw new Fault("notFound", `Operation '${operation}' has no service for ${action}`);
}

export const operationRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/components/{ecu}/operations",
    summary: "All operations of a component",
    tag,
    query: SchemaQuery,
    responses: { 200: ok(items(OperationItem)) },
    handle: async (request, context) => {
      const schema = request.query["include-schema"] === true;
      const reply = await context.fleet.call(request.ecu.name, "operationList", { schema }, request);
      return visibleItems(reply, request, context);
    },
  }),
  route({
    method: "get",
    path: ONE,
    summary: "An operation, or its special data",
    tag,
    query: Type.Object({ ...IncludeSchema, ...IncludeSdgs }),
    responses: { 200: ok(items(OperationItem)) },
    handle: async (request, context) => {
      const { service } = request.params;
      const { fleet } = context;
      const schema = request.query["include-schema"] === true;
      if (wantsSdgs(request.query)) {
        return fleet.call(request.ecu.name, "serviceSdgs", { service, action: "start", schema }, request);
      }
      return visibleItems(
        await fleet.call(request.ecu.name, "operationInfo", { service, schema }, request),
        request,
        context,
      );
    },
  }),
  docsRoute("operations"),
  route({
    method: "get",
    path: EXECUTIONS,
    summary: "Executions of an operation",
    tag,
    query: SchemaQuery,
    responses: { 200: ok(items(IdItem)) },
    handle: (request, { executions }) => {
      const list = executions.list(componentKey(request.ecu), request.params.service);
      return { status: 200, json: { items: list.map(({ id }) => ({ id })) } };
    },
  }),
  route({
    method: "post",
    path: EXECUTIONS,
    summary: "Run an operation",
    tag,
    lock: "ecu",
    negotiated: true,
    links: true,
    query: RunQuery,
    body: { kind: "service", member: "parameters", memberRequired: false, required: true, schema: ExecutionBody },
    responses: { 200: ok(SyncResult, "Done (synchronous)."), 202: ok(Started, "Begun (asynchronous).") },
    outranks: async (request, { executions, fleet }) => {
      const { service } = request.params;
      executions.requireFree(componentKey(request.ecu), service);
      await fleet.call(request.ecu.name, "operationInfo", { service }, request);
    },
    handle: start,
  }),
  route({
    method: "get",
    path: `${EXECUTIONS}/{id}`,
    summary: "State and results of an execution",
    tag,
    exclusive: true,
    negotiated: true,
    params: IdParams,
    query: RunQuery,
    responses: { 200: ok(ExecutionState) },
    handle: (request, context) => {
      const { executions } = context;
      const { service, id } = request.params;
      const execution = executions.get(componentKey(request.ecu), service, id);
      const silent = request.query["x-sovd2uds-suppressService"] === true;
      // An ECU goes on telling its progress; only a newer run makes the old results the last ones.
      if (silent || executions.isSuperseded(execution)) return { status: 200, text: executionText(execution) };
      requireAction(execution.facts, "results", service);
      return executions.exclusively(execution, async () => {
        const args = { ...formOf(request), accept: "json", service } as const;
        const reply = await callPermitted(request, context, "operationResults", args);
        execution.result = textOf(reply.body);
        executions.apply(execution, "results");
        return { status: 200, text: executionText(execution), ...schemaOf(reply) };
      });
    },
  }),
  route({
    method: "delete",
    path: `${EXECUTIONS}/{id}`,
    summary: "Stop an execution and forget it",
    tag,
    lock: "ecu",
    params: IdParams,
    query: StopQuery,
    responses: {
      200: ok(Type.Object({ status: ExecutionStatus, capability: Type.String(), parameters: Type.Optional(Values) })),
      204: NO_CONTENT,
    },
    handle: (request, context) => {
      const { executions } = context;
      const { service, id } = request.params;
      const execution = executions.get(componentKey(request.ecu), service, id);
      const silent = request.query["x-sovd2uds-suppressService"] === true;
      if (silent || !execution.facts.hasStop || executions.isSuperseded(execution)) {
        executions.apply(execution, "stopped");
        return { status: 204 };
      }
      return executions.exclusively(execution, async () => {
        const args = { ...formOf(request), accept: "json", service } as const;
        try {
          const reply = await callPermitted(request, context, "operationStop", args);
          executions.apply(execution, "stopped");
          const result = textOf(reply.body);
          if (result === "{}") return { status: 204 };
          const text = mergeObjects('{"status":"stopped","capability":"execute"}', result);
          return { status: 200, text, ...schemaOf(reply) };
        } catch (error) {
          if (request.query["x-sovd2uds-force"] !== true) throw error;
          executions.apply(execution, "forced");
          return { status: 204 };
        }
      });
    },
  }),
];
