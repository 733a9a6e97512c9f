/** A Piscina of at most one thread, loaded when the first task comes: the port is open before threads are wanted. */
import { setTimeout as pause } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import type { Piscina } from "piscina";

type PoolOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

export class LazyPool {
  readonly #options: PoolOptions;
  #pool: Promise<Piscina> | undefined;
  #opened: Piscina | undefined;
  readonly #tasks = new Set<Promise<unknown>>();
  #ended = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** As Piscina's own `run`; rejects when the package does not load, and behind `destroy`: no thread comes back to a store that is closed. */
  async run(task: unknown, transferList: readonly MessagePort[]): Promise<unknown> {
    if (this.#ended) throw new Error("The thread has been ended");
    this.#pool ??= this.#open();
    const running = this.#pool.then((pool) => pool.run(task, { transferList: [...transferList] }));
    this.#tasks.add(running);
    try {
      return await running;
    } finally {
      this.#tasks.delete(running);
    }
  }

  /** Tasks that wait for the one that runs. */
  get waiting(): number {
    return this.#opened?.queueSize ?? 0;
  }

  get thread(): Piscina["threads"][number] | undefined {
    return this.#opened?.threads[0];
  }

  /**
   * Takes no more tasks, and ends the thread when those that there are have ended; at the latest after `patienceMs`. A thread that is ended
   * inside a native call, such as LMDB's, may end the process with it: what the call then throws nobody can take (SIGABRT).
   */
  async destroy(patienceMs = 0): Promise<void> {
    this.#ended = true;
    const giveUp = new AbortController();
    const late = pause(patienceMs, undefined, { signal: giveUp.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(this.#tasks), late]);
    giveUp.abort();
    await (await this.#pool)?.destroy();
  }

  async #open(): Promise<Piscina> {
    const { Piscina } = await import("piscina");
    // With 'sync' an idle worker parks in Atomics.wait, and its sockets and timers starve.
    const pool = new Piscina({ ...this.#options, maxThreads: 1, atomics: "disabled", recordTiming: false });
    // A thread that dies outside a task is reported here as well; the task's own rejection is what is acted on.
    pool.on("error", () => {});
    this.#opened = pool;
    return pool;
  }
}
