/** One keep-alive connection of the load generator: one request at a time, bytes in and a status out, next to no work between. */
import { connect, type Socket } from "node:net";
import { decodeResponse } from "./http-message.ts";

export interface ConnectionHandler {
  onOpen(connection: Connection): void;
  onResponse(connection: Connection, status: number): void;
  /** The request under way failed, or the connection did; `kind` is bounded. The connection is gone. */
  onError(connection: Connection, kind: string): void;
}

/** One request at a time. */
export type Connection = Pick<HttpConnection, "sinceMs" | "send" | "close">;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Bytes read in one turn of the socket. */
const READ_BYTES = 65_536;

export class HttpConnection {
  readonly #socket: Socket;
  readonly #handler: ConnectionHandler;
  #rest: Buffer | undefined;
  #over = false;
  /** When the request under way counts from; negative while idle. */
  sinceMs = -1;

  constructor({ host, port }: Address, handler: ConnectionHandler, buffer: Buffer = Buffer.allocUnsafe(READ_BYTES)) {
    this.#handler = handler;
    // reading into one buffer that is used again costs a third of a stream's `data` events
    const onread = {
      buffer,
      callback: (bytes: number) => {
        this.#receive(buffer.subarray(0, bytes));
        return true;
      },
    };
    const socket = connect({ host, port, noDelay: true, onread });
    this.#socket = socket;
    socket.on("connect", () => handler.onOpen(this));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(error.code ?? "socket error"));
    socket.on("end", () => this.#fail("connection closed"));
    socket.on("close", () => this.#fail("connection closed"));
  }

  send(request: Buffer, sinceMs: number): void {
    this.sinceMs = sinceMs;
    this.#socket.write(request);
  }

  /** Gives up: nothing more is told. */
  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const frame = decodeResponse(bytes);
    if (frame === "malformed") {
      this.#fail("malformed response");
      return;
    }
    if (frame === "incomplete") {
      this.#rest = this.#rest === undefined ? Buffer.from(chunk) : bytes;
      return;
    }
    this.#rest = undefined;
    if (this.sinceMs < 0 || frame.end < bytes.length) {
      this.#fail("unexpected response");
      return;
    }
    this.#handler.onResponse(this, frame.status);
    if (frame.closes) this.#fail("connection closed");
  }

  #fail(kind: string): void {
    if (this.#over) return;
    this.close();
    this.#handler.onError(this, kind);
  }
}
