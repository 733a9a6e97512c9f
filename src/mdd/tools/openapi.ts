/** The API that one ECU's database gives, without a server: an OpenAPI 3.1 document of ISO 17978-3 resources. */
import type { Database } from "../query/database.ts";
import { listConfigurations, listData, listOperations, type OperationItem } from "../query/describe.ts";
import { dtcsOf, formatDtc } from "../query/dtc.ts";
import { listJobs } from "../query/jobs.ts";
import { requestSchema, responseSchema } from "../query/json-schema.ts";
import type { Scope } from "../query/layers.ts";
import type { ServiceEntry } from "../query/service-entry.ts";
import { serviceIndex } from "../query/service-index.ts";
import { authenticationServices, faultServices, modeValues, resetServices } from "../query/service-purposes.ts";
import { stateChartsOf } from "../query/state-charts.ts";
import type { JsonSchema } from "../query/value-schema.ts";
import { answerOf, bodyOf, ERRORS, listOf, OBJECT, objectOf, operation, SHARED, STRING } from "./openapi-parts.ts";

export interface OpenApiOptions {
  /** Default `/vehicle/v15`. */
  readonly basePath?: string;
  /** `cda`, the default: members of structures stand in the object around them. */
  readonly shape?: "cda" | "iso";
}

type Json = Readonly<Record<string, unknown>>;
type Paths = Record<string, Json>;

interface Api {
  readonly database: Database;
  readonly scope: Scope;
  /** `/vehicle/v15/components/<ecu>`. */
  readonly root: string;
  readonly flatten: boolean;
}

/** The document of one variant or functional group. @throws Fault invalidDatabase */
export function openApiOf(database: Database, scope: Scope, options: OpenApiOptions = {}): Json {
  const id = encodeURIComponent(database.ecuName.toLowerCase());
  const root = `${options.basePath ?? "/vehicle/v15"}/components/${id}`;
  const api: Api = { database, scope, root, flatten: options.shape !== "iso" };
  const revision = database.revision ?? "0.0.0";
  return {
    openapi: "3.1.0",
    info: {
      title: `${database.ecuName}: ${scope.name}`,
      version: revision,
      description: `SOVD (ISO 17978-3) resources that the diagnostic database of ${database.ecuName}, revision ${revision}, gives for ${scope.name}.`,
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    paths: withOperationIds({
      ...dataPaths(api),
      ...configurationPaths(api),
      ...operationPaths(api),
      ...modePaths(api),
      ...faultPaths(api),
      ...jobPaths(api),
    }),
    components: SHARED,
  };
}

const METHODS: ReadonlySet<string> = new Set(["get", "put", "post", "delete"]);

/** Method and path in one word: unique because they are. */
function withOperationIds(paths: Paths): Paths {
  return Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(
        Object.entries(item).map(([key, value]) =>
          METHODS.has(key) ? [key, { operationId: operationId(key, path), ...(value as Json) }] : [key, value],
        ),
      ),
    ]),
  );
}

function operationId(method: string, path: string): string {
  const words = decodeURIComponent(path)
    .split("/")
    .filter((word) => word !== "");
  return [method, ...words.map((word) => word.replace(/[^A-Za-z0-9_-]/g, ""))].join(".");
}

function answerSchema({ database, flatten }: Api, service: ServiceEntry | undefined): JsonSchema {
  return service === undefined ? OBJECT : (responseSchema(database, service, { flatten }).schema ?? OBJECT);
}

function takenSchema({ database }: Api, service: ServiceEntry | undefined): JsonSchema {
  return service === undefined ? OBJECT : (requestSchema(database, service).schema ?? OBJECT);
}

interface ReadWrite {
  readonly id: string;
  readonly name: string;
  readonly read: ServiceEntry | undefined;
  readonly write: ServiceEntry | undefined;
}

function dataPaths(api: Api): Paths {
  const items = listData(serviceIndex(api.database, api.scope));
  if (items.length === 0) return {};
  const item = objectOf({ category: STRING, id: idSchema(items.map(({ id }) => id)), name: STRING });
  return { [`${api.root}/data`]: { get: listing("data", item) }, ...valuePaths(api, "data", items) };
}

/** A database without the functional class for variant coding has no configurations. */
function configurationPaths(api: Api): Paths {
  const { functionalClassVarcoding: wanted } = api.database.naming;
  const index = serviceIndex(api.database, api.scope);
  const hasAny = index.services.some((service) =>
    service.functionalClasses.some((name) => name.toLowerCase() === wanted.toLowerCase()),
  );
  if (!hasAny) return {};
  const items = listConfigurations(api.database, index);
  const item = objectOf({
    id: idSchema(items.map(({ id }) => id)),
    name: STRING,
    configurations_type: { const: "parameter" },
    type: { const: "parameter" },
    "x-sovd2uds-ServiceAbstract": { type: "array", items: STRING },
    "x-sovd2uds-serviceAbstract": { type: "array", items: STRING },
  });
  const list = { [`${api.root}/configurations`]: { get: listing("configurations", item) } };
  return { ...list, ...valuePaths(api, "configurations", items) };
}

function idSchema(ids: readonly string[]): JsonSchema {
  return { type: "string", enum: [...new Set(ids)] };
}

function listing(tag: string, item: JsonSchema): Json {
  return operation(tag, `List of ${tag}`, { 200: answerOf(listOf(item)) });
}

function valuePaths(api: Api, tag: string, items: readonly ReadWrite[]): Paths {
  const paths: Paths = {};
  for (const { id, name, read, write } of items) {
    const title = name === "" ? id : name;
    const value = (service: ServiceEntry) =>
      objectOf({ id: { const: id.toLowerCase() }, data: answerSchema(api, service), errors: ERRORS }, ["errors"]);
    paths[`${api.root}/${tag}/${pathId(id)}`] = {
      ...(read && { get: operation(tag, `Read ${title}`, { 200: answerOf(value(read)) }, { service: read }) }),
      ...(write && {
        put: operation(
          tag,
          `Write ${title}`,
          { 200: answerOf(value(write)), 204: { description: "Written." } },
          {
            service: write,
            requestBody: bodyOf(objectOf({ data: takenSchema(api, write) })),
          },
        ),
      }),
    };
  }
  return paths;
}

const pathId = (id: string): string => encodeURIComponent(id.toLowerCase());

function operationPaths(api: Api): Paths {
  const index = serviceIndex(api.database, api.scope);
  const items = listOperations(index);
  const resets = resetServices(index).map(({ shortName }) => shortName);
  const ids = [...items.map(({ id }) => id.toLowerCase()), ...(resets.length === 0 ? [] : ["reset"])];
  if (ids.length === 0) return {};
  const item = objectOf({
    id: idSchema(ids),
    name: STRING,
    proximity_proof_required: { type: "boolean" },
    asynchronous_execution: { type: "boolean" },
  });
  const paths: Paths = { [`${api.root}/operations`]: { get: listing("operations", item) } };
  for (const one of items) Object.assign(paths, executionPaths(api, one));
  if (resets.length > 0) paths[`${api.root}/operations/reset/executions`] = { post: resetOperation(resets) };
  return paths;
}

function resetOperation(values: readonly string[]): Json {
  const body = objectOf({ parameters: objectOf({ value: { type: "string", enum: values } }) });
  return operation(
    "operations",
    "Reset the ECU",
    { 200: answerOf(OBJECT), 204: { description: "Reset." } },
    { requestBody: bodyOf(body) },
  );
}

function executionPaths(api: Api, { id, name, asynchronous, start, stop, requestResults }: OperationItem): Paths {
  const path = `${api.root}/operations/${pathId(id)}/executions`;
  const title = name === "" ? id : name;
  const results = (service: ServiceEntry | undefined) =>
    objectOf({ parameters: answerSchema(api, service), error: OBJECT }, ["parameters", "error"]);
  const begun = objectOf({ id: STRING, status: { $ref: "#/components/schemas/ExecutionStatus" } });
  const state = objectOf(
    {
      status: { $ref: "#/components/schemas/ExecutionStatus" },
      capability: { const: "execute" },
      parameters: answerSchema(api, requestResults),
      error: ERRORS,
    },
    ["parameters", "error"],
  );
  const paths: Paths = {
    [path]: {
      get: operation("operations", `Executions of ${title}`, { 200: answerOf(listOf(objectOf({ id: STRING }))) }),
      ...(start && {
        post: operation(
          "operations",
          `Run ${title}`,
          asynchronous ? { 202: answerOf(begun) } : { 200: answerOf(results(start)) },
          {
            service: start,
            requestBody: bodyOf(objectOf({ parameters: takenSchema(api, start) }, ["parameters"])),
          },
        ),
      }),
    },
  };
  if (!asynchronous) return paths;
  paths[`${path}/{execution-id}`] = {
    parameters: [{ name: "execution-id", in: "path", required: true, schema: { type: "string", format: "uuid" } }],
    get: operation(
      "operations",
      `State and results of ${title}`,
      { 200: answerOf(state) },
      { service: requestResults },
    ),
    ...(stop && {
      delete: operation(
        "operations",
        `Stop ${title}`,
        { 200: answerOf(results(stop)), 204: { description: "Stopped." } },
        { service: stop },
      ),
    }),
  };
  return paths;
}

/** Modes that the database has services or a state chart for, with the values that can be asked for. */
function modePaths(api: Api): Paths {
  const index = serviceIndex(api.database, api.scope);
  const { session, security } = stateChartsOf(api.database, api.scope);
  const levels = security?.states.filter((state) => state !== security.start) ?? [];
  const values: Readonly<Record<string, readonly string[]>> = {
    session: session?.states ?? [],
    security: [...levels, ...levels.map((level) => `${level}_RequestSeed`)],
    commctrl: modeValues(index, "commctrl"),
    dtcsetting: modeValues(index, "dtcsetting"),
    authentication: authenticationServices(index).map(({ shortName }) => shortName),
  };
  const modes = Object.entries(values).filter(([, allowed]) => allowed.length > 0);
  if (modes.length === 0) return {};
  const item = objectOf({ id: idSchema(modes.map(([mode]) => mode)), name: STRING });
  const paths: Paths = { [`${api.root}/modes`]: { get: listing("modes", item) } };
  for (const [mode, allowed] of modes) paths[`${api.root}/modes/${mode}`] = modePath(mode, allowed);
  return paths;
}

function modePath(mode: string, allowed: readonly string[]): Json {
  const value = { type: "string", enum: allowed };
  const parameters =
    mode === "session" ? {} : mode === "security" ? { Key: objectOf({ Send_Key: STRING }) } : { parameters: OBJECT };
  const expiration =
    mode === "session" || mode === "security" ? { mode_expiration: { type: "integer", minimum: 0 } } : {};
  const body = objectOf({ value, ...parameters, ...expiration }, [
    ...Object.keys(parameters),
    ...Object.keys(expiration),
  ]);
  const changed = objectOf(
    { id: { const: mode }, value, seed: objectOf({ Request_Seed: STRING }), parameters: OBJECT },
    ["value", "seed", "parameters"],
  );
  return {
    get: operation("modes", `State: ${mode}`, { 200: answerOf(objectOf({ name: STRING, value: STRING }, ["name"])) }),
    put: operation("modes", `Change: ${mode}`, { 200: answerOf(changed) }, { requestBody: bodyOf(body) }),
  };
}

function faultPaths(api: Api): Paths {
  const { byStatusMask, snapshot, extendedData, clear } = faultServices(serviceIndex(api.database, api.scope));
  if (byStatusMask === undefined && clear === undefined) return {};
  const codes = [...dtcsOf(api.database).keys()].map(formatDtc);
  const code = codes.length === 0 ? STRING : { type: "string", examples: codes };
  const fault = { $ref: "#/components/schemas/Fault" };
  const environment = objectOf(
    {
      ...(extendedData && {
        extended_data_records: objectOf({ data: answerSchema(api, extendedData), errors: ERRORS }, ["data", "errors"]),
      }),
      ...(snapshot && {
        snapshots: objectOf({ data: answerSchema(api, snapshot), errors: ERRORS }, ["data", "errors"]),
      }),
    },
    ["extended_data_records", "snapshots"],
  );
  const detail = objectOf({ item: fault, environment_data: environment }, ["environment_data"]);
  const cleared = operation("faults", "Clear faults", { 204: { description: "Cleared." } }, { service: clear });
  return {
    [`${api.root}/faults`]: {
      ...(byStatusMask && {
        get: operation("faults", "Faults in memory", { 200: answerOf(listOf(fault)) }, { service: byStatusMask }),
      }),
      ...(clear && { delete: cleared }),
    },
    [`${api.root}/faults/{code}`]: {
      parameters: [{ name: "code", in: "path", required: true, schema: code }],
      ...(byStatusMask && {
        get: operation(
          "faults",
          "One fault with its environment data",
          { 200: answerOf(detail) },
          { service: snapshot ?? extendedData },
        ),
      }),
      ...(clear && { delete: cleared }),
    },
  };
}

function jobPaths(api: Api): Paths {
  const jobs = listJobs(api.database, api.scope);
  if (jobs.length === 0) return {};
  const item = objectOf({ category: STRING, id: idSchema(jobs.map(({ id }) => id)), name: STRING });
  return { [`${api.root}/x-single-ecu-jobs`]: { get: listing("jobs", item) } };
}
