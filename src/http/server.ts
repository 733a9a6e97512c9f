/**
 * The HTTP front end: one catch-all route of uWebSockets.js, our own matcher behind it. What uWebSockets.js hands out is read and
 * copied in its own turn; after that only the exchange is touched, and the response only while the client is there.
 */
import { setImmediate } from "node:timers/promises";
import { Fault } from "#core/errors.ts";
import { MULTIPART_TYPE } from "#core/media-types.ts";
import type { TimerHandle } from "#core/time.ts";
import type { AnswerEvents } from "#sovd/route.ts";
import { Admission, type Refusal } from "./admission.ts";
import { collectBody } from "./collect.ts";
import { corsHeaders, preflight, withCors } from "./cors.ts";
import { Dispatcher, type IncomingBody, type Outgoing } from "./dispatch.ts";
import { writeEvents } from "./event-answer.ts";
import type { Exchange } from "./exchange.ts";
import { type Door, Listener } from "./listener.ts";
import { mediaType } from "./negotiate.ts";
import { limitReceiveBuffers } from "./receive-buffer.ts";
import { writeAnswer } from "./respond.ts";
import { DEFAULTS, type HttpServer, type HttpServerOptions } from "./server-options.ts";
import { type Sending, type StreamedAnswer, writeStream } from "./stream-answer.ts";
import { UploadBudget, UploadStream } from "./upload-stream.ts";
import { type AppOptions, type HttpRequest, type HttpResponse, loadUws, type TemplatedApp } from "./uws.ts";

/** A request under way: the one place that knows whether the response may still be touched. */
interface Pending {
  readonly res: HttpResponse;
  readonly exchange: Exchange;
  readonly head: boolean;
  readonly path: string;
  readonly cors: Readonly<Record<string, string>> | undefined;
  readonly startedMs: number;
  readonly door: Door;
  upload: UploadStream | undefined;
  sending: Sending | undefined;
  /** Ends server-sent events, which last until then. */
  end: (() => void) | undefined;
  done: boolean;
}

/** Uploads no longer than this are harmless whatever the kernel does. */
const PAUSED_ANYWAY_BYTES = 4 * 1024 * 1024;
/** What a form may have beside its file. */
const FORM_BYTES = 2 * 1024 * 1024;
/** Time-outs are looked for this often: one timer for all requests. */
const SWEEP_MS = 250;

/** Starts listening. Fault `misconfigured` when the port cannot be had or uWebSockets.js has no build for this machine. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = new UwsServer(options);
  await server.listen();
  return server;
}

class UwsServer implements HttpServer {
  readonly #options: HttpServerOptions & typeof DEFAULTS;
  readonly #dispatcher: Dispatcher;
  readonly #listener: Listener;
  readonly #pending = new Set<Pending>();
  readonly #admission: Admission;
  readonly #uploads: UploadBudget;
  readonly #limited = new WeakMap<Door, Promise<void>>();
  #sweeper: TimerHandle | undefined;
  #connections = 0;
  #connectionsRefused = 0;
  #closing = false;
  #onIdle: (() => void) | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = { ...DEFAULTS, ...options };
    const { tls, maxHeaderBytes, address, port } = this.#options;
    this.#dispatcher = new Dispatcher({ ...this.#options, scheme: tls === undefined ? "http" : "https" });
    this.#admission = new Admission(this.#options);
    this.#uploads = new UploadBudget(this.#options.maxUploadBufferBytes);
    const wire = (app: TemplatedApp, door: Door) => {
      app.filter((res, change) => this.#count(res, Number(change)));
      app.any("/*", (res, req) => this.#accept(res, req, door));
    };
    this.#listener = new Listener({ uws: loadUws(maxHeaderBytes), address, port, wire }, tls);
  }

  get port(): number {
    return this.#listener.port;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get connections(): number {
    return this.#connections;
  }

  get connectionsRefused(): number {
    return this.#connectionsRefused;
  }

  get refused(): Readonly<Record<Refusal, number>> {
    return this.#admission.refused;
  }

  get clients(): number {
    return this.#admission.clients;
  }

  get uploads(): UploadBudget {
    return this.#uploads;
  }

  get eventStreams(): number {
    let count = 0;
    for (const { end } of this.#pending) if (end !== undefined) count++;
    return count;
  }

  async listen(): Promise<void> {
    await this.#listener.open();
  }

  prepareTls(tls: AppOptions): () => Promise<void> {
    return this.#listener.prepare(tls);
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const { clock, closeTimeoutMs } = this.#options;
    this.#listener.stop();
    for (const { end } of this.#pending) end?.();
    if (this.#pending.size > 0) {
      let timer: TimerHandle | undefined;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        timer = clock.setTimeout(resolve, closeTimeoutMs);
      });
      if (timer !== undefined) clock.clearTimeout(timer);
    }
    if (this.#sweeper !== undefined) clock.clearTimeout(this.#sweeper);
    // an answer written in this turn of the socket still stands in its cork buffer
    await setImmediate();
    this.#listener.close();
  }

  #count(res: HttpResponse, change: number): void {
    this.#connections += change;
    if (change <= 0 || this.#connections <= this.#options.maxConnections) return;
    this.#connectionsRefused++;
    res.close();
  }

  /** The socket's own turn: `req` lives only here. */
  #accept(res: HttpResponse, req: HttpRequest, door: Door): void {
    if (door.demandsCertificate && !showsCertificate(res)) {
      res.close();
      return;
    }
    const path = req.getUrl();
    const sent = req.getMethod();
    const head = sent === "head";
    const { clock, corsOrigins } = this.#options;
    const cors = corsOrigins.length === 0 ? undefined : corsHeaders(req.getHeader("origin"), corsOrigins);
    if (cors !== undefined && sent === "options") {
      res.onAborted(ignore);
      writeAnswer(res, preflight(cors, req.getHeader("access-control-request-headers")), false, this.#isLast(door));
      return;
    }
    try {
      if (this.#closing) throw CLOSING;
      const startedMs = clock.now();
      this.#admission.check(this.#pending.size, startedMs, () => addressOf(res));
      const query = req.getQuery() ?? "";
      const method = head ? "get" : sent;
      const exchange = this.#dispatcher.open(method, path, query, (name) => req.getHeader(name), startedMs);
      const pending: Pending = {
        res,
        exchange,
        head,
        path,
        cors,
        startedMs,
        door,
        upload: undefined,
        sending: undefined,
        end: undefined,
        done: false,
      };
      this.#options.stages?.record("accept", clock.now() - startedMs);
      this.#start(pending);
    } catch (error) {
      const answer = this.#dispatcher.failure(error, this.#dispatcher.baseOf(path));
      res.onAborted(ignore);
      writeAnswer(res, withCors(answer, cors), head, this.#isLast(door));
      this.#options.observe?.({
        method: sent,
        route: undefined,
        path,
        status: answer.status,
        durationMs: 0,
        subject: "",
      });
    }
  }

  #start(pending: Pending): void {
    const { res, exchange } = pending;
    const body = this.#bodyOf(pending);
    if (body instanceof UploadStream) pending.upload = body;
    const { stages } = this.#options;
    const run = () => this.#dispatcher.run(exchange, body);
    const answer = stages === undefined ? run() : stages.time("handle", run);
    // known at once, so nothing has to be remembered of it: uWebSockets.js has corked the response in its handler
    if (!(answer instanceof Promise) && answer.stream === undefined && answer.events === undefined) {
      pending.done = true;
      this.#write(pending, answer);
      return;
    }
    this.#pending.add(pending);
    if (this.#sweeper === undefined) this.#sweepLater();
    res.onAborted(() => this.#abandon(pending));
    if (answer instanceof Promise) void answer.then((awaited) => this.#finishAwaited(pending, awaited));
    else this.#finish(pending, answer);
  }

  #finishAwaited(pending: Pending, answer: Outgoing): void {
    try {
      this.#finish(pending, answer);
    } catch (problem) {
      this.#options.context.onProblem(problem, "answer");
    }
  }

  /** In the socket's turn: what is not listened to now is lost. */
  #bodyOf({ res, exchange, door }: Pending): IncomingBody | undefined {
    const { body } = exchange.entry.route;
    const { maxBodyBytes, maxUploadBytes, maxBulkBytes = maxUploadBytes } = this.#options;
    if (body === undefined) return undefined;
    if (body.kind !== "upload") return collectBody(res, exchange.contentLength, maxBodyBytes);
    const { contentLength, contentType } = exchange;
    const maxBytes = body.bulk === true ? maxBulkBytes + formBytes(contentType) : maxUploadBytes;
    const upload = new UploadStream(res, contentLength, maxBytes, this.#uploads);
    if (contentLength === "" || Number(contentLength) > PAUSED_ANYWAY_BYTES) upload.hold(this.#receiveLimited(door));
    return upload;
  }

  /** Once for the connections of a door: before it, a pause stops no sender that is as fast as memory. */
  #receiveLimited(door: Door): Promise<void> {
    let limited = this.#limited.get(door);
    if (limited === undefined) {
      const { onProblem } = this.#options.context;
      limited = limitReceiveBuffers(this.port).catch((problem) => onProblem(problem, "receive buffer"));
      this.#limited.set(door, limited);
    }
    return limited;
  }

  #finish(pending: Pending, answer: Outgoing): void {
    if (pending.done) {
      answer.stream?.close();
      answer.events?.close();
      return;
    }
    const { res, head } = pending;
    pending.upload?.detach();
    if (answer.events !== undefined && !head) {
      this.#sendEvents(pending, answer, answer.events);
      return;
    }
    answer.events?.close();
    if (answer.stream !== undefined) {
      this.#send(pending, { ...answer, stream: answer.stream });
      return;
    }
    this.#leave(pending);
    res.cork(() => this.#write(pending, answer));
  }

  /** To be called corked. */
  #write(pending: Pending, answer: Outgoing): void {
    const { res, head, cors, door } = pending;
    // 408 and 413 leave a body half read: the connection cannot be used again
    const closeConnection = this.#isLast(door) || answer.status === 408 || answer.status === 413;
    const { stages } = this.#options;
    if (stages === undefined) writeAnswer(res, withCors(answer, cors), head, closeConnection);
    else stages.time("write", () => writeAnswer(res, withCors(answer, cors), head, closeConnection));
    this.#answered(pending, answer.status);
  }

  /** The request is under way until its last byte is. */
  #send(pending: Pending, answer: StreamedAnswer): void {
    const { res, head, cors } = pending;
    res.cork(() => {
      pending.sending = writeStream(res, withCors(answer, cors), head, (problem) => {
        if (problem !== undefined) this.#options.context.onProblem(problem, "answer");
        if (pending.done) return;
        this.#leave(pending);
        this.#answered(pending, answer.status);
      });
    });
  }

  /** Stays under way until the client goes away, or the events or the server end. */
  #sendEvents(pending: Pending, answer: Outgoing, events: AnswerEvents): void {
    const { res, cors } = pending;
    const sending = writeEvents(res, { ...withCors(answer, cors), events }, this.#options, () => {
      if (pending.done) return;
      this.#leave(pending);
      this.#answered(pending, answer.status);
    });
    if (pending.done) return;
    pending.sending = sending;
    pending.end = sending.end;
    if (this.#closing) sending.end();
  }

  /** Whether the connection should end with this answer. */
  #isLast({ retired }: Door): boolean {
    return this.#closing || retired;
  }

  #answered({ exchange, path, startedMs }: Pending, status: number): void {
    const { route } = exchange.entry;
    const durationMs = this.#options.clock.now() - startedMs;
    this.#options.stages?.record("request", durationMs);
    const { method, path: template } = route;
    this.#options.observe?.({ method, route: template, path, status, durationMs, subject: exchange.owner });
  }

  /** The client is gone: nothing may be written any more. */
  #abandon(pending: Pending): void {
    if (pending.done) return;
    pending.upload?.fail(new Fault("badRequest", "The client went away before its body was whole"));
    this.#leave(pending);
    pending.sending?.stop();
    pending.exchange.abort();
  }

  #leave(pending: Pending): void {
    pending.done = true;
    this.#pending.delete(pending);
    if (this.#pending.size === 0) this.#onIdle?.();
  }

  #sweep(): void {
    const now = this.#options.clock.now();
    for (const pending of this.#pending) {
      if (pending.exchange.deadlineMs > now || pending.sending !== undefined) continue;
      const fault = new Fault("requestTimeout", "Request timed out");
      pending.upload?.fail(fault);
      this.#finish(pending, this.#dispatcher.failure(fault, pending.exchange.base));
      pending.exchange.abort();
    }
    this.#sweeper = undefined;
    if (this.#pending.size > 0) this.#sweepLater();
  }

  /** A node that nobody asks anything does not wake. */
  #sweepLater(): void {
    const { clock, requestTimeoutMs } = this.#options;
    this.#sweeper = clock.setTimeout(() => this.#sweep(), Math.min(SWEEP_MS, requestTimeoutMs));
  }
}

const formBytes = (contentType: string): number => (mediaType(contentType) === MULTIPART_TYPE ? FORM_BYTES : 0);
const ignore = (): void => undefined;
const CLOSING = new Fault("overloaded", "The server is going down");
const addressOf = (res: HttpResponse): string => Buffer.from(res.getRemoteAddressAsText()).toString("latin1");

/** What the handshake verified; missing in the package's types. */
interface KnowsItsPeer {
  /** PEM; empty when the client showed none. */
  getX509Certificate(): string;
}

function showsCertificate(res: HttpResponse): boolean {
  return (res as unknown as KnowsItsPeer).getX509Certificate() !== "";
}
