/** A request body handed on as it comes: the socket is paused while what it brought is not yet taken. */
import { Fault } from "#core/errors.ts";
import type { HttpResponse } from "./uws.ts";

/** Bytes not yet taken at which the socket is paused, and at which it goes on. */
export const PAUSE_ABOVE_BYTES = 4 * 1024 * 1024;
export const RESUME_BELOW_BYTES = 1024 * 1024;
/** A refused body is read to its end, so that the client sees the answer, as long as it is no longer than so many limits. */
const DISCARD_LIMITS = 2;

interface Waiter {
  resolve(result: IteratorResult<Uint8Array, undefined>): void;
  reject(fault: Fault): void;
}

/**
 * The body of one request. Must be made in the socket's turn. For one reader: a chunk counts as taken when the next one is asked for.
 * `detach` must be called before the response is ended, `fail` when the client is gone: after that the socket is not touched.
 */
export class UploadStream implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #res: HttpResponse;
  readonly #maxBytes: number;
  readonly #queue: Uint8Array[] = [];
  #received = 0;
  #untaken = 0;
  #handedOut = 0;
  #paused = false;
  #attached = true;
  #ended = false;
  #discarding = false;
  #fault: Fault | undefined;
  #waiter: Waiter | undefined;
  #onEnd: (() => void) | undefined;

  constructor(res: HttpResponse, contentLength: string, maxBytes: number) {
    this.#res = res;
    this.#maxBytes = maxBytes;
    if (Number(contentLength) > maxBytes) this.#fault = tooLarge(maxBytes);
    res.onData((chunk, isLast) => this.#receive(chunk, isLast));
  }

  /** Bytes that were received and are not taken yet. */
  get untakenBytes(): number {
    return this.#untaken;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#untaken -= this.#handedOut;
    this.#handedOut = 0;
    this.#flow();
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    const chunk = this.#queue.shift();
    if (chunk !== undefined) return Promise.resolve({ value: this.#handOut(chunk), done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** The reader has lost interest; `discard` still reads the rest. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Reads the rest and throws it away; resolves at its end, when the client is gone, or when there is far too much of it. */
  discard(): Promise<void> {
    this.#discarding = true;
    this.#queue.length = 0;
    this.#untaken = 0;
    this.#flow();
    if (this.#ended || !this.#attached || this.#isFarTooMuch()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEnd = resolve;
    });
  }

  /** The client is gone, or its time is up. */
  fail(fault: Fault): void {
    this.#attached = false;
    this.#break(fault);
    this.#onEnd?.();
  }

  /** The response is about to be ended. */
  detach(): void {
    if (this.#attached && this.#paused) this.#res.resume();
    this.#attached = false;
    this.#paused = false;
  }

  #receive(chunk: ArrayBuffer, isLast: boolean): void {
    if (!this.#attached) return;
    this.#received += chunk.byteLength;
    this.#ended = isLast;
    if (this.#received > this.#maxBytes) this.#break(tooLarge(this.#maxBytes));
    if (this.#discarding || this.#fault !== undefined) {
      if (isLast || this.#isFarTooMuch()) this.#onEnd?.();
      return;
    }
    // uWebSockets.js takes the buffer back when this turn ends
    if (chunk.byteLength > 0) this.#offer(new Uint8Array(chunk.slice(0)));
    if (isLast && this.#queue.length === 0) this.#settle()?.resolve({ value: undefined, done: true });
  }

  #offer(bytes: Uint8Array): void {
    this.#untaken += bytes.byteLength;
    const waiter = this.#settle();
    if (waiter === undefined) this.#queue.push(bytes);
    else waiter.resolve({ value: this.#handOut(bytes), done: false });
    if (!this.#paused && this.#untaken > PAUSE_ABOVE_BYTES) {
      this.#paused = true;
      this.#res.pause();
    }
  }

  #handOut(chunk: Uint8Array): Uint8Array {
    this.#handedOut = chunk.byteLength;
    return chunk;
  }

  #flow(): void {
    if (!this.#paused || !this.#attached || this.#untaken >= RESUME_BELOW_BYTES) return;
    this.#paused = false;
    this.#res.resume();
  }

  #break(fault: Fault): void {
    this.#fault ??= fault;
    this.#queue.length = 0;
    this.#settle()?.reject(this.#fault);
  }

  #settle(): Waiter | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    return waiter;
  }

  #isFarTooMuch(): boolean {
    return this.#received > DISCARD_LIMITS * this.#maxBytes;
  }
}

function tooLarge(maxBytes: number): Fault {
  return new Fault("payloadTooLarge", `The upload is larger than ${maxBytes} bytes`);
}
