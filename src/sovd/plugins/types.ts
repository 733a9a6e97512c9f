/**
 * What a plugin is: the object that the default export of an ES module makes. Every member is optional. The module is loaded once on
 * the main thread and, when it has `checkBeforeSend`, once more in each shard, where nothing else of it is used.
 */
import type { Fault, FaultDetails, FaultKind } from "#core/errors.ts";
import type { EcuView, Fleet } from "#fleet/api.ts";
import type { CheckBeforeSend } from "#fleet/messages.ts";
import type { Answer, Method, SovdRequest } from "../route.ts";

/** The default export of a plugin's module. `thread`: where it is called. */
export type CreatePlugin = (host: { readonly thread: "main" | "shard" }) => Plugin | Promise<Plugin>;

export interface Plugin {
  /** In logs and errors; default: the file's name. */
  readonly name?: string;
  /** Below each base path, through the route table: matched, checked, authorised and documented as the built-in ones. */
  readonly routes?: readonly PluginRoute[];
  /**
   * Takes log records but those of its own `context.log`, one after the other; the next one comes when a returned promise has
   * settled. What waits is bounded (`plugins.log_queue_records`).
   */
  logSink?(record: PluginLogRecord): void | Promise<void>;
  /** Asked in the shard before each frame that leaves for an ECU, repeats included. A text refuses. */
  readonly checkBeforeSend?: CheckBeforeSend;
  /** Ask `checkBeforeSend` about tester present (0x3E) too. */
  readonly checkTesterPresent?: boolean;
  /** Called once, before the server listens; when it fails the server does not start. */
  init?(context: PluginContext): void | Promise<void>;
  /** Called once, when the server ends. */
  close?(): void | Promise<void>;
}

/** What a plugin may use, from `init` on. */
export interface PluginContext {
  readonly log: PluginLog;
  /** ECUs, functional groups, and typed calls to them. No token is asked for: who may call what is for the plugin to know. */
  readonly vehicle: Pick<Fleet, "ready" | "ecus" | "ecu" | "groups" | "gateways" | "call" | "callGroup" | "onChange">;
  /**
   * Begins communication where `communication.init_mode` left that to a plugin or to the first request; resolves when it has begun.
   * Calling it again changes nothing; after a failure it tries anew.
   */
  triggerDeferredInitialization(): Promise<void>;
  /** An error of the closed set, for a handler to throw. */
  fault(kind: FaultKind, message: string, details?: FaultDetails): Fault;
}

export type PluginLog = Readonly<
  Record<"debug" | "info" | "warn" | "error", (message: string, fields?: Readonly<Record<string, unknown>>) => void>
>;

export interface PluginLogRecord {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  /** The part of the program that speaks. */
  readonly scope: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** JSON Schema of an object. */
export interface ObjectSchema {
  readonly type: "object";
  readonly properties: Readonly<Record<string, object>>;
  readonly required?: readonly string[];
}

/** `ecu` and `group` are there where the path has `{ecu}` or `{group}`: they are looked up before the handler is called. */
export type PluginRequest = SovdRequest<
  Readonly<Record<string, string>>,
  Readonly<Record<string, unknown>>,
  unknown,
  EcuView | undefined,
  string | undefined
>;

export interface PluginRoute {
  readonly method: Method;
  /** Below the base paths, e.g. `/x-vendor/{part}`; parameters are handed over in lower case. */
  readonly path: string;
  readonly summary: string;
  /** Heading in the documentation; default: the plugin's name. */
  readonly tag?: string;
  /** No token is needed. */
  readonly public?: boolean;
  /** Answers before databases are loaded. */
  readonly early?: boolean;
  /** Refused while databases are switched; default: all but GET. */
  readonly exclusive?: boolean;
  /** The lock that the caller must hold, on what the path names. */
  readonly lock?: "none" | "ecu" | "group" | "vehicle";
  /** Request headers that the handler reads, lower case. */
  readonly headers?: readonly string[];
  readonly params?: ObjectSchema;
  /** Query parameters; values are text, and booleans and integers where the schema says so. */
  readonly query?: ObjectSchema;
  /** A JSON body by its schema, or bytes as they come (`application/octet-stream`, which the caller accepts as well). */
  readonly body?: { readonly schema: object; readonly optional?: boolean } | "bytes";
  /** By status; default: 200 without a schema. */
  readonly responses?: Readonly<
    Record<number, { readonly description: string; readonly schema?: object; readonly contentType?: string }>
  >;
  handle(request: PluginRequest, context: PluginContext): Answer | Promise<Answer>;
}
