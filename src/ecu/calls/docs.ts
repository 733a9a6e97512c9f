/** Self-contained OpenAPI documents of single resources (ISO 17978-3: online capability description). */
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import type { EcuCalls, Reply } from "#fleet/messages.ts";
import type { Database } from "#mdd/query/database.ts";
import { listConfigurations, listData, listOperations, type OperationItem } from "#mdd/query/describe.ts";
import { requestSchema, responseSchema } from "#mdd/query/json-schema.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import type { Ecu } from "../ecu.ts";
import { jsonReply } from "../reply.ts";
import type { CallContext } from "./call.ts";

const STRING = { type: "string" };
const ANY_OBJECT = { type: "object" };
const EXECUTION_STATES = ["running", "completed", "failed", "stopped"];

const ERROR = {
  description: "Error",
  content: {
    [JSON_TYPE]: {
      schema: {
        type: "object",
        properties: { error_code: STRING, message: STRING },
        required: ["error_code", "message"],
      },
    },
  },
};

function ok(schema: unknown, description = "Success") {
  return { description, content: { [JSON_TYPE]: { schema } } };
}

function body(schema: unknown) {
  return { required: true, content: { [JSON_TYPE]: { schema } } };
}

function document(title: string, paths: Record<string, unknown>): Reply {
  return jsonReply({ openapi: "3.1.0", info: { title, version: "1.0.0" }, paths });
}

export function docs(ecu: Ecu, { resource, service }: EcuCalls["docs"], context: CallContext): Reply {
  const base = `/components/${ecu.name.toLowerCase()}`;
  if (resource === "operations") return operationDocument(ecu.loaded.database, base, findListed(ecu, service));
  const items = resource === "data" ? listData(ecu.index) : listConfigurations(ecu.loaded.database, ecu.index);
  const item = items.find(({ id }) => id.toLowerCase() === service.toLowerCase());
  const word = resource === "data" ? "Data" : "Configuration";
  if (item === undefined) throw new Fault("notFound", `${word} service '${service}' not found`);
  return document(`${word}: ${service}`, {
    [`${base}/${resource}/${service}`]: dataPath(ecu, item, context),
  });
}

function findListed(ecu: Ecu, service: string): OperationItem {
  const item = listOperations(ecu.index).find(({ id }) => id.toLowerCase() === service.toLowerCase());
  if (item === undefined) throw new Fault("notFound", `Operation '${service}' not found`);
  return item;
}

function dataPath(
  ecu: Ecu,
  item: { readonly read: ServiceEntry | undefined; readonly write: ServiceEntry | undefined },
  { options }: CallContext,
) {
  const { database } = ecu.loaded;
  const value = (service: ServiceEntry) => ({
    type: "object",
    properties: {
      id: STRING,
      data: responseSchema(database, service, { flatten: options.flatten }).schema ?? ANY_OBJECT,
      errors: { type: "array", items: ANY_OBJECT },
    },
    required: ["id", "data"],
  });
  const written = (service: ServiceEntry) => ({
    type: "object",
    properties: { data: requestSchema(database, service).schema ?? ANY_OBJECT },
    required: ["data"],
  });
  return {
    "x-sovd-proximity-proof-required": false,
    ...(item.read === undefined ? {} : { get: { responses: { 200: ok(value(item.read)), 404: ERROR } } }),
    ...(item.write === undefined
      ? {}
      : {
          put: {
            requestBody: body(written(item.write)),
            responses: { 200: ok(value(item.write)), 400: ERROR, 404: ERROR },
          },
        }),
  };
}

/** Document of a routine of a component or of a functional group; a group's answer has no schema of its own. */
export function operationDocument(database: Database, base: string, operation: OperationItem, isGroup = false): Reply {
  const path = `${base}/operations/${operation.id.toLowerCase()}/executions`;
  const parameters = (service: ServiceEntry | undefined) =>
    service === undefined || isGroup ? ANY_OBJECT : (responseSchema(database, service).schema ?? ANY_OBJECT);
  const input = operation.start === undefined ? undefined : requestSchema(database, operation.start).schema;
  const paths: Record<string, unknown> = {
    [path]: {
      "x-sovd-proximity-proof-required": false,
      post: postOperation(operation, input ?? ANY_OBJECT, parameters(operation.start)),
      get: { responses: { 200: ok({ type: "object", properties: { items: { type: "array", items: ANY_OBJECT } } }) } },
    },
  };
  if (operation.asynchronous) paths[`${path}/{execution-id}`] = executionPath(parameters(operation.requestResults));
  return document(`Operation: ${operation.id.toLowerCase()}`, paths);
}

function postOperation({ asynchronous }: OperationItem, input: unknown, output: unknown) {
  const started = {
    type: "object",
    properties: { id: STRING, status: { type: "string", enum: EXECUTION_STATES } },
    required: ["id"],
  };
  const done = { type: "object", properties: { parameters: output, error: ANY_OBJECT } };
  const schema = {
    type: "object",
    properties: { timeout: { type: "integer" }, parameters: input, proximity_response: STRING },
  };
  return {
    ...(asynchronous ? { "x-sovd-asynchronous-execution": true } : {}),
    requestBody: body(schema),
    responses: { ...(asynchronous ? { 202: ok(started, "Begun") } : { 200: ok(done) }), 409: ERROR },
  };
}

function executionPath(parameters: unknown) {
  const state = {
    type: "object",
    properties: {
      status: { type: "string", enum: EXECUTION_STATES },
      capability: { type: "string", enum: ["execute"] },
      progress: { type: "integer" },
      error: { type: "array", items: ANY_OBJECT },
      parameters,
    },
    required: ["status", "capability"],
  };
  return {
    "x-sovd-proximity-proof-required": false,
    parameters: [{ name: "execution-id", in: "path", required: true, schema: STRING }],
    get: { responses: { 200: ok(state), 404: ERROR } },
    delete: { responses: { 204: { description: "Stopped" }, 404: ERROR } },
  };
}
