/** Work that must not overlap. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` once all that was asked for before has ended, however it ended. Settles as `work` does. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
