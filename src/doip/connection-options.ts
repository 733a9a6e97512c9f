/** What a connection to a gateway is told, and what it tells. */
import type { Clock } from "#core/time.ts";
import type { OpenSocket } from "./socket.ts";
import type { TlsSettings } from "./tls.ts";

export interface ConnectionTiming {
  /** TCP and TLS handshake. */
  readonly connectTimeoutMs: number;
  readonly activationTimeoutMs: number;
  readonly retryDelayMs: number;
  readonly retryAttempts: number;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface ConnectionEvents {
  /** Strictly alternating, in the order in which it happened, after the channels were told. */
  onConnectivity?(connected: boolean, facts: ConnectionFacts): void;
  onLog?(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface ConnectionFacts {
  readonly gatewayAddress: number;
  readonly ip: string;
  readonly tls: boolean;
  /** Why the connection ended. */
  readonly reason?: string;
}

export interface ConnectionOptions {
  readonly gatewayAddress: number;
  readonly ip: string;
  /** Protocol version of the entity's announcement. */
  readonly version: number;
  /** Further action that the announcement asks for: 0x10 wants the routing activation of central security. */
  readonly furtherAction?: number;
  readonly port: number;
  readonly tlsPort: number;
  readonly testerAddress: number;
  readonly testerIp: string;
  /** For gateways on IPv6; absent: the system chooses. */
  readonly testerIpv6?: string;
  readonly timing: ConnectionTiming;
  readonly clock: Clock;
  /** Whether a response belongs to a request, as the layer above sees it. */
  readonly answers: (request: Uint8Array, response: Uint8Array) => boolean;
  readonly tls?: TlsSettings;
  readonly open?: OpenSocket;
  readonly events?: ConnectionEvents;
  readonly sendTimeoutMs?: number;
  /** Acknowledge received diagnostic messages. */
  readonly acknowledge?: boolean;
  /** False: a missing ACK does not fail a request. */
  readonly ackRequired?: boolean;
  readonly aliveIntervalMs?: number;
  readonly aliveTimeoutMs?: number;
  /** Idle time before TCP keep-alive probes. */
  readonly tcpKeepAliveMs?: number;
  readonly maxPayloadBytes?: number;
  readonly maxQueuedBytes?: number;
}

/** Counters since start; plain numbers for metrics. */
export interface ConnectionStats {
  requests: number;
  responses: number;
  unexpected: number;
  malformed: number;
  connects: number;
  losses: number;
}

export const CONNECTION_DEFAULTS = {
  sendTimeoutMs: 1_000,
  acknowledge: true,
  ackRequired: true,
  aliveIntervalMs: 1_800_000,
  aliveTimeoutMs: 1_000,
  tcpKeepAliveMs: 10_000,
  maxPayloadBytes: 64 * 1024 * 1024,
  maxQueuedBytes: 1024 * 1024,
} as const;
