import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Fault, fromFaultData, reasonOf } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { CallOptions } from "./api.ts";
import type { FromShard, Reply, ShardStats, ToShard } from "./messages.ts";
import { CallPacker, type CallPacket, idOf, type ReplyPacket, splitCalls, unpackReplies } from "./packets.ts";
import { LazyPool } from "./pool.ts";

/** Calls in flight per shard; also the number of slots in the shared "frame was sent" table. */
export const MAX_IN_FLIGHT = 4096;
/** Ids are a slot and how often it was used; they stay within 31 bits. */
const MAX_USES = 0x7ffff;
const RESTART_WINDOW_MS = 60_000;
/** A scraper does not wait longer for what a shard holds. */
const STATS_TIMEOUT_MS = 500;
/** Longest pause before a thread that dies again and again is started anew. */
const MAX_RESTART_DELAY_MS = 30_000;

export interface ShardOptions {
  readonly index: number;
  /** URL of the worker entry. */
  readonly entry: string;
  /** Plain data handed to the worker's task. */
  readonly config: unknown;
  readonly clock: Clock;
  readonly resourceLimits?: { readonly maxOldGenerationSizeMb?: number; readonly maxYoungGenerationSizeMb?: number };
  readonly maxInFlight?: number;
  /** Pause before the second start within a minute; each further one doubles it. The first has none. */
  readonly restartDelayMs: number;
  /** Everything but replies. */
  readonly onEvent: (shard: Shard, message: FromShard) => void;
  /** The thread runs (again): send it what it must know. */
  readonly onStarted: (shard: Shard) => void;
  /** The thread died; `deathsInAMinute` of five means that something is wrong for good. */
  readonly onDied: (shard: Shard, death: { error: Error; calls: readonly string[]; deathsInAMinute: number }) => void;
}

interface Pending {
  readonly id: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (fault: Fault) => void;
  readonly entity: string;
  readonly call: string;
  ended: (() => void) | undefined;
}

/**
 * One worker thread and the port to it. A Piscina of exactly one thread runs one long task; calls and events go over a MessagePort.
 * When the thread dies its calls fail as retryable, and the task starts on Piscina's next thread.
 */
export class Shard {
  readonly index: number;
  readonly #options: ShardOptions;
  readonly #pool: LazyPool;
  /** By slot. */
  readonly #pending = new Array<Pending | undefined>(MAX_IN_FLIGHT).fill(undefined);
  readonly #calls = new CallPacker();
  readonly #maxInFlight: number;
  /**
   * Slot `id % MAX_IN_FLIGHT` holds the id whose frame went out: what a caller is told when the thread dies under its call. A call
   * has its slot for itself while it is in flight.
   */
  readonly #sent = new Int32Array(new SharedArrayBuffer(MAX_IN_FLIGHT * Int32Array.BYTES_PER_ELEMENT));
  #port: MessagePort | undefined;
  readonly #freeSlots: number[] = Array.from({ length: MAX_IN_FLIGHT }, (_, slot) => slot);
  #uses = 0;
  #refused = 0;
  /** All who ask meanwhile share one answer. */
  #asked: Promise<ShardStats | undefined> | undefined;
  #tellStats: ((stats: ShardStats | undefined) => void) | undefined;
  #deaths: number[] = [];
  #stopping = false;
  #restart: TimerHandle | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ShardOptions) {
    this.index = options.index;
    this.#options = options;
    this.#maxInFlight = Math.min(options.maxInFlight ?? MAX_IN_FLIGHT, MAX_IN_FLIGHT);
    this.#pool = new LazyPool({
      filename: options.entry,
      minThreads: 1,
      ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
    });
  }

  /** Calls in flight. */
  get inFlight(): number {
    return MAX_IN_FLIGHT - this.#freeSlots.length;
  }

  get maxInFlight(): number {
    return this.#maxInFlight;
  }

  /** Calls refused because too many were in flight. */
  get refused(): number {
    return this.#refused;
  }

  get alive(): boolean {
    return this.#port !== undefined;
  }

  /** Id of the running thread, for the fault tests and the metrics. */
  get threadId(): number | undefined {
    return this.#pool.thread?.threadId;
  }

  start(): void {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on("message", (message: FromShard | ReplyPacket) => this.#receive(message));
    const task = this.#pool.run({ port: port2, config: this.#options.config, index: this.index, sent: this.#sent }, [
      port2,
    ]);
    this.#ended = task.then(
      () => this.#died(port1, new Error("the shard's task ended")),
      (error: Error) => this.#died(port1, error),
    );
    this.#options.onStarted(this);
  }

  /**
   * Rejects with `overloaded` when the shard has too many calls, `workerLost` when its thread dies. `ended` is called once, before
   * the promise settles.
   */
  call(
    entity: string,
    call: string,
    args: unknown,
    deadlineMs: number,
    options?: CallOptions,
    ended?: () => void,
  ): Promise<Reply> {
    const refusal = this.#refusal(entity);
    if (refusal !== undefined) {
      ended?.();
      return Promise.reject(refusal);
    }
    this.#uses = this.#uses === MAX_USES ? 1 : this.#uses + 1;
    const slot = this.#freeSlots.pop()!;
    const id = this.#uses * MAX_IN_FLIGHT + slot;
    return new Promise<Reply>((resolve, reject) => {
      const pending: Pending = { id, resolve, reject, entity, call, ended };
      this.#pending[slot] = pending;
      if (this.#calls.isEmpty) setImmediate(this.#flush);
      this.#calls.add(id, entity, call, args, deadlineMs);
      const cancel = () => {
        if (this.#pending[slot]?.id === id) this.send({ type: "cancel", id });
      };
      // a signal is only looked at where there is no cheaper way: a request makes its own at first use
      if (options?.whenAborted !== undefined) options.whenAborted(cancel);
      else if (options?.signal !== undefined) pending.ended = follow(options.signal, cancel, ended);
    });
  }

  #refusal(entity: string): Fault | undefined {
    if (this.#port === undefined) return this.#lost(entity, false);
    if (this.inFlight < this.#maxInFlight) return undefined;
    this.#refused++;
    return new Fault("overloaded", `Too many calls in flight for ${entity}`);
  }

  /** What the shard holds now; undefined while its thread is away or too busy to say. */
  stats(): Promise<ShardStats | undefined> {
    if (this.#port === undefined) return Promise.resolve(undefined);
    this.#asked ??= new Promise((resolve) => {
      const timer = this.#options.clock.setTimeout(() => this.#tellStats?.(undefined), STATS_TIMEOUT_MS);
      this.#tellStats = (stats) => {
        this.#options.clock.clearTimeout(timer);
        this.#asked = undefined;
        resolve(stats);
      };
      this.send({ type: "stats" });
    });
    return this.#asked;
  }

  /** One-way message; silently nothing while the thread is away (`onStarted` sends all that matters again). */
  send(message: ToShard): void {
    // in order: a call that is taken back must have arrived
    this.#flush();
    this.#port?.postMessage(message);
  }

  /** All calls of this turn in one message. */
  readonly #flush = (): void => {
    if (this.#calls.isEmpty) return;
    const packet = this.#calls.take();
    try {
      this.#port?.postMessage(packet);
    } catch {
      // one of them cannot be cloned: that one fails, not its neighbours
      for (const single of splitCalls(packet)) this.#sendSingle(single);
    }
  };

  #sendSingle(packet: CallPacket): void {
    try {
      this.#port?.postMessage(packet);
    } catch (error) {
      this.#settle(idOf(packet))?.reject(new Fault("internal", reasonOf(error)));
    }
  }

  /** Lets the task end its sessions and sockets, then ends the thread. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#restart !== undefined) this.#options.clock.clearTimeout(this.#restart);
    this.send({ type: "stop" });
    await this.#ended;
    await this.#pool.destroy();
  }

  /** Ends the thread at once, as a crash would. For the fault tests. */
  async kill(): Promise<void> {
    await this.#pool.thread?.terminate();
  }

  #receive(message: FromShard | ReplyPacket): void {
    if (!("type" in message)) unpackReplies(message, this.#resolve);
    else if (message.type === "stats") this.#tellStats?.(message.stats);
    else if (message.type !== "reply") this.#options.onEvent(this, message);
    else if (message.reply !== undefined) this.#resolve(message.id, message.reply);
    else {
      const fault = message.fault ?? { kind: "internal", message: "empty reply" };
      this.#settle(message.id)?.reject(fromFaultData(fault));
    }
  }

  readonly #resolve = (id: number, reply: Reply): void => this.#settle(id)?.resolve(reply);

  /** The call that waits for this reply; from now on it does not. */
  #settle(id: number): Pending | undefined {
    const slot = id % MAX_IN_FLIGHT;
    const pending = this.#pending[slot];
    if (pending?.id !== id) return undefined;
    this.#pending[slot] = undefined;
    this.#freeSlots.push(slot);
    pending.ended?.();
    return pending;
  }

  #lost(entity: string, sent: boolean): Fault {
    const fate = sent ? "the request had been sent to the ECU" : "the request had not been sent to the ECU";
    return new Fault("workerLost", `The worker of ${entity} was lost; ${fate}`, { sent });
  }

  #died(port: MessagePort, error: Error): void {
    if (this.#port === port) this.#port = undefined;
    this.#calls.take();
    port.close();
    const calls: string[] = [];
    for (const [slot, pending] of this.#pending.entries()) {
      if (pending === undefined) continue;
      calls.push(`${pending.entity} ${pending.call}`);
      this.#settle(pending.id)?.reject(this.#lost(pending.entity, Atomics.load(this.#sent, slot) === pending.id));
    }
    if (this.#stopping) return;
    const now = this.#options.clock.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < RESTART_WINDOW_MS), now];
    this.#options.onDied(this, { error, calls, deathsInAMinute: this.#deaths.length });
    const doubled = this.#options.restartDelayMs * 2 ** (this.#deaths.length - 2);
    const delayMs = this.#deaths.length === 1 ? 0 : Math.min(doubled, MAX_RESTART_DELAY_MS);
    this.#restart = this.#options.clock.setTimeout(() => this.start(), delayMs);
  }
}

/** Hears of an abort until the call has ended, as one signal may serve calls without end. Returns what the end of the call calls. */
function follow(signal: AbortSignal, cancel: () => void, ended: (() => void) | undefined): () => void {
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });
  return () => {
    signal.removeEventListener("abort", cancel);
    ended?.();
  };
}
