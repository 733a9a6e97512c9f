/**
 * Which addresses have been proved: a sender can write any, and who is named gets the answer (RFC 7252 §11.3). One that sends back what it
 * got by the option Echo (RFC 9175) has received it. Ports do not count: clients change theirs, and whoever is named is hit at any.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "#core/time.ts";
import { EXCHANGE_LIFETIME_MS } from "./coap-codec.ts";

/** A proof holds so long, an Echo to give it with up to twice as long. */
const LIFETIME_MS = EXCHANGE_LIFETIME_MS;
/** Addresses that are remembered; the one proved longest ago goes first, and proves itself again. */
const MAX_PROVED = 4_096;
/** Of 1 to 40 (RFC 9175 §2.2.1): more than anyone can guess. */
const ECHO_BYTES = 8;

export class CoapEcho {
  readonly #clock: Clock;
  readonly #key = randomBytes(32);
  /** Address → when; oldest first. */
  readonly #proved = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What `address` is to send back. Nothing is kept of it. */
  valueFor(address: string): Uint8Array {
    return this.#value(address, this.#epoch);
  }

  /** Takes what came back. */
  hear(address: string, value: Uint8Array): void {
    if (value.length !== ECHO_BYTES) return;
    const epochs = [this.#epoch, this.#epoch - 1];
    if (!epochs.some((epoch) => timingSafeEqual(value, this.#value(address, epoch)))) return;
    this.#proved.delete(address);
    this.#proved.set(address, this.#clock.now());
    const [oldest = address] = this.#proved.keys();
    if (this.#proved.size > MAX_PROVED) this.#proved.delete(oldest);
  }

  isProved(address: string): boolean {
    const atMs = this.#proved.get(address);
    return atMs !== undefined && this.#clock.now() - atMs < LIFETIME_MS;
  }

  get #epoch(): number {
    return Math.floor(this.#clock.now() / LIFETIME_MS);
  }

  #value(address: string, epoch: number): Uint8Array {
    return createHmac("sha256", this.#key).update(`${epoch} ${address}`).digest().subarray(0, ECHO_BYTES);
  }
}
