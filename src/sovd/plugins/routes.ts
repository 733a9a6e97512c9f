/** Routes of plugins as rows of the one route table. */
import type { TObject, TSchema } from "typebox";
import { Fault, reasonOf } from "#core/errors.ts";
import { problemsOf } from "#core/validate.ts";
import { type Answer, type BodySpec, METHODS, paramNames, type ResponseSpec, type Route, route } from "../route.ts";
import { badPlugin, type LoadedPlugin } from "./load.ts";
import type { PluginContext, PluginRequest, PluginRoute } from "./types.ts";

const LOCKS = ["none", "ecu", "group", "vehicle"] as const;
const PATH = /^(\/([a-z0-9._~-]+|\{[a-z0-9]+\}))+$/i;
const OK: PluginRoute["responses"] = { 200: { description: "Done." } };

/** Told of what a plugin's handler threw. */
export type OnFailure = (plugin: string, message: string, error: unknown) => void;

/** The rows of one plugin. @throws Fault invalidConfig that names the module and the route */
export function routesOf(plugin: LoadedPlugin, context: PluginContext, onFailure: OnFailure): readonly Route[] {
  return (plugin.routes ?? []).map((one) => {
    const problem = problemOf(one);
    if (problem !== undefined) throw badPlugin(plugin.path, `route ${one?.method} ${one?.path}: ${problem}`);
    return rowOf(one, plugin, context, onFailure);
  });
}

function problemOf(one: PluginRoute): string | undefined {
  if (!METHODS.includes(one?.method)) return `method is none of ${METHODS.join(", ")}`;
  if (typeof one.path !== "string" || !PATH.test(one.path)) return "path is no path of names and {parameters}";
  const names = paramNames(one.path);
  if (new Set(names).size < names.length) return "a parameter stands twice in the path";
  if (typeof one.summary !== "string" || one.summary === "") return "summary is missing";
  if (typeof one.handle !== "function") return "handle is no function";
  const { lock = "none" } = one;
  if (!LOCKS.includes(lock)) return `lock is none of ${LOCKS.join(", ")}`;
  if ((lock === "ecu" || lock === "group") && !names.includes(lock)) return `lock ${lock} needs {${lock}} in the path`;
  if (one.public === true && lock !== "none") return "a lock has an owner, so it cannot be public";
  if (one.body !== undefined && one.method === "get") return "GET has no body";
  if (one.headers !== undefined && !Array.isArray(one.headers)) return "headers is no list";
  return schemaProblem(one);
}

/** A schema that cannot be used is found now, and not by the first request. */
function schemaProblem({ params, query, body, responses = {} }: PluginRoute): string | undefined {
  for (const [name, schema] of Object.entries({ params, query })) {
    if (schema !== undefined && (schema.type !== "object" || typeof schema.properties !== "object")) {
      return `${name} is no schema of an object`;
    }
  }
  const ofBody = body === undefined || body === "bytes" ? undefined : body.schema;
  if (body !== undefined && body !== "bytes" && typeof ofBody !== "object") return "body has no schema";
  const schemas = [params, query, ofBody, ...Object.values(responses).map(({ schema }) => schema)];
  try {
    for (const schema of schemas) if (schema !== undefined) problemsOf(schema as TSchema, {});
  } catch (error) {
    return `a schema cannot be used: ${reasonOf(error)}`;
  }
  return undefined;
}

function rowOf(one: PluginRoute, { name }: LoadedPlugin, context: PluginContext, onFailure: OnFailure): Route {
  const { method, path, summary, lock = "none", tag = name, responses = OK } = one;
  return route({
    method,
    path,
    summary,
    tag,
    lock,
    public: one.public === true,
    early: one.early === true,
    links: true,
    ...(one.exclusive === undefined ? {} : { exclusive: one.exclusive }),
    ...(one.headers === undefined ? {} : { headers: one.headers }),
    ...(one.params === undefined ? {} : { params: one.params as unknown as TObject }),
    ...(one.query === undefined ? {} : { query: one.query as unknown as TObject }),
    ...(one.body === undefined ? {} : { body: bodyOf(one.body) }),
    responses: responses as Readonly<Record<number, ResponseSpec>>,
    handle: async (request) => {
      const where = `${method.toUpperCase()} ${path}`;
      try {
        return checked(await one.handle(request as PluginRequest, context));
      } catch (error) {
        if (error instanceof Fault) throw error;
        const message = `Plugin ${name} failed at ${where}`;
        onFailure(name, message, error);
        throw new Fault("internal", message, undefined, error);
      }
    },
  });
}

function bodyOf(body: NonNullable<PluginRoute["body"]>): BodySpec {
  if (body === "bytes") return { kind: "raw" };
  return { kind: "json", family: "plain", schema: body.schema as TSchema, optional: body.optional === true };
}

/** What cannot be sent is found here, where the plugin is known, and not on the socket. @throws Error */
function checked(answer: Answer): Answer {
  const problem = answerProblem(answer);
  if (problem === undefined) return answer;
  throw new Error(`the handler's answer has ${problem}`);
}

function answerProblem({ status, headers = {}, contentType, text, body }: Partial<Answer> = {}): string | undefined {
  if (!Number.isInteger(status) || status! < 200 || status! > 599) return "no status";
  if (text !== undefined && typeof text !== "string") return "a text that is none";
  if (body !== undefined && !(body instanceof Uint8Array)) return "a body that is no bytes";
  const unfit = Object.entries({ ...headers, "content-type": contentType ?? "" }).find(
    ([, value]) => !isFieldValue(value),
  );
  return unfit === undefined ? undefined : `a header that cannot be sent: ${unfit[0]}`;
}

/** A line break in a value would begin a header, or the body, of the client's choice. */
function isFieldValue(value: unknown): boolean {
  return typeof value === "string" && !/[^\P{Cc}\t]/u.test(value);
}

/**
 * Refuses a route that a built-in one answers already, or another plugin: at no path that is served without the plugin may another
 * handler stand. A parameter beside fixed names of others is allowed, as fixed names win; so is any of that among a plugin's own routes.
 * @throws Fault invalidConfig
 */
export function requireFree(plugin: LoadedPlugin, rows: readonly Route[], taken: readonly Route[]): void {
  for (const [at, row] of rows.entries()) {
    const rival =
      taken.find((other) => answers(row, other)) ??
      rows.slice(0, at).find((own) => answers(row, own) && answers(own, row));
    if (rival === undefined) continue;
    const [mine, theirs] = [row, rival].map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    throw badPlugin(plugin.path, `route ${mine}: ${mine === theirs ? "it exists already" : `${theirs} answers there`}`);
  }
}

/** Whether `row` would be asked at a path that `other` fits: at the first segment in which they differ, a fixed name wins. */
function answers(row: Route, other: Route): boolean {
  if (row.method !== other.method || row.mount !== other.mount) return false;
  const mine = row.path.toLowerCase().split("/");
  const theirs = other.path.toLowerCase().split("/");
  if (mine.length !== theirs.length) return false;
  const pairs = mine.map((segment, at) => [segment, theirs[at]!] as const);
  if (pairs.some(([one, two]) => one !== two && !isParameter(one) && !isParameter(two))) return false;
  const difference = pairs.find(([one, two]) => isParameter(one) !== isParameter(two));
  return difference === undefined || !isParameter(difference[0]);
}

const isParameter = (segment: string): boolean => segment.startsWith("{");
