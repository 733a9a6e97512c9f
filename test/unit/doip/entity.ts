import { createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { decodePayload, encode, type Message } from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { Mailbox } from "./support.ts";

export interface Heard {
  readonly message: Message;
  readonly socket: Socket;
  readonly version: number;
}

/** What the entity does with a message; true: it has been dealt with, else the default answer follows. */
export type Script = (message: Message, say: (...answers: Message[]) => void, socket: Socket) => boolean | undefined;

/** A scripted DoIP entity, on 127.0.0.1 unless told otherwise: activates routing, acknowledges requests, answers alive checks unless the script does. */
export class Entity {
  readonly heard = new Mailbox<Heard>();
  readonly sockets = new Mailbox<Socket>();
  readonly refused = new Mailbox<string>();
  readonly open = new Set<Socket>();
  readonly server: Server;
  script: Script = () => undefined;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(
    t: TestContext,
    tls?: { key: string; cert: string; ciphers?: string; maxVersion?: "TLSv1.2" },
    host = "127.0.0.1",
    port = 0,
  ) {
    const server = tls === undefined ? createServer() : createTlsServer({ ...tls });
    const entity = new Entity(server);
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => entity.#accept(socket));
    server.on("tlsClientError", (error: Error) => entity.refused.push(error.message));
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    cleanup(t, () => entity.stop());
    return entity;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** Messages of one kind that come next. */
  async hear<K extends Message["kind"]>(kind: K): Promise<Extract<Message, { kind: K }>> {
    const { message } = await this.heard.until((heard) => heard.message.kind === kind);
    return message as Extract<Message, { kind: K }>;
  }

  say(...messages: Message[]): void {
    for (const socket of this.open) socket.write(Buffer.concat(messages.map((message) => encode(2, message))));
  }

  raw(bytes: Uint8Array): void {
    for (const socket of this.open) socket.write(bytes);
  }

  disconnect(): void {
    for (const socket of this.open) socket.destroy();
  }

  async stop(): Promise<void> {
    this.disconnect();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  #accept(socket: Socket): void {
    socket.setNoDelay(true);
    this.open.add(socket);
    socket.on("close", () => this.open.delete(socket));
    socket.on("error", () => {});
    const say = (...answers: Message[]) => {
      if (answers.length > 0) socket.write(Buffer.concat(answers.map((answer) => encode(2, answer))));
    };
    const framer = new StreamFramer(
      {
        onMessage: (version, type, payload) => {
          const message = decodePayload(version, type, Uint8Array.from(payload));
          if (message === undefined) return;
          if (this.script(message, say, socket) !== true) say(...defaultAnswers(message));
          this.heard.push({ message, socket, version });
        },
        onRefused: () => socket.destroy(),
      },
      { maxPayloadBytes: 100_000 },
    );
    socket.on("data", (chunk) => framer.push(chunk));
    this.sockets.push(socket);
  }
}

export const TESTER = 0x0e00;

export function activated(code = 0x10): Message {
  return { kind: "routingActivationResponse", testerAddress: TESTER, entityAddress: 0x1000, code };
}

export function ack(sourceAddress: number, echo: Uint8Array = new Uint8Array(0)): Message {
  return { kind: "diagnosticAck", sourceAddress, targetAddress: TESTER, code: 0, echo };
}

export function nack(sourceAddress: number, code: number): Message {
  return { kind: "diagnosticNack", sourceAddress, targetAddress: TESTER, code, echo: new Uint8Array(0) };
}

export function answer(sourceAddress: number, uds: Uint8Array): Message {
  return { kind: "diagnosticMessage", sourceAddress, targetAddress: TESTER, uds };
}

function defaultAnswers(message: Message): Message[] {
  switch (message.kind) {
    case "routingActivationRequest":
      return [activated()];
    case "aliveCheckRequest":
      return [{ kind: "aliveCheckResponse", sourceAddress: 0x1000 }];
    case "diagnosticMessage":
      return [ack(message.targetAddress)];
    default:
      return [];
  }
}
