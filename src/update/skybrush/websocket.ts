/** Flockwave over WebSocket: plain, one message a frame; and as Socket.IO's event `fw` below `/socket.io/`. */
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { RawData, WebSocket } from "ws";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { newId, readMessage, readText } from "./envelope.ts";
import type { Session } from "./hub.ts";
import { type Listener, type ListenOptions, MAX_UNSENT_BYTES } from "./listener.ts";
import {
  ackPacket,
  connectPacket,
  ENGINE,
  EVENT,
  eventPacket,
  openPacket,
  readPacket,
  refusePacket,
} from "./socket-io.ts";

export interface WebSocketOptions extends ListenOptions {
  readonly clock: Clock;
  /** Web pages that may connect, by their `Origin`; programs send none. */
  readonly origins: readonly string[];
}

const SOCKET_IO_PATH = "/socket.io";
/** Protocol of Engine.IO that is spoken. */
const ENGINE_VERSION = "4";
const PING_INTERVAL_MS = 25_000;
const PING_TIMEOUT_MS = 20_000;
/** Close codes of RFC 6455. */
const UNSUPPORTED = 1003;
const TRY_LATER = 1013;

/** Listens. @throws Fault misconfigured */
export async function listenWebSocket(options: WebSocketOptions): Promise<Listener> {
  const { WebSocketServer } = await import("ws");
  const { address, port, maxMessageBytes, maxClients, origins, onProblem } = options;
  const server = new WebSocketServer({
    host: address,
    port,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    // the protocol has no passwords: a page of anyone's must not reach it through a browser that can
    verifyClient: ({ origin }: { origin?: string }) => origin === undefined || origins.includes(origin),
  });
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", (error) => {
      reject(new Fault("misconfigured", `Port ${port} of ${address}: ${error.message}`, undefined, error));
    });
  });
  server.on("error", (problem) => onProblem(problem, "websocket"));
  server.on("connection", (socket, request) => {
    socket.on("error", (problem) => onProblem(problem, actorOf(request)));
    if (server.clients.size > maxClients) socket.close(TRY_LATER, "Too many clients");
    else serve(socket, request, options);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const client of server.clients) client.terminate();
      }),
  };
}

function serve(socket: WebSocket, request: IncomingMessage, options: WebSocketOptions): void {
  const url = new URL(request.url ?? "/", "ws://localhost");
  if (!url.pathname.startsWith(SOCKET_IO_PATH)) servePlain(socket, actorOf(request), options);
  else if (url.searchParams.get("EIO") === ENGINE_VERSION) serveSocketIo(socket, actorOf(request), options);
  else socket.close(UNSUPPORTED, `Only Engine.IO ${ENGINE_VERSION} is spoken`);
}

function servePlain(socket: WebSocket, actor: string, { hub }: WebSocketOptions): void {
  const session = hub.connect(actor, (message) => sendText(socket, JSON.stringify(message)));
  socket.on("message", (data) => session.receive(readText(textOf(data))));
  socket.on("close", () => session.close());
}

function serveSocketIo(socket: WebSocket, actor: string, { hub, clock, maxMessageBytes }: WebSocketOptions): void {
  let session: Session | undefined;
  let timer = clock.setTimeout(ping, PING_INTERVAL_MS);
  const restart = (handler: () => void, delayMs: number): void => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(handler, delayMs);
  };
  function ping(): void {
    sendText(socket, ENGINE.ping);
    restart(() => socket.terminate(), PING_TIMEOUT_MS);
  }
  const connect = (namespace: string): void => {
    if (namespace !== "/") {
      sendText(socket, refusePacket(namespace));
      return;
    }
    session ??= hub.connect(actor, (message) => sendText(socket, eventPacket(EVENT, message)));
    sendText(socket, connectPacket(newId()));
  };
  const receive = (text: string): void => {
    const packet = readPacket(text);
    if (packet.type === "pong") restart(ping, PING_INTERVAL_MS);
    else if (packet.type === "ping") sendText(socket, ENGINE.pong + packet.payload);
    else if (packet.type === "connect") connect(packet.namespace);
    else if (packet.type === "close" || packet.type === "disconnect") socket.close();
    else if (packet.type === "event" && session !== undefined) {
      if (packet.ack !== undefined) sendText(socket, ackPacket(packet.ack));
      const { payload } = packet;
      if (packet.name === EVENT)
        session.receive(typeof payload === "string" ? readText(payload) : readMessage(payload));
    }
  };
  socket.on("message", (data) => receive(textOf(data)));
  socket.on("close", () => {
    clock.clearTimeout(timer);
    session?.close();
  });
  sendText(socket, openPacket(newId(), PING_INTERVAL_MS, PING_TIMEOUT_MS, maxMessageBytes));
}

function sendText(socket: WebSocket, text: string): void {
  if (socket.bufferedAmount > MAX_UNSENT_BYTES) socket.terminate();
  else if (socket.readyState === socket.OPEN) socket.send(text);
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return Buffer.from(data as Uint8Array).toString("utf8");
}

function actorOf({ socket }: IncomingMessage): string {
  return `skybrush:${socket.remoteAddress ?? "?"}`;
}
