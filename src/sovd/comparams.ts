/** Communication parameters of a component, overridden while an execution exists. */
import { Type } from "#core/schema.ts";
import type { EcuView } from "#fleet/api.ts";
import type { ComParamInput } from "#fleet/messages.ts";
import type { ComParamExecution } from "./comparam-registry.ts";
import type { SovdContext } from "./context.ts";
import { objectText, textOf } from "./json-text.ts";
import { OperationItem, Started } from "./operations.ts";
import { type Answer, type Route, route, type SovdRequest } from "./route.ts";
import { ExecutionStatus, IdItem, IdParams, items, NO_CONTENT, ok, SchemaQuery, Values } from "./schemas.ts";

const Parameter = Type.Unsafe<ComParamInput>({
  anyOf: [{ type: "string" }, { type: "object" }],
  description: "Text, `{value, unit}`, or an object of these.",
});
const Body = Type.Object({
  capability: Type.Optional(
    Type.Union(["execute", "stop", "freeze", "reset", "status"].map((word) => Type.Literal(word))),
  ),
  timeout: Type.Optional(Type.Integer({ minimum: 0 })),
  parameters: Type.Optional(Type.Record(Type.String(), Parameter)),
  proximity_response: Type.Optional(Type.String()),
});
const State = Type.Object({ capability: Type.String(), parameters: Values, status: ExecutionStatus });

const ITEM = {
  id: "comparam",
  name: "Communication parameters",
  proximity_proof_required: false,
  asynchronous_execution: true,
};
const COMPARAM = "/components/{ecu}/operations/comparam" as const;
const EXECUTIONS = `${COMPARAM}/executions` as const;
const shared = { tag: "operations", open: true, lock: "comParam" } as const;

type Overrides = Readonly<Record<string, ComParamInput>>;
type EcuRequest = SovdRequest<unknown, unknown, unknown, EcuView, undefined>;

async function override(request: EcuRequest, { fleet }: SovdContext, overrides: Overrides | null): Promise<void> {
  await fleet.call(request.ecu.name, "comParamsOverride", { overrides }, request);
}

function accepted(request: EcuRequest, execution: ComParamExecution, path: string): Answer {
  return {
    status: 202,
    headers: { Location: `${request.origin}${path}` },
    json: { id: execution.id, status: "running" },
  };
}

export const comParamRoutes: readonly Route[] = [
  route({
    method: "get",
    path: COMPARAM,
    summary: "Communication parameters in force",
    tag: "operations",
    open: true,
    query: SchemaQuery,
    responses: { 200: ok(Type.Object({ item: OperationItem, parameters: Values })) },
    handle: async (request, { fleet }) => {
      const reply = await fleet.call(request.ecu.name, "comParams", {}, request);
      return { status: 200, text: objectText({ item: JSON.stringify(ITEM), parameters: textOf(reply.body) }) };
    },
  }),
  route({
    ...shared,
    method: "get",
    path: EXECUTIONS,
    lock: "none",
    summary: "The execution that overrides communication parameters",
    query: SchemaQuery,
    responses: { 200: ok(items(IdItem)) },
    handle: (request, { comParams }) => {
      const execution = comParams.of(request.ecu.id);
      return { status: 200, json: { items: execution === undefined ? [] : [{ id: execution.id }] } };
    },
  }),
  route({
    ...shared,
    method: "post",
    path: EXECUTIONS,
    summary: "Override communication parameters",
    links: true,
    query: SchemaQuery,
    body: { kind: "json", family: "plain", optional: true, schema: Body },
    responses: { 202: ok(Started) },
    handle: async (request, context) => {
      const execution = context.comParams.create(request.ecu.id);
      try {
        await override(request, context, request.body?.parameters ?? {});
      } catch (error) {
        context.comParams.remove(request.ecu.id);
        throw error;
      }
      return accepted(request, execution, `${request.path}/${execution.id}`);
    },
  }),
  route({
    ...shared,
    method: "get",
    path: `${EXECUTIONS}/{id}`,
    lock: "none",
    summary: "Communication parameters with the overrides of this execution",
    params: IdParams,
    query: SchemaQuery,
    responses: { 200: ok(State) },
    handle: async (request, { fleet, comParams }) => {
      comParams.get(request.ecu.id, request.params.id);
      const reply = await fleet.call(request.ecu.name, "comParams", {}, request);
      const text = objectText({ capability: '"execute"', parameters: textOf(reply.body), status: '"running"' });
      return { status: 200, text };
    },
  }),
  route({
    ...shared,
    method: "put",
    path: `${EXECUTIONS}/{id}`,
    summary: "Replace the overrides of this execution",
    links: true,
    params: IdParams,
    query: SchemaQuery,
    body: { kind: "json", family: "wrapped", schema: Body },
    responses: { 202: ok(Started) },
    handle: async (request, context) => {
      const execution = context.comParams.get(request.ecu.id, request.params.id);
      await override(request, context, request.body.parameters ?? {});
      return accepted(request, execution, request.path);
    },
  }),
  route({
    ...shared,
    method: "delete",
    path: `${EXECUTIONS}/{id}`,
    summary: "Take the overrides away",
    params: IdParams,
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      context.comParams.get(request.ecu.id, request.params.id);
      await override(request, context, null);
      context.comParams.remove(request.ecu.id);
      return { status: 204 };
    },
  }),
];
