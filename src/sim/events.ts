/** What happens in the simulated vehicle, for tests and recorders. */
import type { Message } from "#doip/codec.ts";

export type SimEvent =
  | { readonly kind: "connected"; readonly entity: string; readonly secure: boolean }
  | { readonly kind: "activated"; readonly entity: string; readonly sourceAddress: number; readonly code: number }
  | { readonly kind: "aliveCheckResponse"; readonly entity: string; readonly sourceAddress: number }
  | { readonly kind: "closed"; readonly entity: string; readonly sourceAddress: number | undefined }
  | { readonly kind: "request"; readonly ecu: string; readonly uds: Uint8Array }
  | { readonly kind: "datagram"; readonly entity: string; readonly message: Message }
  | { readonly kind: "announced"; readonly entity: string; readonly round: number }
  | { readonly kind: "listening"; readonly entity: string; readonly port: number }
  | { readonly kind: "failed"; readonly entity: string; readonly error: Error };

export type SimListener = (event: SimEvent) => void;

/** Subscribers of events; `idle` lets a hot path skip building one. */
export class SimEvents {
  readonly #listeners = new Set<SimListener>();

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  emit(event: SimEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Returns the function that ends the subscription. */
  subscribe(listener: SimListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The next event that the test accepts. */
  next<K extends SimEvent["kind"]>(
    kind: K,
    accepts: (event: Extract<SimEvent, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<SimEvent, { kind: K }>> {
    return new Promise((resolve) => {
      const end = this.subscribe((event) => {
        if (event.kind !== kind || !accepts(event as Extract<SimEvent, { kind: K }>)) return;
        end();
        resolve(event as Extract<SimEvent, { kind: K }>);
      });
    });
  }
}
