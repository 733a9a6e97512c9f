/** Opening the sockets of a diagnostic connection. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ANY_ADDRESS, isLoopback } from "./ipv4.ts";
import { type TlsSettings, tlsOptions } from "./tls.ts";

export interface SocketTarget {
  readonly host: string;
  readonly port: number;
  /** Address of this tester to leave from. */
  readonly localAddress?: string;
  /** Present: TLS. */
  readonly tls?: TlsSettings;
}

/** Starts a connection. The socket emits `connect`, with TLS `secureConnect`, then `data`; or `error` and `close`. */
export type OpenSocket = (target: SocketTarget) => Socket;

/** The event that says that a socket of this target can be written. */
export function readyEvent(target: SocketTarget): "connect" | "secureConnect" {
  return target.tls === undefined ? "connect" : "secureConnect";
}

export const openSocket: OpenSocket = ({ host, port, localAddress, tls }) => {
  const target = { host, port, ...(localAddress === undefined ? {} : { localAddress }) };
  return tls === undefined ? connect(target) : connectTls({ ...target, ...tlsOptions(tls) });
};

/**
 * The local address to bind for a peer: the tester's own, unless it is a placeholder. A loopback source reaches only loopback, so it
 * is dropped for other peers.
 */
export function localAddressFor(testerIp: string, host: string): string | undefined {
  if (testerIp === ANY_ADDRESS || testerIp === "") return undefined;
  return isLoopback(testerIp) && !isLoopback(host) ? undefined : testerIp;
}
