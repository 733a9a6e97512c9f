/** ECU reset, under all the names it goes by: `operations/reset`, `operations/ecureset`, `status/reset`, `status/restart`. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { EcuView } from "#fleet/api.ts";
import type { SovdContext } from "./context.ts";
import { SyncResult } from "./operations.ts";
import { callPermitted } from "./permit.ts";
import { type Answer, type Route, route, type SovdRequest } from "./route.ts";
import { NO_CONTENT, ok, SchemaQuery } from "./schemas.ts";

/** Read leniently: the texts of the checks below are part of the interface. */
const ResetBody = Type.Object({ parameters: Type.Optional(Type.Unknown()), value: Type.Optional(Type.Unknown()) });
const Status = Type.Object({
  status: Type.Union([Type.Literal("ready"), Type.Literal("notReady")]),
  restart: Type.String(),
  reset: Type.String(),
});

type ResetRequest = SovdRequest<unknown, { "include-schema"?: boolean }, unknown, EcuView, undefined>;

async function reset(request: ResetRequest, context: SovdContext, value: string): Promise<Answer> {
  const schema = request.query["include-schema"] === true;
  try {
    return await callPermitted(request, context, "reset", { value, schema });
  } catch (error) {
    // the text names the allowed values here, as clients of this operation know it
    const isChoice = error instanceof Fault && error.kind === "invalidParameter";
    throw isChoice ? new Fault("badRequest", error.message) : error;
  }
}

/** Name of the reset service in an execution's body. */
function executionValue(body: { parameters?: unknown }): string {
  const parameters = body.parameters;
  if (typeof parameters !== "object" || parameters === null || !("value" in parameters)) {
    throw new Fault("badRequest", "Missing 'value' parameter in request body");
  }
  if (typeof parameters.value !== "string") {
    throw new Fault("badRequest", "The 'value' parameter must be a string");
  }
  return parameters.value;
}

/** Name of the reset service in the body of a status resource: `value`, `parameters.value`, or the operator's choice. */
function statusValue(body: { parameters?: unknown; value?: unknown } | undefined, fallback: string): string {
  if (body === undefined) return fallback;
  if (typeof body.value === "string") return body.value;
  return body.parameters === undefined ? fallback : executionValue(body);
}

const shared = { query: SchemaQuery, lock: "ecu", responses: { 200: ok(SyncResult), 204: NO_CONTENT } } as const;

const executionRoute = (name: "reset" | "ecureset"): Route =>
  route({
    ...shared,
    method: "post",
    path: `/components/{ecu}/operations/${name}/executions`,
    summary: "Reset the ECU",
    tag: "operations",
    body: { kind: "json", family: "lenient", schema: ResetBody, unreadable: "Invalid request body" },
    handle: (request, context) => reset(request, context, executionValue(request.body)),
  });

const statusRoute = (name: "reset" | "restart", method: "put" | "post"): Route =>
  route({
    ...shared,
    method,
    path: `/components/{ecu}/status/${name}`,
    summary: "Reset the ECU",
    tag: "status",
    body: { kind: "json", family: "plain", optional: true, schema: ResetBody },
    handle: (request, context) => reset(request, context, statusValue(request.body, context.options.restartService)),
  });

export const resetRoutes: readonly Route[] = [
  executionRoute("reset"),
  executionRoute("ecureset"),
  route({
    method: "get",
    path: "/components/{ecu}/status",
    summary: "Whether the component is ready, and how to restart it",
    tag: "status",
    links: true,
    query: SchemaQuery,
    responses: { 200: ok(Status) },
    handle: ({ ecu, origin, base }) => {
      const here = `${origin}${base}/components/${encodeURIComponent(ecu.id)}/status`;
      const status = ecu.state === "Online" ? "ready" : "notReady";
      return { status: 200, json: { status, restart: `${here}/restart`, reset: `${here}/reset` } };
    },
  }),
  statusRoute("reset", "put"),
  statusRoute("reset", "post"),
  statusRoute("restart", "put"),
  statusRoute("restart", "post"),
];
