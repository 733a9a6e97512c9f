/** A Piscina of at most one thread, loaded when the first task comes: the port is open before threads are wanted. */
import type { MessagePort } from "node:worker_threads";
import type { Piscina } from "piscina";

type PoolOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

export class LazyPool {
  readonly #options: PoolOptions;
  #pool: Promise<Piscina> | undefined;
  #opened: Piscina | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** As Piscina's own `run`; rejects when the package does not load. */
  async run(task: unknown, transferList: readonly MessagePort[]): Promise<unknown> {
    this.#pool ??= this.#open();
    return (await this.#pool).run(task, { transferList: [...transferList] });
  }

  /** Tasks that wait for the one that runs. */
  get waiting(): number {
    return this.#opened?.queueSize ?? 0;
  }

  get thread(): Piscina["threads"][number] | undefined {
    return this.#opened?.threads[0];
  }

  async destroy(): Promise<void> {
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
