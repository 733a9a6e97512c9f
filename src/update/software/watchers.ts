/**
 * Who wants to hear of changes. A watcher that cannot take more is told when it can: what it missed meanwhile is one state, the latest,
 * so that nothing queues up however slow it is.
 */
import { Fault } from "#core/errors.ts";

export interface Watcher {
  /** Something changed; called once until `taken`. */
  changed(): void;
}

export class Watchers {
  readonly #byId = new Map<string, Set<Watcher>>();
  readonly #forAll = new Set<(id: string) => void>();
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns what ends it. @throws Fault overloaded when there are too many */
  add(id: string, watcher: Watcher): () => void {
    if (this.#count >= this.#max) throw new Fault("overloaded", `More than ${this.#max} subscribers`);
    const watchers = this.#byId.get(id) ?? new Set();
    this.#byId.set(id, watchers.add(watcher));
    this.#count++;
    return () => {
      if (!watchers.delete(watcher)) return;
      this.#count--;
      if (watchers.size === 0) this.#byId.delete(id);
    };
  }

  /** Hears of every id; for parts of this program, which are not counted. Returns what ends it. */
  addForAll(listener: (id: string) => void): () => void {
    this.#forAll.add(listener);
    return () => void this.#forAll.delete(listener);
  }

  notify(id: string): void {
    for (const listener of this.#forAll) listener(id);
    for (const watcher of this.#byId.get(id) ?? []) watcher.changed();
  }
}
