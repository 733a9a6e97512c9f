/**
 * Engine.IO by long polling, with which most clients begin before they change to a WebSocket: packets to the client wait for its next GET,
 * packets from it come by POST. A session is found by its id, which only its client knows.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import { EngineSession } from "./engine-session.ts";
import { admit, answer, type HttpOptions, readBody } from "./http.ts";
import { MAX_UNSENT_BYTES } from "./listener.ts";
import { ENGINE } from "./socket-io.ts";

interface Polled {
  readonly session: EngineSession;
  /** Packets that wait. */
  queue: string[];
  queuedBytes: number;
  /** The GET that waits for them. */
  poll: ServerResponse | undefined;
  /** The client is about to change to a WebSocket: it waits for its GET to end. */
  changing: boolean;
  /** What the client changed to. */
  socket: WebSocket | undefined;
}

const SEPARATOR = "\x1e";
const PROBE = "probe";
/** Of one POST; a client sends what gathered since its last one. */
const MAX_PACKETS = 4_096;

export class Polling {
  readonly #options: HttpOptions;
  readonly #sessions = new Map<string, Polled>();

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** Clients that have not changed to a WebSocket. */
  get count(): number {
    return [...this.#sessions.values()].filter(({ socket }) => socket === undefined).length;
  }

  handle(request: IncomingMessage, response: ServerResponse, url: URL, actor: string): void {
    if (!admit(request, response, this.#options)) return;
    const id = url.searchParams.get("sid");
    const polled = id === null ? undefined : this.#sessions.get(id);
    if (id === null && request.method === "GET") this.#open(response, actor);
    else if (polled === undefined || polled.socket !== undefined) answer(response, 400, "Session ID unknown");
    else if (request.method === "GET") this.#poll(polled, response);
    else if (request.method === "POST") this.#post(polled, request, response);
    else answer(response, 405, "");
  }

  /** A client that changes to a WebSocket: it proves that the socket carries, then says that it has changed. */
  upgrade(id: string, socket: WebSocket, receive: (take: (text: string) => void) => void): boolean {
    const polled = this.#sessions.get(id);
    if (polled === undefined || polled.socket !== undefined) return false;
    receive((text) => {
      if (polled.socket === socket) polled.session.receive(text);
      else if (text === ENGINE.ping + PROBE) {
        socket.send(ENGINE.pong + PROBE);
        // lets the waiting GET go, or the one that is on its way, so that nothing more is sent by it
        polled.changing = true;
        this.#flush(polled, ENGINE.noop);
      } else if (text === ENGINE.upgrade) this.#change(polled, socket);
    });
    socket.on("close", () => {
      polled.changing = false;
      if (polled.socket === socket) polled.session.end();
    });
    return true;
  }

  close(): void {
    for (const { session } of [...this.#sessions.values()]) session.end();
  }

  #open(response: ServerResponse, actor: string): void {
    if (this.#sessions.size >= this.#options.maxClients) {
      answer(response, 503, "Too many clients");
      return;
    }
    const session = new EngineSession({
      ...this.#options,
      actor,
      send: (packet) => this.#send(polled, packet),
      onEnd: () => this.#end(polled),
    });
    const polled: Polled = { session, queue: [], queuedBytes: 0, poll: undefined, changing: false, socket: undefined };
    this.#sessions.set(session.id, polled);
    answer(response, 200, session.opening(["websocket"]));
  }

  #poll(polled: Polled, response: ServerResponse): void {
    if (polled.poll !== undefined) {
      // two at a time: one of them is not the client
      answer(response, 400, "");
      polled.session.end();
      return;
    }
    polled.poll = response;
    response.on("close", () => {
      if (polled.poll === response) polled.poll = undefined;
    });
    if (polled.changing) this.#flush(polled, ENGINE.noop);
    else if (polled.queue.length > 0) this.#flush(polled);
  }

  #post(polled: Polled, request: IncomingMessage, response: ServerResponse): void {
    readBody(request, response, this.#options, (text) => {
      answer(response, 200, "ok");
      for (const packet of text.split(SEPARATOR, MAX_PACKETS)) polled.session.receive(packet);
    });
  }

  #send(polled: Polled, packet: string): void {
    const { socket } = polled;
    if (socket !== undefined) {
      if (socket.bufferedAmount > MAX_UNSENT_BYTES) socket.terminate();
      else if (socket.readyState === socket.OPEN) socket.send(packet);
      return;
    }
    polled.queue.push(packet);
    polled.queuedBytes += packet.length;
    if (polled.queuedBytes > MAX_UNSENT_BYTES) polled.session.end();
    else this.#flush(polled);
  }

  /** Sends what waits by the GET that waits; `otherwise`: when nothing does. */
  #flush(polled: Polled, otherwise?: string): void {
    const { poll, queue } = polled;
    if (poll === undefined || (queue.length === 0 && otherwise === undefined)) return;
    polled.poll = undefined;
    polled.queue = [];
    polled.queuedBytes = 0;
    answer(poll, 200, queue.length === 0 ? otherwise! : queue.join(SEPARATOR));
  }

  #change(polled: Polled, socket: WebSocket): void {
    polled.socket = socket;
    for (const packet of polled.queue) socket.send(packet);
    polled.queue = [];
    polled.queuedBytes = 0;
  }

  #end(polled: Polled): void {
    this.#sessions.delete(polled.session.id);
    this.#flush(polled, ENGINE.close);
    polled.socket?.close();
  }
}
