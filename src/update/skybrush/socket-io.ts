/**
 * Packets of Socket.IO (protocol 5 over Engine.IO 4), as much as its clients need here: the name space `/`, text events, their
 * acknowledgement. No binary events, which this protocol has none of.
 */

import { parse } from "./envelope.ts";

/** Packet types of Engine.IO. */
export const ENGINE = { open: "0", close: "1", ping: "2", pong: "3", message: "4", upgrade: "5", noop: "6" } as const;
/** Packet types of Socket.IO, within an Engine.IO message. */
export const SOCKET = { connect: "0", disconnect: "1", event: "2", ack: "3", connectError: "4" } as const;

/** The event that carries Flockwave messages. */
export const EVENT = "fw";
const NO_NAMESPACE = "/";

export type Packet =
  | { readonly type: "close" | "pong" | "disconnect" }
  /** The client may ask whether we are there. */
  | { readonly type: "ping"; readonly payload: string }
  | { readonly type: "connect"; readonly namespace: string }
  | { readonly type: "event"; readonly name: string; readonly payload: unknown; readonly ack: string | undefined }
  | { readonly type: "other" };

const OTHER: Packet = { type: "other" };

/** Total: what is none of the packets we know is `other`. */
export function readPacket(text: string): Packet {
  const content = text.slice(1);
  switch (text[0]) {
    case ENGINE.close:
      return { type: "close" };
    case ENGINE.ping:
      return { type: "ping", payload: content };
    case ENGINE.pong:
      return { type: "pong" };
    case ENGINE.message:
      return readSocketPacket(content);
    default:
      return OTHER;
  }
}

function readSocketPacket(text: string): Packet {
  const [, type, namespace = NO_NAMESPACE, ack, data = ""] = PACKET.exec(text) ?? [];
  if (type === SOCKET.connect) return { type: "connect", namespace };
  if (namespace !== NO_NAMESPACE) return OTHER;
  if (type === SOCKET.disconnect) return { type: "disconnect" };
  if (type !== SOCKET.event) return OTHER;
  try {
    const [name, payload]: unknown[] = parse(data) as unknown[];
    return typeof name === "string" ? { type: "event", name, payload, ack: ack === "" ? undefined : ack } : OTHER;
  } catch {
    return OTHER;
  }
}

/** Type, name space up to its comma, number of the acknowledgement, JSON. */
const PACKET = /^([0-6])(?:(\/[^,]*),)?(\d{0,15})([\s\S]*)$/;

export function openPacket(
  id: string,
  upgrades: readonly string[],
  pingIntervalMs: number,
  pingTimeoutMs: number,
  maxPayload: number,
): string {
  const handshake = { sid: id, upgrades, pingInterval: pingIntervalMs, pingTimeout: pingTimeoutMs, maxPayload };
  return ENGINE.open + JSON.stringify(handshake);
}

export function connectPacket(id: string): string {
  return `${ENGINE.message}${SOCKET.connect}${JSON.stringify({ sid: id })}`;
}

export function refusePacket(namespace: string): string {
  const reason = JSON.stringify({ message: "Invalid namespace" });
  return `${ENGINE.message}${SOCKET.connectError}${namespace},${reason}`;
}

export function eventPacket(name: string, payload: unknown): string {
  return `${ENGINE.message}${SOCKET.event}${JSON.stringify([name, payload])}`;
}

export function ackPacket(number: string): string {
  return `${ENGINE.message}${SOCKET.ack}${number}[]`;
}
