/**
 * Load on one server for a while. Closed loop: each connection asks again when it was answered. Open loop: requests come at a constant
 * rate, whatever the server does, and their latency counts from the instant they were meant to be sent: a server that stalls cannot
 * hide the requests that nobody could send meanwhile (coordinated omission).
 */
import { type Clock, systemClock, type TimerHandle } from "#core/time.ts";
import { type Address, type Connection, type ConnectionHandler, HttpConnection } from "./connection.ts";
import { Latencies } from "./latencies.ts";

export interface LoadOptions {
  readonly address: Address;
  /** Sent in turn, over and over. */
  readonly requests: readonly Buffer[];
  readonly connections: number;
  readonly durationMs: number;
  /** Requests per second of an open loop; undefined: closed loop. */
  readonly ratePerS?: number | undefined;
  /** A request unanswered for so long counts as an error. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  readonly connect?: (address: Address, handler: ConnectionHandler) => Connection;
}

/** In its own numbers: those of the whole machine are too large for fractions of a microsecond. */
const PRECISE: Clock = { ...systemClock, now: () => performance.now() };

export interface LoadResult {
  readonly durationMs: number;
  /** Of answers below 400. */
  readonly latencies: Latencies;
  /** Of all others. */
  readonly refusals: Latencies;
  /** `HTTP 503`, `ECONNRESET`, `timeout` … → how many. */
  readonly errors: Readonly<Record<string, number>>;
  /** Open loop: requests still unsent at the end. */
  readonly unsent: number;
  /** Processor time of this process, milliseconds: a generator that is busy all the time measures itself. */
  readonly clientCpuMs: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const SWEEP_MS = 250;
/** Connections that fail are opened anew after a pause, so that a dead server costs no loop. */
export const RECONNECT_MS = 20;
/** Node's timers are late by up to so much: what is due sooner is waited for in a loop. */
const TIMER_GRAIN_MS = 2;

/** Runs to the end of its duration; never rejects. */
export function runLoad(options: LoadOptions): Promise<LoadResult> {
  return new Promise((resolve) => new Load(options, resolve).start());
}

class Load {
  readonly #options: LoadOptions;
  readonly #resolve: (result: LoadResult) => void;
  readonly #clock: Clock;
  readonly #connections = new Set<Connection>();
  /** Longest idle first: each connection is used, and held open, as much as any other. */
  readonly #idle: Connection[] = [];
  readonly #errors: Record<string, number> = {};
  readonly #latencies = new Latencies();
  readonly #refusals = new Latencies();
  #next = 0;
  #started = 0;
  #cpu = process.cpuUsage();
  /** Open loop: requests sent so far. The next one was meant for `started + sent / rate`. */
  #sent = 0;
  #over = false;
  #sweeper: TimerHandle | undefined;

  constructor(options: LoadOptions, resolve: (result: LoadResult) => void) {
    this.#options = options;
    this.#clock = options.clock ?? PRECISE;
    this.#resolve = resolve;
  }

  start(): void {
    const { connections, durationMs, ratePerS } = this.#options;
    this.#cpu = process.cpuUsage();
    this.#started = this.#clock.now();
    for (let i = 0; i < connections; i++) this.#connect();
    this.#sweeper = this.#clock.setTimeout(() => this.#sweep(), SWEEP_MS);
    this.#clock.setTimeout(() => this.#end(), durationMs);
    if (ratePerS !== undefined) this.#pace();
  }

  #connect(): void {
    if (this.#over) return;
    const { address, connect = (to, handler) => new HttpConnection(to, handler) } = this.#options;
    this.#connections.add(
      connect(address, {
        onOpen: (connection) => this.#free(connection, this.#clock.now()),
        onResponse: (connection, status) => this.#answered(connection, status),
        onError: (connection, kind) => this.#failed(connection, kind),
      }),
    );
  }

  #answered(connection: Connection, status: number): void {
    const now = this.#clock.now();
    if (this.#over) return;
    if (status < 400) this.#latencies.record(now - connection.sinceMs);
    else {
      this.#refusals.record(now - connection.sinceMs);
      this.#count(`HTTP ${status}`);
    }
    connection.sinceMs = -1;
    this.#free(connection, now);
  }

  /** A connection may take a request. */
  #free(connection: Connection, now: number): void {
    if (this.#over) return;
    const { ratePerS } = this.#options;
    if (ratePerS === undefined) {
      connection.send(this.#request(), now);
      return;
    }
    const due = this.#due(ratePerS);
    if (due <= now) this.#sendDue(connection, due);
    else this.#idle.push(connection);
  }

  #failed(connection: Connection, kind: string): void {
    if (this.#over) return;
    this.#connections.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    // a server may close a connection that waits for nothing
    if (connection.sinceMs >= 0 || kind !== "connection closed") this.#count(kind);
    this.#clock.setTimeout(() => this.#connect(), RECONNECT_MS);
  }

  // ---- open loop -----------------------------------------------------------------------------------------------------

  #due(ratePerS: number): number {
    return this.#started + (this.#sent * 1_000) / ratePerS;
  }

  #sendDue(connection: Connection, due: number): void {
    this.#sent++;
    connection.send(this.#request(), due);
  }

  #pace(): void {
    if (this.#over) return;
    const { ratePerS } = this.#options;
    const now = this.#clock.now();
    while (this.#idle.length > 0 && this.#due(ratePerS!) <= now)
      this.#sendDue(this.#idle.shift()!, this.#due(ratePerS!));
    const waitMs = this.#due(ratePerS!) - now;
    if (waitMs > TIMER_GRAIN_MS) this.#clock.setTimeout(() => this.#pace(), waitMs - TIMER_GRAIN_MS);
    // behind: each connection that gets free takes what is due by itself
    else if (waitMs <= 0) this.#clock.setTimeout(() => this.#pace(), 1);
    else setImmediate(() => this.#pace());
  }

  // ---- both ----------------------------------------------------------------------------------------------------------

  #request(): Buffer {
    const { requests } = this.#options;
    const request = requests[this.#next]!;
    this.#next = this.#next + 1 === requests.length ? 0 : this.#next + 1;
    return request;
  }

  #count(kind: string): void {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1;
  }

  #sweep(): void {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const now = this.#clock.now();
    for (const connection of this.#connections) {
      if (connection.sinceMs < 0 || now - connection.sinceMs < timeoutMs) continue;
      connection.close();
      this.#failed(connection, "timeout");
    }
    // one that failed may have been the last that was wanted
    if (!this.#over) this.#sweeper = this.#clock.setTimeout(() => this.#sweep(), SWEEP_MS);
  }

  #end(): void {
    this.#over = true;
    if (this.#sweeper !== undefined) this.#clock.clearTimeout(this.#sweeper);
    const now = this.#clock.now();
    const { user, system } = process.cpuUsage(this.#cpu);
    for (const connection of this.#connections) connection.close();
    const { ratePerS } = this.#options;
    const wanted = ratePerS === undefined ? this.#sent : Math.floor(((now - this.#started) / 1_000) * ratePerS);
    this.#resolve({
      durationMs: now - this.#started,
      latencies: this.#latencies,
      refusals: this.#refusals,
      errors: this.#errors,
      unsent: Math.max(0, wanted - this.#sent),
      clientCpuMs: (user + system) / 1_000,
    });
  }
}
