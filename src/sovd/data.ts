/** Data and configurations of a component: lists, reads, writes, special data, and each resource's own document. */
import { Type } from "#core/schema.ts";
import type { EcuView } from "#fleet/api.ts";
import type { Accept, ByteFormat } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import { callPermitted, type ItemView, visibleItems } from "./permit.ts";
import { type Answer, type Route, route, type ServiceCall, type SovdRequest } from "./route.ts";
import {
  DataErrors,
  IncludeSchema,
  IncludeSdgs,
  items,
  NO_CONTENT,
  ok,
  SchemaQuery,
  Values,
  wantsSdgs,
} from "./schemas.ts";

export const ByteFormatQuery = {
  "x-sovd2uds-byte-format": Type.Optional(Type.Union([Type.Literal("hex"), Type.Literal("base64")])),
};

const ReadQuery = Type.Object({ ...IncludeSchema, ...IncludeSdgs, ...ByteFormatQuery });
const WriteQuery = Type.Object({ ...IncludeSchema, ...ByteFormatQuery });

export const DataItem = Type.Object({ category: Type.String(), id: Type.String(), name: Type.String() });
const ConfigurationItem = Type.Object({
  id: Type.String(),
  name: Type.String(),
  configurations_type: Type.Literal("parameter"),
  type: Type.Literal("parameter"),
  "x-sovd2uds-ServiceAbstract": Type.Array(Type.String()),
  "x-sovd2uds-serviceAbstract": Type.Array(Type.String()),
});
const DataValue = Type.Object({ id: Type.String(), data: Values, errors: Type.Optional(DataErrors) });
export const DataBody = Type.Object({ data: Values });

type Resource = "data" | "configurations";
type Query = { "include-schema"?: boolean; "x-sovd2uds-byte-format"?: ByteFormat };
type ServiceRequest<Body> = SovdRequest<
  { readonly service: string },
  Query & { "x-sovd2uds-includesdgs"?: boolean; "x-include-sdgs"?: boolean },
  Body,
  EcuView,
  undefined
>;

/** What a service call says about the form of its answer; the usual form is not said, as every member costs at the port. */
export function formOf({ accept, query }: { readonly accept: Accept; readonly query: Query }): Form {
  const form: { accept?: Accept; schema?: boolean; byteFormat?: ByteFormat } = {};
  if (accept !== "json") form.accept = accept;
  if (query["include-schema"] === true) form.schema = true;
  if (query["x-sovd2uds-byte-format"] === "base64") form.byteFormat = "base64";
  return form;
}

type Form = { readonly accept?: Accept; readonly schema?: boolean; readonly byteFormat?: ByteFormat };

function read(request: ServiceRequest<undefined>, context: SovdContext): Promise<Answer> {
  const { ecu, params } = request;
  const { service } = params;
  if (wantsSdgs(request.query)) {
    const schema = request.query["include-schema"] === true;
    return context.fleet.call(ecu.name, "serviceSdgs", { service, action: "read", schema }, request);
  }
  const args = { ...formOf(request), service };
  return callPermitted(request, context, "dataRead", args);
}

function write(request: ServiceRequest<ServiceCall>, context: SovdContext): Promise<Answer> {
  const args = { ...formOf(request), service: request.params.service, body: request.body.service };
  return callPermitted(request, context, "dataWrite", args);
}

/** Categories by functional class as the operator maps them; services without one are hidden. */
export function categoryView(categories: Readonly<Record<string, string>> | undefined): ItemView | undefined {
  if (categories === undefined) return undefined;
  return (item, facts) => {
    const mapped = facts.functionalClasses.find((name) => categories[name] !== undefined);
    return mapped === undefined ? undefined : { ...item, category: categories[mapped]! };
  };
}

function routesOf(resource: Resource): Route[] {
  const one = `/components/{ecu}/${resource}/{service}` as const;
  return [
    route({
      method: "get",
      path: one,
      summary: "Read a value, or its special data",
      tag: resource,
      negotiated: true,
      exclusive: true,
      query: ReadQuery,
      responses: { 200: ok(DataValue), 204: NO_CONTENT },
      handle: read,
    }),
    route({
      method: "put",
      path: one,
      summary: "Write a value",
      tag: resource,
      lock: "dataWrite",
      negotiated: true,
      query: WriteQuery,
      body: { kind: "service", member: "data", memberRequired: true, required: false, schema: DataBody },
      responses: { 200: ok(DataValue), 204: NO_CONTENT },
      handle: write,
    }),
    docsRoute(resource),
  ];
}

const Document = Type.Object({ openapi: Type.String(), info: Values, paths: Values });

/** The self-contained document of one resource. */
export function docsRoute(resource: Resource | "operations"): Route {
  return route({
    method: "get",
    path: `/components/{ecu}/${resource}/{service}/docs`,
    summary: "OpenAPI document of this resource alone",
    tag: resource,
    responses: { 200: ok(Document) },
    handle: (request, { fleet }) =>
      fleet.call(request.ecu.name, "docs", { resource, service: request.params.service }, request),
  });
}

export const dataRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/components/{ecu}/data",
    summary: "All data of a component",
    tag: "data",
    query: SchemaQuery,
    responses: { 200: ok(items(DataItem)) },
    handle: async (request, context) => {
      const schema = request.query["include-schema"] === true;
      const reply = await context.fleet.call(request.ecu.name, "dataList", { schema }, request);
      return visibleItems(reply, request, context, categoryView(context.options.dataCategories));
    },
  }),
  ...routesOf("data"),
  route({
    method: "get",
    path: "/components/{ecu}/configurations",
    summary: "All configurations of a component",
    tag: "configurations",
    query: SchemaQuery,
    responses: { 200: ok(items(ConfigurationItem)) },
    handle: async (request, context) => {
      const schema = request.query["include-schema"] === true;
      const reply = await context.fleet.call(request.ecu.name, "configurationList", { schema }, request);
      return visibleItems(reply, request, context);
    },
  }),
  ...routesOf("configurations"),
];
