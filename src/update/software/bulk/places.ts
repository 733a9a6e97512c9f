/** Places for uploads of clients: a client sends as slowly as it likes, so only other clients may notice, and no one client takes them all. */
import { Fault } from "#core/errors.ts";

export class Places {
  readonly #all: number;
  readonly #perClient: number;
  /** One fault for all of a kind: nobody waits for what a refused client has left to send, and there may be many. */
  readonly #noPlace: Fault;
  readonly #tooMany: Fault;
  /** Places held, of clients that hold any. */
  readonly #held = new Map<string, number>();
  #taken = 0;
  #refused = 0;

  /** `perClient`: default half of them. */
  constructor(all: number, perClient = Math.ceil(all / 2)) {
    this.#all = all;
    this.#perClient = perClient;
    this.#noPlace = new Fault("overloaded", `No upload is taken beside ${all} others (update.parallel_uploads)`);
    this.#tooMany = new Fault(
      "tooManyRequests",
      `No upload is taken beside ${perClient} others of the same client (update.parallel_uploads_per_client)`,
    );
  }

  /** Uploads for which there was no place. */
  get refused(): number {
    return this.#refused;
  }

  /** Runs `upload` in a place of `client`. @throws Fault tooManyRequests, overloaded when it has none */
  async hold<T>(client: string, upload: () => Promise<T>): Promise<T> {
    const held = this.#held.get(client) ?? 0;
    if (this.#taken >= this.#all) this.#refuse(this.#noPlace);
    if (held >= this.#perClient) this.#refuse(this.#tooMany);
    this.#set(client, held + 1);
    try {
      return await upload();
    } finally {
      this.#set(client, (this.#held.get(client) ?? 1) - 1);
    }
  }

  #set(client: string, held: number): void {
    this.#taken += held - (this.#held.get(client) ?? 0);
    if (held === 0) this.#held.delete(client);
    else this.#held.set(client, held);
  }

  #refuse(fault: Fault): never {
    this.#refused++;
    throw fault;
  }
}
