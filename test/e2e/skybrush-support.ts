/** Clients of the Flockwave protocol over each transport, and a node that answers them. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { httpLink } from "#sim/ajour-links.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { type AjourNode, HOST, PASSWORD } from "./ajour-support.ts";
import { bounded } from "./harness.ts";

export type Message = { readonly id: string; readonly refs?: string; readonly body: Record<string, unknown> };

/** A connection that speaks the protocol. */
export interface Client {
  send(message: unknown): void;
  /** The first message, from the beginning on, that is accepted. */
  next(accepts: (message: Message) => boolean): Promise<Message>;
  readonly received: readonly Message[];
}

export const TARGET = "dev.sovd-edge.firmware.ajour";
export const CONFIG = {
  skybrush: { enabled: true, tcp_port: 0, websocket_port: 0, udp_port: 0, max_blob_bytes: 1 << 20, timeout_secs: 20 },
  update: {
    targets: { bms: { provider: "ajour" }, hud: { provider: "ajour" }, app: { provider: "command", folder: "app" } },
    ajour: { devices: { "bms-1": { component: "bms" }, "hud-1": { component: "hud" } } },
  },
};

let requests = 0;
export async function ask(client: Client, body: unknown): Promise<Record<string, unknown>> {
  const id = `q${++requests}`;
  client.send({ "$fw.version": "1.0", id, body });
  return (await client.next(({ refs }) => refs === id)).body;
}

export const link = (node: AjourNode, device: string) =>
  httpLink(node.origin, { device, password: PASSWORD, timeoutMs: 2_000 });

function clientOf(send: (message: unknown) => void): { client: Client; take(message: Message): void } {
  const received: Message[] = [];
  const waiting = new Set<(message: Message) => void>();
  const next: Client["next"] = (accepts) => {
    const known = received.find(accepts);
    if (known !== undefined) return Promise.resolve(known);
    return bounded(
      "a message",
      (resolve) => {
        const wake = (message: Message) => {
          if (!accepts(message)) return;
          waiting.delete(wake);
          resolve(message);
        };
        waiting.add(wake);
      },
      60_000,
    );
  };
  const take = (message: Message) => {
    received.push(message);
    for (const wake of waiting) wake(message);
  };
  return { client: { send, next, received }, take };
}

export async function tcp(t: TestContext, port: number): Promise<Client> {
  const socket = connect(port, HOST);
  await once(socket, "connect");
  return lines(t, socket);
}

/** Of a socket that is connected, by TLS or not. */
export function lines(t: TestContext, socket: Socket): Client {
  cleanup(t, () => socket.destroy());
  const text = (message: unknown) => (typeof message === "string" ? message : JSON.stringify(message));
  const { client, take } = clientOf((message) => socket.write(`${text(message)}\n`));
  const reader = createInterface({ input: socket });
  reader.on("line", (line) => take(JSON.parse(line) as Message));
  // a server that closes while it is sent to resets the connection
  reader.on("error", () => undefined);
  return client;
}

export async function webSocket(t: TestContext, port: number): Promise<Client> {
  const socket = new WebSocket(`ws://${HOST}:${port}/`);
  cleanup(t, () => socket.terminate());
  await once(socket, "open");
  return frames(socket);
}

/** Of a WebSocket that is open. */
export function frames(socket: WebSocket): Client {
  const { client, take } = clientOf((message) => socket.send(JSON.stringify(message)));
  socket.on("message", (data) => take(JSON.parse(String(data)) as Message));
  return client;
}

export async function socketIo(t: TestContext, port: number, transports = ["websocket"]): Promise<Client> {
  const socket = io(`http://${HOST}:${port}`, { transports, reconnection: false });
  cleanup(t, () => socket.close());
  if (transports.length > 1) {
    await bounded("the change to a WebSocket", (resolve) => socket.io.engine.once("upgrade", resolve));
  }
  if (!socket.connected) await bounded("a connection", (resolve) => socket.on("connect", () => resolve(undefined)));
  const { client, take } = clientOf((message) => socket.emit("fw", message));
  socket.on("fw", take);
  return client;
}

export async function udp(t: TestContext, port: number): Promise<Client> {
  const socket = createSocket("udp4");
  cleanup(t, () => socket.close());
  socket.bind(0, HOST);
  await once(socket, "listening");
  const text = (message: unknown) => (typeof message === "string" ? message : JSON.stringify(message));
  const { client, take } = clientOf((message) => socket.send(text(message), port, HOST));
  socket.on("message", (bytes) => take(JSON.parse(String(bytes)) as Message));
  return client;
}

/** One `POST /api/v1`. */
export async function post(
  node: AjourNode,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> {
  const response = await fetch(`http://${HOST}:${node.server.devicePorts.skybrushWebSocket}/api/v1`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: response.status, json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} };
}
