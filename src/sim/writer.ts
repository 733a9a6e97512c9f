/** Outgoing side of a connection: one write per batch, or cut and joined on purpose. */
import type { Socket } from "node:net";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { EntityMisbehaviour } from "./misbehaviour.ts";

const DEFAULT_COALESCE_MS = 20;

export class FrameWriter {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #rules: () => EntityMisbehaviour;
  #frames: Uint8Array[] = [];
  #batching = false;
  #ending = false;
  #coalesceTimer: TimerHandle | undefined;
  /** Bytes that leave one by one; undefined: none on their way. */
  #single: Uint8Array[] | undefined;

  constructor(socket: Socket, clock: Clock, rules: () => EntityMisbehaviour) {
    this.#socket = socket;
    this.#clock = clock;
    this.#rules = rules;
  }

  /** Frames written inside `work` leave together. */
  batch(work: () => void): void {
    if (this.#batching) {
      work();
      return;
    }
    this.#batching = true;
    try {
      work();
    } finally {
      this.#batching = false;
      this.#flush();
    }
  }

  write(frame: Uint8Array): void {
    this.#frames.push(frame);
    if (!this.#batching) this.#flush();
  }

  /** Closes the socket behind what was written. */
  end(): void {
    this.#ending = true;
    if (!this.#batching) this.#flush();
  }

  /** Drops what waits. */
  close(): void {
    if (this.#coalesceTimer !== undefined) this.#clock.clearTimeout(this.#coalesceTimer);
    this.#frames = [];
    this.#single = undefined;
  }

  #flush(): void {
    if (this.#ending) this.#finish();
    if (this.#frames.length === 0) return;
    const rules = this.#rules();
    if (rules.halfOpen === true) this.#frames = [];
    // What leaves byte by byte stays in front of what follows.
    else if (rules.write === "bytes" || this.#single !== undefined) this.#writeSingly(this.#take());
    else if (rules.write === "coalesce") this.#writeLater(rules.coalesceMs ?? DEFAULT_COALESCE_MS);
    else this.#send(this.#take());
  }

  #finish(): void {
    if (this.#frames.length > 0) this.#send(this.#take());
    this.#socket.destroySoon();
  }

  #take(): Uint8Array {
    const [first] = this.#frames;
    const whole = this.#frames.length === 1 ? first! : Buffer.concat(this.#frames);
    this.#frames = [];
    return whole;
  }

  #send(bytes: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    // A peer that does not read is not read from either: what waits here stays bounded by what it sent.
    if (this.#socket.write(bytes) || this.#socket.isPaused()) return;
    this.#socket.pause();
    this.#socket.once("drain", () => this.#socket.resume());
  }

  #writeLater(delayMs: number): void {
    this.#coalesceTimer ??= this.#clock.setTimeout(() => {
      this.#coalesceTimer = undefined;
      if (this.#frames.length > 0) this.#send(this.#take());
    }, delayMs);
  }

  #writeSingly(bytes: Uint8Array): void {
    if (this.#single !== undefined) {
      this.#single.push(bytes);
      return;
    }
    this.#single = [bytes];
    this.#nextByte(0);
  }

  // A turn of the event loop between two bytes, so that they are two segments.
  #nextByte(at: number): void {
    const [bytes] = this.#single ?? [];
    if (bytes === undefined || this.#socket.destroyed) {
      this.#single = undefined;
      return;
    }
    if (at === bytes.length) {
      this.#single!.shift();
      this.#nextByte(0);
      return;
    }
    this.#socket.write(bytes.subarray(at, at + 1), () => setImmediate(() => this.#nextByte(at + 1)));
  }
}
