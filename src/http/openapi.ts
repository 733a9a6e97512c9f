/** The OpenAPI 3.1 document of the route table: worked out once per set of components and groups, kept as text. */
import type { TSchema } from "typebox";
import { BYTES_TYPE, EVENTS_TYPE, JSON_TYPE } from "#core/media-types.ts";
import type { Fleet } from "#fleet/api.ts";
import type { SovdOptions, VersionInfo } from "#sovd/context.ts";
import { isOpen, lockScopeOf } from "#sovd/guard.ts";
import { type BodySpec, paramNames, type ResponseSpec, type Route, route } from "#sovd/route.ts";
import { SovdErrorSchema } from "#sovd/schemas.ts";
import { docsPage } from "./docs-page.ts";

type Json = Record<string, unknown>;

const ANY_BYTES = { schema: { type: "string", contentMediaType: BYTES_TYPE } };
const ERROR_REF = { $ref: "#/components/responses/Error" };

/** Parameters whose values are the vehicle's own. */
const ENTITY_PARAMETERS = ["ecu", "group"];

/** The document of a table, without `servers`: these depend on the request. */
export function openApiDocument(
  routes: readonly Route[],
  options: SovdOptions,
  version: VersionInfo,
  entities: { readonly ecus: readonly string[]; readonly groups: readonly string[] },
): Json {
  const paths: Record<string, Json> = {};
  for (const one of routes) {
    const path = fullPath(one, options);
    paths[path] ??= {};
    paths[path][one.method] = operationOf(one, options);
  }
  return {
    info: {
      title: version.name,
      version: version.version,
      description: `SOVD (ISO 17978-3). The tree stands below ${options.basePaths.join(", ")}; paths here use the first.`,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      schemas: { Error: SovdErrorSchema },
      responses: {
        Error: {
          description: "What went wrong.",
          content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
      parameters: {
        ecu: entityParameter("ecu", entities.ecus),
        group: entityParameter("group", entities.groups),
      },
    },
  };
}

function fullPath(one: Route, options: SovdOptions): string {
  return one.mount === "root" ? one.path : `${options.basePaths[0] ?? ""}${one.path}`;
}

function entityParameter(name: string, known: readonly string[]): Json {
  const schema: Json = known.length === 0 ? { type: "string" } : { type: "string", enum: known };
  return { name, in: "path", required: true, schema };
}

function operationOf(one: Route, options: SovdOptions): Json {
  const lock = lockScopeOf(one.lock, options);
  const parameters = parametersOf(one);
  return {
    operationId: operationId(one),
    summary: one.summary,
    tags: [one.tag],
    ...(lock === undefined ? {} : { description: `Needs the lock of: ${lock}.` }),
    security: isOpen(one, options) ? [] : [{ bearer: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(one.body === undefined ? {} : { requestBody: requestBodyOf(one.body) }),
    responses: responsesOf(one),
  };
}

/** Method and path segments in one word: unique because method and path are. */
function operationId(one: Route): string {
  const words = one.path.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return (
    one.method + (words.length === 0 ? ["root"] : words).map((word) => word[0]!.toUpperCase() + word.slice(1)).join("")
  );
}

function parametersOf(one: Route): Json[] {
  const inPath = paramNames(one.path).map((name) =>
    ENTITY_PARAMETERS.includes(name)
      ? { $ref: `#/components/parameters/${name}` }
      : { name, in: "path", required: true, schema: one.params?.properties[name] ?? { type: "string" } },
  );
  const required = (one.query as { required?: readonly string[] } | undefined)?.required ?? [];
  const inQuery = Object.entries(one.query?.properties ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
  return [...inPath, ...inQuery];
}

function requestBodyOf(body: BodySpec): Json {
  if (body.kind === "raw") return { required: true, content: { [BYTES_TYPE]: ANY_BYTES } };
  if (body.kind === "upload") {
    return { required: true, content: Object.fromEntries(body.types.map((type) => [type, ANY_BYTES])) };
  }
  const json = { [JSON_TYPE]: { schema: body.schema } };
  if (body.kind === "json") {
    const more = (body.types ?? []).map((type) => [type, { schema: body.schema }] as const);
    return { required: body.optional !== true, content: { ...json, ...Object.fromEntries(more) } };
  }
  return { required: body.required, content: { ...json, [BYTES_TYPE]: ANY_BYTES } };
}

function responsesOf(one: Route): Json {
  const responses: Json = {};
  for (const [status, spec] of Object.entries(one.responses)) responses[status] = responseOf(spec, one, status);
  responses.default = ERROR_REF;
  return responses;
}

function responseOf(spec: ResponseSpec, one: Route, status: string): Json {
  const content: Json = {};
  if (spec.schema !== undefined) content[spec.contentType ?? JSON_TYPE] = { schema: spec.schema as TSchema };
  else if (spec.contentType !== undefined) content[spec.contentType] = ANY_BYTES;
  if (spec.events === true) content[EVENTS_TYPE] = { schema: { type: "string" } };
  if (one.negotiated && status === "200" && !one.path.includes("{group}")) content[BYTES_TYPE] = ANY_BYTES;
  const headers = Object.entries(spec.headers ?? {}).map(([name, description]) => {
    return [name, { description, schema: { type: "string" } }] as const;
  });
  return {
    description: spec.description,
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
    ...(Object.keys(content).length === 0 ? {} : { content }),
  };
}

/** Keeps the document's text until components or groups change. */
class OpenApiText {
  readonly #routes: readonly Route[];
  readonly #options: SovdOptions;
  #key: string | undefined;
  #text = "";

  constructor(routes: readonly Route[], options: SovdOptions) {
    this.#routes = routes;
    this.#options = options;
  }

  text(fleet: Pick<Fleet, "ecus" | "groups">, version: VersionInfo, origin: string): string {
    const ecus = fleet.ecus.map((ecu) => ecu.id);
    const key = `${ecus.join("\n")}\n\n${fleet.groups.join("\n")}`;
    if (key !== this.#key) {
      const document = openApiDocument(this.#routes, this.#options, version, { ecus, groups: fleet.groups });
      this.#text = JSON.stringify(document).slice(1);
      this.#key = key;
    }
    return `{"openapi":"3.1.0","servers":[{"url":${JSON.stringify(origin)}}],${this.#text}`;
  }
}

/** The table together with the two routes that show it: `/openapi.json` and the page at `/swagger-ui`. */
export function withDocumentation(routes: readonly Route[], options: SovdOptions): readonly Route[] {
  const all: Route[] = [...routes];
  const document = new OpenApiText(all, options);
  all.push(
    route({
      method: "get",
      path: "/openapi.json",
      mount: "root",
      summary: "This interface as an OpenAPI document",
      tag: "documentation",
      public: true,
      early: true,
      links: true,
      responses: { 200: { description: "OpenAPI 3.1.", contentType: JSON_TYPE } },
      handle: (request, { fleet, version }) => ({
        status: 200,
        text: document.text(fleet, version, request.origin),
      }),
    }),
    route({
      method: "get",
      path: "/swagger-ui",
      mount: "root",
      summary: "This interface as a page to read and try",
      tag: "documentation",
      public: true,
      early: true,
      responses: { 200: { description: "The page.", contentType: "text/html" } },
      handle: () => docsPage(),
    }),
  );
  return all;
}
