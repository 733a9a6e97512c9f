export interface ConnectivityNotice {
  readonly connected: boolean;
  readonly reason: string | undefined;
  readonly tls: boolean;
}

/** Tells what happened strictly in order: what a listener causes is told after all have heard of what it heard. */
export class Notices<T> {
  readonly #deliver: (notice: T) => void;
  readonly #waiting: T[] = [];
  #delivering = false;

  constructor(deliver: (notice: T) => void) {
    this.#deliver = deliver;
  }

  push(notice: T): void {
    this.#waiting.push(notice);
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      for (let at = this.#waiting.shift(); at !== undefined; at = this.#waiting.shift()) this.#deliver(at);
    } finally {
      this.#delivering = false;
    }
  }
}
