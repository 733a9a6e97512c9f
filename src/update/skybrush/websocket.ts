/** Flockwave over WebSocket: plain, one message a frame; and as Socket.IO's event `fw` below `/socket.io/`. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { RawData, WebSocket } from "ws";
import { Fault } from "#core/errors.ts";
import { EngineSession } from "./engine-session.ts";
import { readText } from "./envelope.ts";
import { type Listener, MAX_UNSENT_BYTES } from "./listener.ts";
import { Polling, type PollingOptions } from "./polling.ts";

const SOCKET_IO_PATH = "/socket.io";
/** Protocol of Engine.IO that is spoken. */
const ENGINE_VERSION = "4";
/** Close codes of RFC 6455. */
const UNSUPPORTED = 1003;
const TRY_LATER = 1013;
const UPGRADE_REQUIRED = 426;

/** Listens. @throws Fault misconfigured */
export async function listenWebSocket(options: PollingOptions): Promise<Listener> {
  const { WebSocketServer } = await import("ws");
  const { address, port, maxMessageBytes, maxClients, origins, onProblem } = options;
  const polling = new Polling(options);
  const http = createServer((request, response) => {
    const url = urlOf(request);
    if (isSocketIo(url)) polling.handle(request, response, url, actorOf(request));
    else response.writeHead(UPGRADE_REQUIRED, { Upgrade: "websocket" }).end();
  });
  const server = new WebSocketServer({
    server: http,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    // the protocol has no passwords: a page of anyone's must not reach it through a browser that can
    verifyClient: ({ origin }: { origin?: string }) => origin === undefined || origins.includes(origin),
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(new Fault("misconfigured", `Port ${port} of ${address}: ${error.message}`, undefined, error));
    });
    http.listen(port, address, resolve);
  });
  server.on("error", (problem) => onProblem(problem, "websocket"));
  server.on("connection", (socket, request) => {
    socket.on("error", (problem) => onProblem(problem, actorOf(request)));
    if (server.clients.size + polling.count > maxClients + 1) socket.close(TRY_LATER, "Too many clients");
    else serve(socket, request, options, polling);
  });
  return {
    port: (http.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        polling.close();
        for (const client of server.clients) client.terminate();
        server.close();
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

function serve(socket: WebSocket, request: IncomingMessage, options: PollingOptions, polling: Polling): void {
  const url = urlOf(request);
  const actor = actorOf(request);
  const receive = (take: (text: string) => void) => socket.on("message", (data) => take(textOf(data)));
  if (!isSocketIo(url)) {
    const session = options.hub.connect(actor, (message) => sendText(socket, JSON.stringify(message)));
    receive((text) => session.receive(readText(text)));
    socket.on("close", () => session.close());
    return;
  }
  const id = url.searchParams.get("sid");
  if (url.searchParams.get("EIO") !== ENGINE_VERSION)
    socket.close(UNSUPPORTED, `Only Engine.IO ${ENGINE_VERSION} is spoken`);
  else if (id === null) serveSocketIo(socket, actor, options, receive);
  else if (!polling.upgrade(id, socket, receive)) socket.close(UNSUPPORTED, "Session ID unknown");
}

function serveSocketIo(
  socket: WebSocket,
  actor: string,
  options: PollingOptions,
  receive: (take: (text: string) => void) => void,
): void {
  const send = (packet: string) => sendText(socket, packet);
  const session = new EngineSession({ ...options, actor, send, onEnd: () => socket.close() });
  receive((text) => session.receive(text));
  socket.on("close", () => session.end());
  send(session.opening([]));
}

function sendText(socket: WebSocket, text: string): void {
  if (socket.bufferedAmount > MAX_UNSENT_BYTES) socket.terminate();
  else if (socket.readyState === socket.OPEN) socket.send(text);
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return Buffer.from(data as Uint8Array).toString("utf8");
}

function isSocketIo({ pathname }: URL): boolean {
  return pathname.startsWith(SOCKET_IO_PATH);
}

/** Whatever a client sends as a path. */
function urlOf({ url = "/" }: IncomingMessage): URL {
  return URL.canParse(url, "http://localhost") ? new URL(url, "http://localhost") : new URL("http://localhost/");
}

function actorOf({ socket }: IncomingMessage): string {
  return `skybrush:${socket.remoteAddress ?? "?"}`;
}
