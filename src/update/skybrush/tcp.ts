/** Flockwave over TCP: one JSON message a line. A line that is no message is passed over; one that does not end closes the connection. */
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Arrival } from "./budget.ts";
import { readText } from "./envelope.ts";
import { Gather } from "./gather.ts";
import { actorOf, type Listener, type ListenOptions, listenOn, MAX_UNSENT_BYTES } from "./listener.ts";

const NEWLINE = 0x0a;
/** A client that sends much at once keeps nobody else waiting for long. */
const LINES_PER_TURN = 64;
/** A browser sends one to any port a web page names, whosever the page is, and its body is lines as well. */
const WEB_REQUEST = /^[A-Z]{1,16} \S+ HTTP\/1/;

/** Listens. @throws Fault misconfigured */
export async function listenTcp(options: ListenOptions): Promise<Listener> {
  const { tls, onProblem } = options;
  const sockets = new Set<Socket>();
  const take = (socket: Socket) => serve(socket, options);
  const server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  // below TLS too, so that a handshake that does not end is one of the connections
  server.on("connection", (socket: Socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (problem: Error) => onProblem(problem, "skybrush TLS"));
  server.maxConnections = options.maxClients;
  const port = await listenOn(server, options.port, options.address);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(socket: Socket, options: ListenOptions): void {
  const { hub, rate, maxMessageBytes, onProblem } = options;
  const where = actorOf(socket.remoteAddress);
  const session = hub.connect(where, (message) => {
    if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy();
    else if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
  });
  const giveUp = (problem: string) => {
    onProblem(problem, where);
    socket.destroy();
  };
  const hear = rate.hearing(session, where, giveUp);
  const arrival = new Arrival(options, giveUp);
  const lines = new Lines(maxMessageBytes);
  const take = (whole: readonly string[]) => {
    for (const line of whole.slice(0, LINES_PER_TURN)) {
      if (WEB_REQUEST.test(line)) giveUp("A web request is no message");
      else if (line.trim() !== "") hear(() => readText(line));
      if (socket.destroyed) return;
    }
    if (whole.length <= LINES_PER_TURN) socket.resume();
    else setImmediate(take, whole.slice(LINES_PER_TURN));
  };
  socket.on("data", (chunk) => {
    const whole = lines.take(chunk);
    if (whole.length > 0) {
      arrival.hold(0);
      socket.pause();
      take(whole);
    }
    if (lines.tooLong) giveUp("A line is too long");
    else if (!socket.destroyed) arrival.hold(lines.size);
  });
  socket.on("error", (problem) => onProblem(problem, where));
  socket.on("close", () => {
    arrival.hold(0);
    session.close();
  });
}

/** Cuts bytes into lines; keeps what is not yet one, up to a limit. */
export class Lines {
  readonly #line: Gather;

  constructor(maxBytes: number) {
    this.#line = new Gather(maxBytes);
  }

  /** Bytes of the line that has begun. */
  get size(): number {
    return this.#line.size;
  }

  /** A line has begun that is longer than any may be. */
  get tooLong(): boolean {
    return this.#line.tooLong;
  }

  /** Lines that are whole now, without their ends; too long ones are left out. */
  take(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#line.add(chunk.subarray(from, at));
      if (!this.tooLong) lines.push(this.#line.text());
      this.#line.clear();
      from = at + 1;
    }
    this.#line.add(chunk.subarray(from));
    return lines;
  }
}
