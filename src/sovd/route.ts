/**
 * A route is data: it feeds the matcher, the checks, the OpenAPI document, and the answers 404 and 405. Handlers get values that
 * are checked already and return data; they never see the socket.
 */
import type { Static, TObject, TSchema } from "typebox";
import type { EcuView } from "#fleet/api.ts";
import type { Accept, ServiceBody } from "#fleet/messages.ts";
import type { Claims } from "#security/claims.ts";
import type { SovdContext } from "./context.ts";

/** Those of routes; HEAD is served wherever GET is. */
export const METHODS = ["get", "put", "post", "delete", "patch"] as const;
export type Method = (typeof METHODS)[number];

/**
 * What a caller must hold. `dataWrite`, `download` and `comParam` are `ecu` or `none` as the options say; `vehicle` is the caller's
 * own vehicle lock, asked for after the body was found to be in order.
 */
export type LockRule = "none" | "ecu" | "group" | "vehicle" | "dataWrite" | "download" | "comParam";

/**
 * How a JSON body is refused: `wrapped` and `lenient` with 400 for everything, `plain` with 415, 400 and 422 for type, syntax and
 * shape, `typed` with 415 for the type and 400 for the rest; `lenient` does not look at Content-Type.
 */
export type JsonFamily = "wrapped" | "plain" | "typed" | "lenient";

/** A JSON body checked against `schema`. `optional`: no Content-Type means no body. */
export interface JsonBody<S extends TSchema = TSchema> {
  readonly kind: "json";
  readonly family: JsonFamily;
  readonly schema: S;
  readonly optional?: boolean;
  /** Types built on JSON that clients are known to send, for the document; every `application/…+json` is taken. */
  readonly types?: readonly string[];
  /** Text of every refusal, where clients know one of its own. */
  readonly unreadable?: string;
  /** What is wrong with a body of the right shape, in words; then 400. */
  readonly check?: (body: never) => string | undefined;
}

/** A service's parameters: JSON `{ [member]: {…} }`, or raw parameter bytes. `required`: Content-Type must be there. */
export interface NegotiatedBody {
  readonly kind: "service";
  readonly member: "data" | "parameters";
  readonly required: boolean;
  readonly schema: TSchema;
  /** JSON must carry the member. */
  readonly memberRequired: boolean;
}

/** Exactly `application/octet-stream`, in and out. */
export interface RawBody {
  readonly kind: "raw";
}

/** Taken as it comes, in one of these media types: uploads, however large. */
export interface UploadBody {
  readonly kind: "upload";
  readonly types: readonly string[];
  /** Bulk data, which has a limit of its own. */
  readonly bulk?: boolean;
}

export type BodySpec = JsonBody | NegotiatedBody | RawBody | UploadBody;

/** A body on its way in. Whoever iterates slowly slows the client down; nothing is gathered in memory. */
export interface Upload {
  /** As sent. */
  readonly contentType: string;
  readonly contentDisposition: string;
  /**
   * Chunks, each in a buffer of its own. Throws `payloadTooLarge`, `requestTimeout`, or `badRequest` when the client is gone before
   * its body was whole.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface ServiceCall {
  readonly service: ServiceBody;
  /** `timeout` of an execution, seconds. */
  readonly timeoutS: number | undefined;
}

type BodyOf<B> =
  B extends JsonBody<infer S>
    ? B extends { readonly optional: true }
      ? Static<S> | undefined
      : Static<S>
    : B extends NegotiatedBody
      ? ServiceCall
      : B extends RawBody
        ? Uint8Array
        : B extends UploadBody
          ? Upload
          : undefined;

type ParamNames<P extends string> = P extends `${string}{${infer Name}}${infer Rest}` ? Name | ParamNames<Rest> : never;

/** A request after all checks. It also serves as `CallOptions` of a fleet call: deadline and signal are its own. */
export interface SovdRequest<Params, Query, Body, Ecu, Group> {
  readonly method: Method;
  /** Path segments in lower case. */
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** The component the path names. */
  readonly ecu: Ecu;
  /** The functional group the path names, lower case. */
  readonly group: Group;
  /** Form of the answer the caller takes; `json` on routes that do not negotiate. */
  readonly accept: Accept;
  /** Owner of locks and executions; empty on open routes without a token. */
  readonly owner: string;
  readonly claims: Claims | undefined;
  /** Base path this request came in by, e.g. `/vehicle/v15`. */
  readonly base: string;
  /** Path for links: lower case, without query and trailing slashes. */
  readonly path: string;
  /** `http://host` for links; a Fault when the request names no host. */
  readonly origin: string;
  /** A header that the route names in `headers`, as sent; empty when absent. */
  header(name: string): string;
  /** Absolute, `Clock.now()` milliseconds. */
  readonly deadlineMs: number;
  /** Aborted when the client goes away or time is up. */
  readonly signal: AbortSignal;
  /** Calls `listener` once when the client goes away or time is up; as `signal`, without its price. */
  whenAborted(listener: () => void): void;
}

// biome-ignore lint/suspicious/noExplicitAny: the erased form; `route` checks each handler against its own schemas
export type AnyRequest = SovdRequest<any, any, any, any, any>;

/** Bytes that are read while they go out. */
export interface AnswerStream {
  readonly sizeBytes: number;
  readonly chunks: Iterator<Uint8Array>;
  /** Called once, whatever becomes of the answer. */
  close(): void;
}

/** Server-sent events: an answer that lasts until one side ends it. */
export interface AnswerEvents {
  /**
   * Called once, when the head is out. `write` says whether the socket takes more; after a false, `onDrain` tells when it does.
   * `end` ends the answer after what was written.
   */
  open(write: (text: string) => boolean, end: () => void): void;
  onDrain(): void;
  /** Called once, when the client is gone or the server ends. */
  close(): void;
}

/** What a handler gives back; a worker's `Reply` fits as it is. Without `json`, `text`, `body` and `stream` the answer is empty. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Finished JSON text of an object. */
  readonly text?: string;
  /** Finished bytes; `contentType` defaults to JSON. */
  readonly body?: Uint8Array;
  /** Content that is better not held in memory whole. */
  readonly stream?: AnswerStream;
  readonly events?: AnswerEvents;
  readonly contentType?: string;
  /** Schema of the member `parameters`, where the diagnostic database knows better than the route. */
  readonly parametersSchema?: unknown;
}

export interface ResponseSpec {
  readonly description: string;
  /** JSON answers only; none: the answer is empty or raw bytes. */
  readonly schema?: TSchema;
  readonly contentType?: string;
  /** The same as server-sent events, for who accepts these. */
  readonly events?: true;
  /** What headers of it say, by name. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: Method;
  /** Below each base path, or from the root when `mount` says so. */
  readonly path: string;
  readonly mount: "base" | "root";
  readonly summary: string;
  readonly tag: string;
  /** No token needed, as long as the options leave open reads open and no lock is asked for. */
  readonly open: boolean;
  /** Stays without a token whatever the options say. */
  readonly public: boolean;
  /** Answers before databases are loaded. */
  readonly early: boolean;
  /** Refused while a database switch is under way: talks to an ECU or changes something. */
  readonly exclusive: boolean;
  readonly lock: LockRule;
  /** The caller chooses JSON or raw bytes. */
  readonly negotiated: boolean;
  /** The handler builds links from the request's host. */
  readonly links: boolean;
  /** Further request headers the handler reads, lower case. */
  readonly headers: readonly string[];
  readonly params: TObject | undefined;
  readonly query: TObject | undefined;
  readonly body: BodySpec | undefined;
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  /** Refusals that go before those of headers and body. Asked only when one of these is due; throws its own. */
  readonly outranks: ((request: AnyRequest, context: SovdContext) => Promise<void>) | undefined;
  readonly handle: (request: AnyRequest, context: SovdContext) => Answer | Promise<Answer>;
}

interface RouteSpec<P extends string, Q extends TObject, B extends BodySpec | undefined> {
  readonly method: Method;
  readonly path: P;
  readonly summary: string;
  readonly tag: string;
  readonly mount?: "root";
  readonly open?: boolean;
  readonly public?: boolean;
  readonly early?: boolean;
  readonly exclusive?: boolean;
  readonly lock?: LockRule;
  readonly negotiated?: boolean;
  readonly links?: boolean;
  readonly headers?: readonly string[];
  readonly params?: TObject;
  readonly query?: Q;
  readonly body?: B;
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  readonly outranks?: Route["outranks"];
  readonly handle: (
    request: SovdRequest<
      { readonly [Name in ParamNames<P>]: string },
      Static<Q>,
      BodyOf<B>,
      "ecu" extends ParamNames<P> ? EcuView : undefined,
      "group" extends ParamNames<P> ? string : undefined
    >,
    context: SovdContext,
  ) => Answer | Promise<Answer>;
}

const NO_HEADERS: readonly string[] = [];

/**
 * Declares a route. Defaults: below the base paths, token needed, no lock, JSON; everything but GET counts as changing something.
 */
export function route<const P extends string, Q extends TObject, const B extends BodySpec | undefined = undefined>(
  spec: RouteSpec<P, Q, B>,
): Route {
  return {
    method: spec.method,
    path: spec.path,
    mount: spec.mount ?? "base",
    summary: spec.summary,
    tag: spec.tag,
    open: spec.open === true || spec.public === true,
    public: spec.public === true,
    early: spec.early === true,
    exclusive: spec.exclusive ?? spec.method !== "get",
    lock: spec.lock ?? "none",
    negotiated: spec.negotiated === true,
    links: spec.links === true,
    headers: spec.headers ?? NO_HEADERS,
    params: spec.params,
    query: spec.query,
    body: spec.body,
    responses: spec.responses,
    outranks: spec.outranks,
    handle: spec.handle as Route["handle"],
  };
}

/** Names of the parameters in a path template, in order. */
export function paramNames(path: string): string[] {
  return path
    .split("/")
    .filter((segment) => segment.startsWith("{"))
    .map((segment) => segment.slice(1, -1));
}
