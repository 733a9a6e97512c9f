import { Fault } from "#core/errors.ts";
import type { LoadedDatabase } from "./loaded-database.ts";

/**
 * A database from its first use to the last one after it was replaced: mapped bytes must not be read once they are let go, so
 * whatever reads them holds it, and a retired one is never opened again.
 */
export class HeldDatabase {
  readonly #open: () => LoadedDatabase;
  #loaded: LoadedDatabase | undefined;
  #users = 0;
  #retired = false;
  readonly #onReleased: (() => void)[] = [];

  /** `open` runs at first use. */
  constructor(open: () => LoadedDatabase) {
    this.#open = open;
  }

  /** @throws Fault of the opening; notReady once it was replaced */
  get loaded(): LoadedDatabase {
    if (this.#loaded === undefined) {
      if (this.#retired) throw new Fault("notReady", "The diagnostic database was replaced");
      this.#loaded = this.#open();
    }
    return this.#loaded;
  }

  /** The database if it was opened; looking does not open it. */
  get opened(): LoadedDatabase | undefined {
    return this.#loaded;
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** Each `hold` is followed by one `letGo`. */
  hold(): void {
    this.#users++;
  }

  letGo(): void {
    this.#users--;
    this.#release();
  }

  /** Another version took its place: released with the last one who holds it. */
  retire(): void {
    this.#retired = true;
    this.#release();
  }

  /** Calls the listener once this was replaced and nobody holds it any more. */
  whenReleased(listener: () => void): void {
    this.#onReleased.push(listener);
    this.#release();
  }

  #release(): void {
    if (!this.#retired || this.#users > 0) return;
    this.#loaded?.release();
    this.#loaded = undefined;
    for (const listener of this.#onReleased.splice(0)) listener();
  }
}

/** Runs `work` with all of these held. */
export async function holding<T>(databases: readonly HeldDatabase[], work: () => Promise<T> | T): Promise<T> {
  for (const database of databases) database.hold();
  try {
    return await work();
  } finally {
    for (const database of databases) database.letGo();
  }
}
