/** What the HTTP front end is told, and what it shows. */
import type { Clock } from "#core/time.ts";
import type { SovdContext } from "#sovd/context.ts";
import type { Route } from "#sovd/route.ts";
import type { StageTimes } from "#telemetry/stages.ts";
import type { Refusal } from "./admission.ts";
import type { UploadBudget } from "./upload-stream.ts";
import type { AppOptions } from "./uws.ts";

/** What an observer (metrics, access log, audit) learns of each answered request. */
export interface RequestRecord {
  readonly method: string;
  /** Path template of the route; undefined when none matched. */
  readonly route: string | undefined;
  readonly path: string;
  readonly status: number;
  readonly durationMs: number;
  readonly subject: string;
}

export interface HttpServerOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly routes: readonly Route[];
  readonly context: SovdContext;
  readonly clock: Clock;
  /** Certificate and key files; without: plain HTTP. */
  readonly tls?: AppOptions;
  readonly requestTimeoutMs?: number;
  readonly maxBodyBytes?: number;
  /** Largest upload. */
  readonly maxUploadBytes?: number;
  /** Largest file of bulk data; default: as `maxUploadBytes`. */
  readonly maxBulkBytes?: number;
  /** Bytes of all uploads together that are held before they are stored; a connection that brings more is closed. */
  readonly maxUploadBufferBytes?: number;
  /** Longest upload, transfer included. */
  readonly uploadTimeoutMs?: number;
  readonly maxHeaderBytes?: number;
  /** Requests under way; more are refused with 503. */
  readonly maxInFlight?: number;
  /** Requests that come when a turn of the event loop has lasted so long are refused with 503. */
  readonly maxTurnMs?: number;
  /** Requests of one client address per second; more are refused with 429. 0: not counted. */
  readonly maxClientRatePerS?: number;
  /** Client addresses that are remembered for that. */
  readonly maxClients?: number;
  /** Open connections; more are closed at once. */
  readonly maxConnections?: number;
  /** Deepest nesting of a JSON body. */
  readonly maxJsonDepth?: number;
  /** Links take the host of `Forwarded` and `X-Forwarded-Host`. */
  readonly trustForwarded?: boolean;
  /** Origins that browsers may call from. */
  readonly corsOrigins?: readonly string[];
  /** Silence after which a stream of server-sent events gets a comment. */
  readonly heartbeatMs?: number;
  /** How long `close` waits for answers. */
  readonly closeTimeoutMs?: number;
  readonly observe?: (record: RequestRecord) => void;
  /** Given only while stages are timed. */
  readonly stages?: StageTimes | undefined;
}

/** Of what is not given. */
export const DEFAULTS = {
  requestTimeoutMs: 30_000,
  maxBodyBytes: 2 * 1024 * 1024,
  maxUploadBytes: 50 * 1024 * 1024,
  maxUploadBufferBytes: 64 * 1024 * 1024,
  uploadTimeoutMs: 300_000,
  maxHeaderBytes: 16 * 1024,
  maxInFlight: 1024,
  maxTurnMs: 250,
  maxClientRatePerS: 0,
  maxClients: 1024,
  maxConnections: 1024,
  maxJsonDepth: 64,
  trustForwarded: true,
  corsOrigins: [] as readonly string[],
  heartbeatMs: 15_000,
  closeTimeoutMs: 5_000,
};

export interface HttpServer {
  readonly port: number;
  /** Requests under way. */
  readonly inFlight: number;
  /** Open connections. */
  readonly connections: number;
  /** Connections that were closed because there were too many. */
  readonly connectionsRefused: number;
  /** Requests refused before anything of them was looked at. */
  readonly refused: Readonly<Record<Refusal, number>>;
  /** Client addresses whose rate is counted. */
  readonly clients: number;
  /** What uploads hold in memory. */
  readonly uploads: Readonly<UploadBudget>;
  /** Clients that follow server-sent events. */
  readonly eventStreams: number;
  /** As `Listener.prepare`. @throws Fault misconfigured */
  prepareTls(tls: AppOptions): () => Promise<void>;
  /** Takes no new connection, lets answers finish, then closes what is left. */
  close(): Promise<void>;
}
