/** Executions of the database update: apply, rollback, cleanup. One execution, seen below three paths. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import { UPDATE_MODES, type UpdateMode } from "#update/api.ts";
import { databaseUpdateOf, requireQuiet } from "./database-update.ts";
import { type Route, route } from "./route.ts";
import { BULK_DATA } from "./runtime-files.ts";
import { ExecutionStatus, IdItem, items, ok, SchemaQuery } from "./schemas.ts";

const OPERATIONS = "/apps/sovd2uds/operations" as const;
const tag = "database update";

/** The CDA's name of the operation, and the one of the architecture it came from. */
export const UPDATE_OPERATIONS = [
  { id: "runtimefilesupdate", name: "runtimefilesupdate" },
  { id: "diagnostic-database-update", name: "diagnostic-database-update" },
] as const;

const PARENTS = [
  ...UPDATE_OPERATIONS.map(({ id }) => `${OPERATIONS}/${id}` as const),
  `${BULK_DATA}/runtimefiles-nextupdate` as const,
];

const anyCase = (word: string) => [...word].map((letter) => `[${letter}${letter.toUpperCase()}]`).join("");
const Mode = Type.String({ pattern: `^(${UPDATE_MODES.map(anyCase).join("|")})$` });
const Parameters = Type.Object({ mode: Mode });
const Body = Type.Union([Type.Object({ parameters: Parameters }), Parameters]);
const Execution = Type.Object({
  status: ExecutionStatus,
  parameters: Type.Object({ mode: Type.String(), reason: Type.Optional(Type.String()) }),
});
const Operation = Type.Object({
  id: Type.String(),
  name: Type.String(),
  href: Type.String(),
  proximity_proof_required: Type.Boolean(),
  asynchronous_execution: Type.Boolean(),
});

/** The schema has seen to it that it is one of the modes. */
function modeOf(body: { readonly mode: string } | { readonly parameters: { readonly mode: string } }): UpdateMode {
  return ("parameters" in body ? body.parameters : body).mode.toLowerCase() as UpdateMode;
}

function executionRoutes(parent: (typeof PARENTS)[number]): Route[] {
  const collection = `${parent}/executions` as const;
  return [
    route({
      method: "get",
      path: collection,
      summary: "The last execution of the database update",
      tag,
      open: true,
      query: SchemaQuery,
      responses: { 200: ok(items(IdItem)) },
      handle: (_request, context) => {
        const execution = databaseUpdateOf(context).execution();
        return { status: 200, json: { items: execution === undefined ? [] : [{ id: execution.id }] } };
      },
    }),
    route({
      method: "post",
      path: collection,
      summary: "Apply the pending databases, roll back to the backup, or clean up",
      tag,
      lock: "vehicle",
      links: true,
      body: { kind: "json", family: "plain", schema: Body },
      responses: { 202: ok(IdItem, "Begun.") },
      handle: async (request, context) => {
        const id = await databaseUpdateOf(context).start(modeOf(request.body), {
          claims: request.claims ?? { sub: request.owner },
          requireQuiet: () => requireQuiet(context),
        });
        const headers = { Location: `${request.origin}${request.base}${collection}/${id}` };
        return { status: 202, headers, json: { id } };
      },
    }),
    route({
      method: "get",
      path: `${collection}/{id}` as `${typeof collection}/{id}`,
      summary: "How the execution stands",
      tag,
      open: true,
      query: SchemaQuery,
      responses: { 200: ok(Execution) },
      handle: ({ params }, context) => {
        const execution = databaseUpdateOf(context).execution();
        if (execution?.id !== params.id) throw new Fault("notFound", `Execution with id ${params.id} not found`);
        const { status, mode, reason } = execution;
        return { status: 200, json: { status, parameters: { mode, ...(reason === undefined ? {} : { reason }) } } };
      },
    }),
  ];
}

const describe = (origin: string, base: string, { id, name }: (typeof UPDATE_OPERATIONS)[number]) => ({
  id,
  name,
  href: `${origin}${base}${OPERATIONS}/${id}`,
  proximity_proof_required: false,
  asynchronous_execution: true,
});

export const runtimeExecutionRoutes: readonly Route[] = [
  route({
    method: "get",
    path: OPERATIONS,
    summary: "Operations of the application",
    tag,
    open: true,
    links: true,
    query: SchemaQuery,
    responses: { 200: ok(items(Operation)) },
    handle: ({ origin, base }) => ({
      status: 200,
      json: { items: UPDATE_OPERATIONS.map((operation) => describe(origin, base, operation)) },
    }),
  }),
  ...UPDATE_OPERATIONS.map((operation) =>
    route({
      method: "get",
      path: `${OPERATIONS}/${operation.id}`,
      summary: "The operation",
      tag,
      open: true,
      links: true,
      query: SchemaQuery,
      responses: { 200: ok(items(Operation)) },
      handle: ({ origin, base }) => ({ status: 200, json: { items: [describe(origin, base, operation)] } }),
    }),
  ),
  ...PARENTS.flatMap(executionRoutes),
];
