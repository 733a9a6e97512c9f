/** Opening the sockets of a diagnostic connection. */
import { connect, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { isLoopback } from "#core/loopback.ts";
import { IPV4, IPV6 } from "./families.ts";
import { type TlsSettings, tlsOptions } from "./tls.ts";

export interface SocketTarget {
  readonly host: string;
  readonly port: number;
  /** Address of this tester to leave from. */
  readonly localAddress?: string;
  /** Present: TLS. */
  readonly tls?: TlsSettings;
  /** Takes what came, in place of `data` events, where the socket can do so: valid until it returns. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

/**
 * Sockets of a thread read one after the other and their bytes are taken at once, so all read into one buffer: one of 64 KiB for each
 * read, and a stream's way to its listeners, cost more than a response's decoding.
 */
let readBuffer: Buffer | undefined;
const READ_BYTES = 65_536;

function onread(onBytes: (bytes: Uint8Array) => void) {
  readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES);
  const buffer = readBuffer;
  return {
    buffer,
    callback: (bytes: number): boolean => {
      onBytes(buffer.subarray(0, bytes));
      return true;
    },
  };
}

/** Starts a connection. The socket emits `connect`, with TLS `secureConnect`, then `data`; or `error` and `close`. */
export type OpenSocket = (target: SocketTarget) => Socket;

/** The event that says that a socket of this target can be written. */
export function readyEvent(target: SocketTarget): "connect" | "secureConnect" {
  return target.tls === undefined ? "connect" : "secureConnect";
}

export const openSocket: OpenSocket = ({ host, port, localAddress, tls, onBytes }) => {
  const target = { host, port, ...(localAddress === undefined ? {} : { localAddress }) };
  if (tls !== undefined) return connectTls({ ...target, ...tlsOptions(tls) });
  return connect(onBytes === undefined ? target : { ...target, onread: onread(onBytes) });
};

/**
 * The local address to bind for a peer: the tester's own, unless it is a placeholder or of the other family. A loopback source
 * reaches only loopback, so it is dropped for other peers.
 */
export function localAddressFor(testerIp: string, host: string): string | undefined {
  const { anyAddress } = isIPv6(host) ? IPV6 : IPV4;
  if (testerIp === anyAddress || testerIp === "" || isIPv6(testerIp) !== isIPv6(host)) return undefined;
  return isLoopback(testerIp) && !isLoopback(host) ? undefined : testerIp;
}
