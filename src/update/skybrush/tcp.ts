/** Flockwave over TCP: one JSON message a line. A line that is no message is passed over; one that does not end closes the connection. */
import { createServer, type Socket } from "node:net";
import { Fault } from "#core/errors.ts";
import { readText } from "./envelope.ts";
import { type Listener, type ListenOptions, MAX_UNSENT_BYTES } from "./listener.ts";

const NEWLINE = 0x0a;

/** Listens. @throws Fault misconfigured */
export async function listenTcp(options: ListenOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, options);
  });
  server.maxConnections = options.maxClients;
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new Fault("misconfigured", `Port ${options.port} of ${options.address}: ${error.message}`, undefined, error),
      );
    });
    server.listen(options.port, options.address, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(socket: Socket, { hub, maxMessageBytes, onProblem }: ListenOptions): void {
  const where = `skybrush:${socket.remoteAddress ?? "?"}`;
  const session = hub.connect(where, (message) => {
    if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy();
    else if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
  });
  const lines = new Lines(maxMessageBytes);
  socket.on("data", (chunk) => {
    const whole = lines.take(chunk);
    for (const line of whole) if (line.trim() !== "") session.receive(readText(line));
    if (!lines.tooLong) return;
    onProblem("A line is too long", where);
    socket.destroy();
  });
  socket.on("error", (problem) => onProblem(problem, where));
  socket.on("close", () => session.close());
}

/** Cuts bytes into lines; keeps what is not yet one, up to a limit. */
export class Lines {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** A line has begun that is longer than any may be. */
  get tooLong(): boolean {
    return this.#size > this.#maxBytes;
  }

  /** Lines that are whole now, without their ends; too long ones are left out. */
  take(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#add(chunk.subarray(from, at));
      if (!this.tooLong) lines.push(Buffer.concat(this.#parts).toString("utf8"));
      this.#parts = [];
      this.#size = 0;
      from = at + 1;
    }
    this.#add(chunk.subarray(from));
    return lines;
  }

  #add(part: Uint8Array): void {
    this.#size += part.byteLength;
    if (this.tooLong) this.#parts = [];
    else if (part.byteLength > 0) this.#parts.push(part);
  }
}
