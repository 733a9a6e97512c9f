/**
 * Requests to one ECU: a bounded queue, one request at a time, and the rules of repeats and windows (ISO 14229-2, ISO 22900-2).
 * Event-driven: a request costs one job, one promise and two timers, whatever frames pass by.
 */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { Timeout } from "#core/timeout.ts";
import type { ComParams, RetryPolicy, UdsParams } from "./com-params.ts";
import { type Caller, cancelled, type Job, silent, starved, timedOut } from "./job.ts";
import { matchResponse } from "./match.ts";
import { suppressesPositiveResponse } from "./services.ts";
import type { Link, LinkHandler, LinkTarget, Transport } from "./transport.ts";

export interface RequestOptions {
  /** Absolute end of the caller's patience, `Clock.now()` milliseconds. */
  readonly deadlineMs?: number;
  /** Window for the answer in place of CP_P6Max. */
  readonly timeoutMs?: number;
  /** Taking a request back removes it from the queue; a running one is given up by its caller and ends in its own time. */
  readonly caller?: Caller;
  /** Parameters of this request in place of the client's own: ECUs that share an address share its client. */
  readonly params?: UdsParams;
}

/** Asked before each frame of a request; a fault ends the request, and nothing leaves. `service`: as `request` was told. */
export type BeforeSend = (request: Uint8Array, service: string | undefined) => Fault | undefined;

export interface ClientOptions {
  readonly transport: Transport;
  readonly target: LinkTarget;
  readonly clock: Clock;
  /** Requests waiting behind the running one. */
  readonly maxQueued?: number;
  /** Longest wait for the ECU to become free. */
  readonly maxWaitMs?: number;
  readonly onConnectivity?: (connected: boolean) => void;
  readonly beforeSend?: BeforeSend;
}

export const CLIENT_DEFAULTS = { maxQueued: 64, maxWaitMs: 10_000 } as const;

/** Takes the ECU's frames while a reservation holds its turn. */
export interface Listener {
  onResponse(response: Uint8Array): void;
  /** The way to the ECU was lost. */
  onFailed(fault: Fault): void;
}

/** The ECU's turn, held for a request that travels on another link. */
export interface Reservation {
  /** From now on answers to `request` come to the listener. */
  listen(request: Uint8Array, listener: Listener): void;
  /** Lets the next request run. Must be called exactly once. */
  release(): void;
}

/** The answer to a request that suppresses its positive response. */
export const NO_RESPONSE = new Uint8Array(0);

/** What the timer of the running job is for. */
type Phase = "idle" | "sending" | "receiving" | "pausing" | "reserved";

export class UdsClient implements LinkHandler {
  readonly name: string;
  readonly addressing: LinkTarget["addressing"];
  readonly clock: Clock;
  readonly #link: Link;
  readonly #maxQueued: number;
  readonly #maxWaitMs: number;
  readonly #onConnectivity: ((connected: boolean) => void) | undefined;
  readonly #beforeSend: BeforeSend | undefined;
  readonly #queue: Job[] = [];
  /** Of the running job. */
  readonly #timeout: Timeout;
  /** Of those that wait for their turn: the first of their ends, or earlier. */
  readonly #waits: Timeout;
  #params: UdsParams;
  #job: Job | undefined;
  #phase: Phase = "idle";
  #listener: Listener | undefined;
  #pumping = false;
  #closed = false;
  #lastSentMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClientOptions) {
    this.name = options.target.name;
    this.addressing = options.target.addressing;
    this.clock = options.clock;
    this.#params = options.target.params.uds;
    this.#maxQueued = options.maxQueued ?? CLIENT_DEFAULTS.maxQueued;
    this.#maxWaitMs = options.maxWaitMs ?? CLIENT_DEFAULTS.maxWaitMs;
    this.#onConnectivity = options.onConnectivity;
    this.#beforeSend = options.beforeSend;
    this.#timeout = new Timeout(options.clock, () => this.#onTimeout());
    this.#waits = new Timeout(options.clock, () => this.#endWaits());
    this.#link = options.transport.open(options.target, this);
  }

  get connected(): boolean {
    return !this.#closed && this.#link.connected;
  }

  /** Requests waiting behind the running one. */
  get queued(): number {
    return this.#queue.length;
  }

  /** When anything was last sent to this address. */
  get lastSentMs(): number {
    return this.#lastSentMs;
  }

  get params(): UdsParams {
    return this.#params;
  }

  /** New timings and retry rules, in force from the next request on. */
  configure(params: ComParams): void {
    this.#params = params.uds;
    this.#link.configure(params);
  }

  /**
   * The ECU's final answer, negative ones included; empty when the request suppresses its positive response (NRCs to those are not
   * awaited). The bytes may be a view: copy before transferring their buffer. `service` names it for who is asked before sending.
   * Rejects with `Fault`: ecuOffline, notResponding, nack, sendFailed, sendRefused, overloaded, requestTimeout.
   */
  request(request: Uint8Array, options: RequestOptions = {}, service?: string): Promise<Uint8Array> {
    return this.#enqueue("request", request, options, service);
  }

  /** Sends without awaiting an answer: resolves when the network took the request over. Same faults as `request`. */
  async transmit(request: Uint8Array, options: RequestOptions = {}, service?: string): Promise<void> {
    await this.#enqueue("transmit", request, options, service);
  }

  /** The ECU's next turn, for a request that reaches it on a functional link. Same faults as `request`. */
  async reserve(options: RequestOptions = {}): Promise<Reservation> {
    await this.#enqueue("reservation", NO_RESPONSE, options, undefined);
    return {
      listen: (request, listener) => {
        this.#listener = listener;
        this.#link.listen(request);
        this.#lastSentMs = this.clock.now();
      },
      release: () => {
        if (this.#phase === "reserved") this.#done();
      },
    };
  }

  /** Fails what is open and queued, and leaves the link. */
  close(): void {
    this.#closed = true;
    this.#failAll(this.#offline());
    this.#link.close();
  }

  // ---- queue ---------------------------------------------------------------------------------------------------------

  #enqueue(
    kind: Job["kind"],
    request: Uint8Array,
    options: RequestOptions,
    service: string | undefined,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(kind, request, options);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      const job: Job = {
        request,
        service,
        kind,
        deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
        timeoutMs: options.timeoutMs,
        params: options.params,
        caller: options.caller,
        resolve,
        reject,
        waitUntilMs: Number.POSITIVE_INFINITY,
        startedMs: 0,
        repeats: 0,
        settled: false,
      };
      if (options.caller !== undefined) options.caller.open = this;
      this.#queue.push(job);
      if (this.#job !== undefined || this.#pumping) this.#boundWait(job);
      this.#pump();
    });
  }

  #refusal(kind: Job["kind"], request: Uint8Array, options: RequestOptions): Fault | undefined {
    if (kind !== "reservation" && request.length === 0) return new Fault("badRequest", "Bad payload: empty request");
    if (this.#closed) return this.#offline();
    if (options.caller?.cancelled === true) return cancelled();
    if (options.deadlineMs !== undefined && this.clock.now() >= options.deadlineMs) return timedOut();
    if (this.#job !== undefined && this.#queue.length >= this.#maxQueued) {
      return new Fault("overloaded", `Too many requests are waiting for ${this.name}`, { queued: this.#queue.length });
    }
    return undefined;
  }

  #boundWait(job: Job): void {
    const now = this.clock.now();
    job.waitUntilMs = Math.min(job.deadlineMs, now + this.#maxWaitMs);
    if (job.waitUntilMs < this.#waits.dueMs) this.#waits.set(job.waitUntilMs - now, now);
  }

  #endWaits(): void {
    const now = this.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const job of [...this.#queue]) {
      if (job.waitUntilMs > now) next = Math.min(next, job.waitUntilMs);
      else this.#dequeue(job, job.waitUntilMs === job.deadlineMs ? timedOut() : starved());
    }
    if (next < this.#waits.dueMs) this.#waits.set(next - now, now);
  }

  /** Takes back what is open for this caller: what is on its way ends in its own time, what waits to be sent (again) ends now. */
  cancel(caller: Caller): void {
    const job = this.#job?.caller === caller ? this.#job : this.#queue.find((waiting) => waiting.caller === caller);
    if (job === undefined) return;
    if (job !== this.#job) this.#dequeue(job, cancelled());
    else if (this.#phase === "pausing" || (this.#phase === "sending" && this.#link.waits)) this.#finish(cancelled());
    else this.#settle(job, cancelled());
  }

  #dequeue(job: Job, fault: Fault): void {
    const at = this.#queue.indexOf(job);
    if (at >= 0) this.#queue.splice(at, 1);
    this.#settle(job, fault);
  }

  // A loop, not a call from one job's end to the next one's start: a long queue that fails at once must not grow the stack.
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#job === undefined && this.#queue.length > 0) this.#start(this.#queue.shift()!);
    this.#pumping = false;
  }

  #start(job: Job): void {
    const now = this.clock.now();
    job.startedMs = now;
    this.#job = job;
    if (job.kind !== "reservation") {
      this.#send(job, now);
    } else if (this.#link.connected) {
      this.#phase = "reserved";
      this.#settle(job, NO_RESPONSE);
    } else {
      this.#finish(this.#offline());
    }
  }

  // ---- the running job -----------------------------------------------------------------------------------------------

  #send(job: Job, now = this.clock.now()): void {
    if (now >= job.deadlineMs) {
      this.#finish(timedOut());
      return;
    }
    const refusal = this.#beforeSend?.(job.request, job.service);
    if (refusal !== undefined) {
      this.#finish(refusal);
      return;
    }
    this.#phase = "sending";
    this.#lastSentMs = now;
    this.#link.send(job.request, job.deadlineMs);
  }

  onSent(): void {
    const job = this.#job;
    if (job !== undefined && !job.settled) job.caller?.sent();
  }

  onAcknowledged(): void {
    const job = this.#job;
    if (job === undefined || this.#phase !== "sending") return;
    if (job.kind === "transmit" || suppressesPositiveResponse(job.request)) {
      this.#finish(NO_RESPONSE);
      return;
    }
    this.#phase = "receiving";
    this.#openWindow(job, job.timeoutMs ?? this.#paramsOf(job).p6MaxMs);
  }

  onResponse(response: Uint8Array): void {
    if (this.#phase === "reserved") {
      this.#listener?.onResponse(response);
      return;
    }
    const job = this.#job;
    if (job === undefined || this.#phase !== "receiving") return;
    const params = this.#paramsOf(job);
    switch (matchResponse(job.request, response)) {
      case "positive":
      case "negative":
        this.#finish(response);
        break;
      case "pending":
        if (this.#mayGoOn(job, params.rc78Handling, params.rc78CompletionTimeoutMs)) {
          this.#openWindow(job, params.p6StarMs);
        } else this.#finish(response);
        break;
      case "busy":
        if (this.#mayGoOn(job, params.rc21Handling, params.rc21CompletionTimeoutMs)) {
          this.#pause(job, params.rc21RequestTimeMs);
        } else this.#finish(response);
        break;
      case "unavailable":
        if (this.#mayGoOn(job, params.rc94Handling, params.rc94CompletionTimeoutMs)) {
          this.#pause(job, params.rc94RequestTimeMs);
        } else this.#finish(response);
        break;
    }
    // A foreign frame changes nothing: the window goes on as it was, or a talkative ECU could hold the request for ever.
  }

  onFailed(fault: Fault): void {
    if (this.#phase === "reserved") {
      this.#listener?.onFailed(fault);
      return;
    }
    if (this.#job === undefined || this.#phase === "idle") return;
    this.#timeout.clear();
    if (fault.kind === "ecuOffline" || fault.kind === "requestTimeout") this.#finish(fault);
    else this.#repeatOrFail(this.#job, fault);
  }

  onConnectivity(connected: boolean): void {
    if (!connected) this.#failAll(this.#offline());
    this.#onConnectivity?.(connected);
  }

  #onTimeout(): void {
    const job = this.#job;
    if (job === undefined) return;
    if (this.clock.now() >= job.deadlineMs) this.#finish(timedOut());
    else if (this.#phase === "pausing") this.#send(job);
    else {
      this.#link.finish();
      this.#repeatOrFail(job, silent());
    }
  }

  /** After a timeout or a transport error the application repeats the request (CP_RepeatReqCountApp). */
  #repeatOrFail(job: Job, fault: Fault): void {
    if (job.settled || job.repeats >= this.#paramsOf(job).repeatReqCountApp) {
      this.#finish(fault);
      return;
    }
    job.repeats++;
    this.#send(job);
  }

  #mayGoOn(job: Job, policy: RetryPolicy, completionTimeoutMs: number): boolean {
    if (policy === "Disabled") return false;
    return policy === "ContinueUnlimited" || this.clock.now() - job.startedMs <= completionTimeoutMs;
  }

  /** The same request again after a while; not for a caller that has gone. */
  #pause(job: Job, delayMs: number): void {
    if (job.settled) {
      this.#done();
      return;
    }
    this.#link.finish();
    this.#phase = "pausing";
    this.#openWindow(job, delayMs);
  }

  #openWindow(job: Job, windowMs: number): void {
    const now = this.clock.now();
    this.#timeout.set(Math.max(0, Math.min(windowMs, job.deadlineMs - now)), now);
  }

  #finish(result: Uint8Array | Fault): void {
    const job = this.#job!;
    this.#settle(job, result);
    this.#done();
  }

  #done(): void {
    this.#timeout.clear();
    this.#link.finish();
    this.#job = undefined;
    this.#listener = undefined;
    this.#phase = "idle";
    this.#pump();
  }

  #settle(job: Job, result: Uint8Array | Fault): void {
    if (job.settled) return;
    job.settled = true;
    if (job.caller?.open === this) job.caller.open = undefined;
    if (result instanceof Fault) job.reject(result);
    else job.resolve(result);
  }

  #failAll(fault: Fault): void {
    // The queue first, so that the end of the running one starts nothing.
    for (const job of this.#queue.splice(0)) this.#settle(job, fault);
    if (this.#phase === "reserved") this.#listener?.onFailed(fault);
    else if (this.#job !== undefined) this.#finish(fault);
    this.#timeout.stop();
    this.#waits.stop();
  }

  #paramsOf(job: Job): UdsParams {
    return job.params ?? this.#params;
  }

  #offline(): Fault {
    return new Fault("ecuOffline", `Ecu ${this.name} offline`);
  }
}
