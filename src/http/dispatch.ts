/** The way of a request through its checks to the handler, and the way of the answer back to bytes. Knows no socket. */
import type { TObject, TSchema } from "typebox";
import { Fault, type FaultKind } from "#core/errors.ts";
import { BYTES_TYPE, EVENTS_TYPE, JSON_TYPE } from "#core/media-types.ts";
import type { Clock } from "#core/time.ts";
import { problemsOf } from "#core/validate.ts";
import type { Claims } from "#security/claims.ts";
import type { SovdContext } from "#sovd/context.ts";
import { toErrorAnswer } from "#sovd/errors.ts";
import { checkLock, checkReady, checkSwitch, ecuOf, groupOf, isOpen, resourceNotFound } from "#sovd/guard.ts";
import { withMember } from "#sovd/json-text.ts";
import {
  type Answer,
  type AnswerEvents,
  type AnswerStream,
  type BodySpec,
  paramNames,
  type Route,
} from "#sovd/route.ts";
import { SovdErrorSchema, schemaText } from "#sovd/schemas.ts";
import { readBody, uploadType } from "./body.ts";
import { type Entry, Exchange, type HeaderReader } from "./exchange.ts";
import { acceptedForm } from "./negotiate.ts";
import { parseQuery, querySpec } from "./query.ts";
import { Router, shownPath } from "./router.ts";
import { UploadStream } from "./upload-stream.ts";

/** What goes out. */
export interface Outgoing {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly body?: string | Uint8Array;
  /** In place of a body. */
  readonly stream?: AnswerStream;
  readonly events?: AnswerEvents;
}

/** A body in memory, or on its way. */
export type IncomingBody = Promise<Uint8Array> | UploadStream;

export interface DispatchOptions {
  readonly routes: readonly Route[];
  readonly context: SovdContext;
  readonly clock: Clock;
  /** `http`, or `https` behind TLS; for links. */
  readonly scheme: "http" | "https";
  readonly requestTimeoutMs: number;
  /** The same for uploads, transfer included; default: no longer. */
  readonly uploadTimeoutMs?: number;
  /** Deepest nesting of a JSON body. */
  readonly maxJsonDepth: number;
  /** Links take the host of `Forwarded` and `X-Forwarded-Host`. */
  readonly trustForwarded: boolean;
}

export class Dispatcher {
  readonly #router: Router<Entry>;
  readonly #options: DispatchOptions;
  readonly #refusals = new WeakMap<Fault, { readonly base: string; readonly answer: Outgoing }>();

  constructor(options: DispatchOptions) {
    this.#options = options;
    const { basePaths } = options.context.options;
    this.#router = new Router(options.routes, basePaths, (route) => entryOf(route, options.context));
  }

  /** Finds the route and reads the headers it needs. Faults: `notFound`, `methodNotAllowed`. For the socket's own turn. */
  open(method: string, path: string, query: string, header: HeaderReader, nowMs = this.#options.clock.now()): Exchange {
    const match = this.#router.match(method, path);
    if (match === undefined) throw resourceNotFound({ shownPath: shownPath(path, query) });
    if ("allow" in match) throw new Fault("methodNotAllowed", "Method not allowed", { allow: match.allow });
    const { requestTimeoutMs, uploadTimeoutMs = requestTimeoutMs, scheme, trustForwarded } = this.#options;
    const patienceMs = match.value.route.body?.kind === "upload" ? uploadTimeoutMs : requestTimeoutMs;
    const target = { path, query, scheme, trustForwarded, deadlineMs: nowMs + patienceMs };
    return new Exchange(match.value, match.params, match.base, target, header);
  }

  /** Runs checks and handler, at once where nothing has to be waited for. `body` is that of routes that have one. Never fails. */
  run(exchange: Exchange, body?: IncomingBody): Outgoing | Promise<Outgoing> {
    try {
      const answer = this.#handle(exchange, body);
      if (!(answer instanceof Promise)) return outgoingOf(answer, exchange);
      return answer.then(
        (awaited) => this.#outgoing(awaited, exchange, body),
        (error: unknown) => this.#refuse(error, exchange, body),
      );
    } catch (error) {
      return this.#refuse(error, exchange, body);
    }
  }

  #outgoing(answer: Answer, exchange: Exchange, body: IncomingBody | undefined): Outgoing | Promise<Outgoing> {
    try {
      return outgoingOf(answer, exchange);
    } catch (error) {
      return this.#refuse(error, exchange, body);
    }
  }

  #refuse(error: unknown, exchange: Exchange, body: IncomingBody | undefined): Outgoing | Promise<Outgoing> {
    const answer = () => this.failure(error, exchange.base, exchange.query["include-schema"] === true);
    // a client that still sends would not see the answer, but one that may send for long is not waited for when there are too many
    const awaitsEnd = body instanceof UploadStream && !(error instanceof Fault && SHARED_KINDS.has(error.kind));
    return awaitsEnd ? body.discard().then(answer) : answer();
  }

  /** The error answer of whatever was thrown. */
  failure(error: unknown, base: string, withSchema = false): Outgoing {
    const { context } = this.#options;
    if (!(error instanceof Fault)) context.onProblem(error, "request");
    else if (SHARED_KINDS.has(error.kind) && !withSchema) return this.#refusal(error, base);
    return this.#failureOf(error, base, withSchema);
  }

  #refusal(fault: Fault, base: string): Outgoing {
    const known = this.#refusals.get(fault);
    if (known?.base === base) return known.answer;
    const answer = this.#failureOf(fault, base, false);
    this.#refusals.set(fault, { base, answer });
    return answer;
  }

  #failureOf(error: unknown, base: string, withSchema: boolean): Outgoing {
    const { context } = this.#options;
    const { status, json, headers } = toErrorAnswer(error, base, context.options);
    const text = JSON.stringify(json);
    const body = withSchema ? withMember(text, "schema", schemaText(SovdErrorSchema)) : text;
    return { status, contentType: JSON_TYPE, body, ...(headers === undefined ? {} : { headers }) };
  }

  /** Base path of a request that matched nothing, for the spelling of its error. */
  baseOf(path: string): string {
    const lower = path.toLowerCase();
    const { basePaths } = this.#options.context.options;
    return basePaths.find((base) => lower.startsWith(base)) ?? basePaths[0] ?? "";
  }

  #handle(exchange: Exchange, body: IncomingBody | undefined): Answer | Promise<Answer> {
    const { entry } = exchange;
    this.#checkEntity(exchange, entry);
    if (entry.open) return this.#admit(exchange, body);
    const verified = this.#options.context.authenticator.verify(exchange.authorization || undefined);
    if (verified instanceof Promise) return verified.then((claims) => this.#authorized(exchange, claims, body));
    return this.#authorized(exchange, verified, body);
  }

  #authorized(exchange: Exchange, claims: Claims, body: IncomingBody | undefined): Answer | Promise<Answer> {
    exchange.claims = claims;
    exchange.owner = claims.sub;
    return this.#admit(exchange, body);
  }

  #admit(exchange: Exchange, body: IncomingBody | undefined): Answer | Promise<Answer> {
    const { context } = this.#options;
    const { entry } = exchange;
    const { route } = entry;
    if (route.params !== undefined) checkParams(route, exchange);
    exchange.query = parseQuery(entry.query, exchange.rawQuery);
    checkSwitch(route, context);
    if (route.lock !== "none" && !readsBodyFirst(route)) this.#checkLock(exchange);
    if (route.body !== undefined) return this.#serveWithBody(exchange, route.body, body);
    if (route.negotiated) negotiate(exchange);
    return this.#serve(exchange);
  }

  async #serveWithBody(exchange: Exchange, spec: BodySpec, body: IncomingBody | undefined): Promise<Answer> {
    const { route } = exchange.entry;
    try {
      if (route.negotiated) negotiate(exchange);
      exchange.body = await this.#readBody(exchange, spec, body);
    } catch (refusal) {
      await route.outranks?.(exchange, this.#options.context);
      throw refusal;
    }
    return this.#serve(exchange);
  }

  #serve(exchange: Exchange): Answer | Promise<Answer> {
    const { route } = exchange.entry;
    if (route.lock !== "none" && readsBodyFirst(route)) this.#checkLock(exchange);
    return route.handle(exchange, this.#options.context);
  }

  #checkLock(exchange: Exchange): void {
    const { entry, ecu, group, owner } = exchange;
    checkLock(entry.route, this.#options.context, ecu?.id ?? group ?? "", owner);
  }

  async #readBody(exchange: Exchange, spec: BodySpec, body: IncomingBody | undefined): Promise<unknown> {
    const { contentType, contentLength, contentDisposition, acceptHeader } = exchange;
    if (spec.kind === "upload") {
      if (body instanceof UploadStream) body.check();
      return { contentType: uploadType(spec, contentType), contentDisposition, chunks: body };
    }
    return readBody(spec, {
      contentType,
      contentLength,
      accept: acceptHeader,
      maxJsonDepth: this.#options.maxJsonDepth,
      bytes: body === undefined || body instanceof UploadStream ? NO_BYTES : await body,
    });
  }

  #checkEntity(exchange: Exchange, { route, hasEcu, hasGroup }: Entry): void {
    const { context } = this.#options;
    const { params } = exchange;
    checkReady(route, context, exchange);
    if (hasEcu) exchange.ecu = ecuOf(params.ecu!, context, exchange);
    if (hasGroup) exchange.group = groupOf(params.group!, context, exchange);
  }
}

/** Whether a body that is not in order is refused before a lock that is missing. */
function readsBodyFirst({ lock, body }: Route): boolean {
  return lock === "vehicle" || (body?.kind === "json" && body.family !== "lenient");
}

const NO_BYTES = new Uint8Array(0);
/** One fault of these stands for many refusals, so its answer is made once. */
const SHARED_KINDS: ReadonlySet<FaultKind> = new Set(["overloaded", "tooManyRequests"]);

function entryOf(route: Route, context: SovdContext): Entry {
  const names = paramNames(route.path);
  return {
    route,
    open: isOpen(route, context.options),
    query: route.query === undefined ? undefined : querySpec(route.query),
    hasEcu: names.includes("ecu"),
    hasGroup: names.includes("group"),
    acceptRefusal: route.path.includes("/operations/") ? "Unsupported Accept header" : "Unsupported Accept",
  };
}

function checkParams(route: Route, { params }: Exchange): void {
  const problems = problemsOf(route.params!, params);
  if (problems !== undefined) throw new Fault("badRequest", `Invalid URL: ${problems}`);
}

function negotiate(exchange: Exchange): void {
  const { acceptHeader, contentType, entry } = exchange;
  exchange.accept = acceptedForm(acceptHeader, contentType, entry.acceptRefusal);
  if (exchange.accept !== "raw") return;
  if (entry.hasGroup) throw new Fault("badRequest", `${entry.acceptRefusal}: ${acceptHeader}`);
  if (exchange.query["include-schema"] === true) {
    throw new Fault("badRequest", "Cannot use include-schema with non-JSON response");
  }
}

/** Whoever stands between neither keeps nor gathers it. */
const NOT_CACHED = { "Cache-Control": "no-store", "X-Accel-Buffering": "no" } as const;

/** Bytes of an answer. `schema` is added to what main made itself; a worker has done so in its bytes. */
function outgoingOf(answer: Answer, exchange: Exchange): Outgoing {
  const { status, headers, stream, events } = answer;
  if (events !== undefined) return { status, events, contentType: EVENTS_TYPE, headers: NOT_CACHED };
  if (stream !== undefined) {
    const contentType = answer.contentType ?? BYTES_TYPE;
    return headers === undefined ? { status, stream, contentType } : { status, headers, stream, contentType };
  }
  const body = answer.body ?? textOf(answer, exchange);
  if (body === undefined || (body instanceof Uint8Array && body.byteLength === 0 && status === 204)) {
    return headers === undefined ? { status } : { status, headers };
  }
  const contentType = answer.contentType ?? JSON_TYPE;
  return headers === undefined ? { status, contentType, body } : { status, headers, contentType, body };
}

function textOf(answer: Answer, exchange: Exchange): string | undefined {
  const text = answer.text ?? (answer.json === undefined ? undefined : JSON.stringify(answer.json));
  if (text === undefined || exchange.query["include-schema"] !== true) return text;
  const schema = exchange.entry.route.responses[answer.status]?.schema;
  if (schema === undefined) return text;
  const { parametersSchema } = answer;
  return withMember(
    text,
    "schema",
    schemaText(parametersSchema === undefined ? schema : withParameters(schema, parametersSchema)),
  );
}

function withParameters(schema: TSchema, parameters: unknown): TSchema {
  return { ...schema, properties: { ...(schema as TObject).properties, parameters } } as TSchema;
}
