/** One socket of a connection: bytes in as messages, frames out bounded, and one word when it is over. */
import type { Socket } from "node:net";
import { StreamFramer } from "./framing.ts";
import { type OpenSocket, readyEvent, type SocketTarget } from "./socket.ts";
import type { GenericNackName } from "./tables.ts";
import { FrameWriter } from "./writer.ts";

export interface WireHandler {
  /** TCP, and TLS where asked for, is up. */
  onOpen(): void;
  /** Something came from the peer; before `onMessage`. */
  onHeard(): void;
  /** `payload` is valid until this returns. */
  onMessage(version: number, payloadType: number, payload: Uint8Array): void;
  onRefused(nack: GenericNackName, closes: boolean, payloadType: number | undefined): void;
  /** Queued bytes have left. */
  onRoom(): void;
  /** The socket failed or was closed by the peer. Nothing follows. */
  onEnd(reason: string): void;
}

export interface WireLimits {
  readonly maxPayloadBytes: number;
  readonly maxQueuedBytes: number;
  readonly tcpKeepAliveMs: number;
}

export class Wire {
  readonly #socket: Socket;
  readonly #framer: StreamFramer;
  readonly #writer: FrameWriter;
  #dropped = false;
  #error: string | undefined;

  /** Starts to connect. Throws what `open` throws. */
  constructor(open: OpenSocket, target: SocketTarget, limits: WireLimits, handler: WireHandler) {
    const onBytes = (chunk: Uint8Array) => {
      if (this.#dropped) return;
      handler.onHeard();
      this.#framer.push(chunk);
    };
    const socket = open({ ...target, onBytes });
    this.#socket = socket;
    this.#framer = new StreamFramer(handler, limits);
    this.#writer = new FrameWriter(socket, limits.maxQueuedBytes);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, limits.tcpKeepAliveMs);
    socket.on(readyEvent(target), () => {
      if (!this.#dropped) handler.onOpen();
    });
    socket.on("data", onBytes);
    socket.on("drain", () => {
      if (!this.#dropped) handler.onRoom();
    });
    // `close` follows and tells.
    socket.on("error", (error: Error) => {
      this.#error = error.message;
    });
    socket.on("end", () => this.#over(handler));
    socket.on("close", () => this.#over(handler));
  }

  /** False, and nothing queued: no room now; `onRoom` follows. */
  write(frame: Uint8Array): boolean {
    return !this.#dropped && this.#writer.write(frame);
  }

  /** As `write`, for a frame that nobody waits for. */
  writeLater(frame: Uint8Array): boolean {
    return !this.#dropped && this.#writer.writeLater(frame);
  }

  /**
   * Silences the handler and closes the socket. What was queued in this turn, such as a NACK, is handed to the system before; what
   * the peer does not take is given up, so that a stalled one holds no sockets here.
   */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#framer.stop();
    this.#writer.flush();
    process.nextTick(() => this.#socket.destroy());
  }

  /** Resolves when the socket is gone. */
  get gone(): Promise<void> {
    if (this.#socket.closed) return Promise.resolve();
    return new Promise((resolve) => this.#socket.once("close", () => resolve()));
  }

  #over(handler: WireHandler): void {
    if (this.#dropped) return;
    this.drop();
    handler.onEnd(this.#error ?? "closed by the gateway");
  }
}
