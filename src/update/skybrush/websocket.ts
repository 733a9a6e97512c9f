/** Flockwave over HTTP: as posted messages; over WebSocket: plain, one message a frame; and as Socket.IO's event `fw` below `/socket.io/`. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { RawData, WebSocket } from "ws";
import { optionalPackage } from "#core/optional-package.ts";
import { Arrival } from "./budget.ts";
import { EngineSession } from "./engine-session.ts";
import { readText } from "./envelope.ts";
import { type HttpOptions, inTime, mayConnect } from "./http.ts";
import { actorOf, type Listener, listenOn, MAX_UNSENT_BYTES } from "./listener.ts";
import { Polling } from "./polling.ts";
import { handlePost, POST_PATH } from "./post.ts";

const SOCKET_IO_PATH = "/socket.io";
/** Protocol of Engine.IO that is spoken. */
const ENGINE_VERSION = "4";
/** Close codes of RFC 6455. */
const UNSUPPORTED = 1003;
const TRY_LATER = 1013;
const FORBIDDEN = 403;
const TOO_MANY = 429;
const UPGRADE_REQUIRED = 426;
/** Head and mask of a frame with a short payload. */
const CONTROL_FRAME_BYTES = 6;
/** A client that polls has one for what it waits for, and one for what it sends. */
const CONNECTIONS_PER_CLIENT = 2;

/** Who asks for a WebSocket. */
interface Asking {
  readonly req: IncomingMessage;
}

/** Listens. @throws Fault misconfigured */
export async function listenWebSocket(options: HttpOptions): Promise<Listener> {
  const { WebSocketServer } = await optionalPackage("ws", "skybrush.websocket_port", () => import("ws"));
  const { address, maxMessageBytes, maxClients, tls, onProblem } = options;
  const polling = new Polling(options);
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    if (!inTime(request, response, options)) return;
    const url = urlOf(request);
    if (isSocketIo(url)) polling.handle(request, response, url, clientOf(request));
    else if (POST_PATH.test(url.pathname)) handlePost(request, response, options);
    else response.writeHead(UPGRADE_REQUIRED, { Upgrade: "websocket" }).end();
  };
  const http = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  http.maxConnections = CONNECTIONS_PER_CLIENT * maxClients;
  const server = new WebSocketServer({
    server: http,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    // one message a turn: a client that sends much at once keeps nobody else waiting
    allowSynchronousEvents: false,
    verifyClient: ({ req }: Asking, done: (mayConnect: boolean, status?: number) => void) => {
      if (options.rate.judge(clientOf(req)) === "take") done(mayConnect(req.headers, options), FORBIDDEN);
      else done(false, TOO_MANY);
    },
  });
  const port = await listenOn(http, options.port, address);
  server.on("error", (problem) => onProblem(problem, "websocket"));
  server.on("connection", (socket, request) => {
    socket.on("error", (problem) => onProblem(problem, clientOf(request)));
    if (server.clients.size + polling.count > maxClients + 1) socket.close(TRY_LATER, "Too many clients");
    else serve(socket, request, options, polling);
  });
  return {
    port,
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

function serve(socket: WebSocket, request: IncomingMessage, options: HttpOptions, polling: Polling): void {
  const url = urlOf(request);
  const actor = clientOf(request);
  const giveUp = (problem: string) => {
    // of what is read already there may be more
    if (socket.readyState !== socket.OPEN) return;
    options.onProblem(problem, actor);
    socket.terminate();
  };
  const receive = receiver(socket, request, options, giveUp);
  if (!isSocketIo(url)) {
    const session = options.hub.connect(actor, (message) => sendText(socket, JSON.stringify(message)));
    const hear = options.rate.hearing(session, actor, giveUp);
    receive((text) => hear(() => readText(text)));
    socket.on("close", () => session.close());
    return;
  }
  const id = url.searchParams.get("sid");
  if (url.searchParams.get("EIO") !== ENGINE_VERSION)
    socket.close(UNSUPPORTED, `Only Engine.IO ${ENGINE_VERSION} is spoken`);
  else if (id === null) serveSocketIo(socket, actor, options, receive);
  else if (!polling.upgrade(id, socket, receive)) socket.close(UNSUPPORTED, "Session ID unknown");
}

/** Calls `take` with each message, and sees to it that those which are on their way have room, and come to an end. */
function receiver(
  socket: WebSocket,
  request: IncomingMessage,
  options: HttpOptions,
  giveUp: (problem: string) => void,
) {
  let held = 0;
  const hold = (bytes: number) => {
    held = Math.max(0, bytes);
    arrival.hold(held);
  };
  const arrival = new Arrival(options, giveUp);
  // before the bytes are taken apart: a message that ends with them is told of afterwards
  request.socket.prependListener("data", (chunk: Uint8Array) => hold(held + chunk.byteLength));
  for (const control of ["ping", "pong"]) {
    socket.on(control, (data: Uint8Array) => {
      hold(held - CONTROL_FRAME_BYTES - data.byteLength);
      if (options.rate.judge(clientOf(request)) === "drop") giveUp(options.rate.reason);
    });
  }
  socket.on("close", () => hold(0));
  return (take: (text: string) => void) => {
    socket.on("message", (data) => {
      hold(0);
      take(textOf(data));
    });
  };
}

function serveSocketIo(
  socket: WebSocket,
  actor: string,
  options: HttpOptions,
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

function clientOf({ socket }: IncomingMessage): string {
  return actorOf(socket.remoteAddress);
}
