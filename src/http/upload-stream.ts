/** A request body handed on as it comes: the socket is paused while what it brought is not yet taken. */
import { Fault } from "#core/errors.ts";
import type { HttpResponse } from "./uws.ts";

/** Bytes of one body not yet taken at which its socket is paused; it goes on at a quarter of that. */
export const PAUSE_ABOVE_BYTES = 1024 * 1024;
/** Part of the budget that all bodies together are paused at. */
const SHARED_PART = 1 / 4;
/** A refused body is read to its end, so that the client sees the answer, as long as it is no longer than so many limits. */
const DISCARD_LIMITS = 2;

/** What all uploads together hold in memory. */
export class UploadBudget {
  readonly maxBytes: number;
  /** Bytes received and not taken yet. */
  usedBytes = 0;
  /** The most there ever were. */
  peakBytes = 0;
  /** Bodies under way. */
  bodies = 0;
  /** Connections that were closed because there was no room. */
  cut = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Where a body is paused: the more of them, the sooner. */
  get pauseAboveBytes(): number {
    return Math.min(PAUSE_ABOVE_BYTES, (this.maxBytes * SHARED_PART) / Math.max(1, this.bodies));
  }

  /** Counts what came in; false when there is no room for it. */
  add(bytes: number): boolean {
    if (this.usedBytes + bytes > this.maxBytes) return false;
    this.usedBytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
    return true;
  }
}

interface Waiter {
  resolve(result: IteratorResult<Uint8Array, undefined>): void;
  reject(fault: Fault): void;
}

/**
 * The body of one request. Must be made in the socket's turn. For one reader: a chunk counts as taken when the next one is asked for.
 * `detach` must be called before the response is ended, `fail` when the client is gone: after that the socket is not touched. A body that
 * the budget has no room for ends with its connection: a pause did not stop it.
 */
export class UploadStream implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #res: HttpResponse;
  readonly #maxBytes: number;
  readonly #budget: UploadBudget;
  readonly #queue: Uint8Array[] = [];
  #received = 0;
  #untaken = 0;
  #handedOut = 0;
  #paused = false;
  #held = false;
  #attached = true;
  #ended = false;
  #discarding = false;
  #fault: Fault | undefined;
  #waiter: Waiter | undefined;
  #onEnd: (() => void) | undefined;

  constructor(res: HttpResponse, contentLength: string, maxBytes: number, budget: UploadBudget) {
    this.#res = res;
    this.#maxBytes = maxBytes;
    this.#budget = budget;
    budget.bodies++;
    if (Number(contentLength) > maxBytes) this.#fault = tooLarge(maxBytes);
    res.onData((chunk, isLast) => this.#receive(chunk, isLast));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What its head alone says against it: nothing has to begin for a body that is announced too long. @throws Fault payloadTooLarge */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Reads nothing before `ready` has settled. In the socket's turn. */
  hold(ready: Promise<unknown>): void {
    this.#held = true;
    this.#pause();
    const goOn = (): void => {
      this.#held = false;
      this.#flow();
    };
    void ready.then(goOn, goOn);
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#free(this.#handedOut);
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
    this.#clear();
    this.#flow();
    if (this.#ended || !this.#attached || this.#isFarTooMuch()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEnd = resolve;
    });
  }

  /** The client is gone, or its time is up. */
  fail(fault: Fault): void {
    this.#leave();
    this.#break(fault);
    this.#onEnd?.();
  }

  /** The response is about to be ended. */
  detach(): void {
    if (this.#attached && this.#paused) this.#res.resume();
    this.#leave();
    this.#clear();
  }

  #leave(): void {
    if (this.#attached) this.#budget.bodies--;
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
    if (chunk.byteLength > 0 && !this.#offer(chunk)) return;
    if (isLast && this.#queue.length === 0) this.#settle()?.resolve({ value: undefined, done: true });
  }

  #offer(chunk: ArrayBuffer): boolean {
    if (!this.#budget.add(chunk.byteLength)) {
      this.#cut();
      return false;
    }
    this.#untaken += chunk.byteLength;
    // uWebSockets.js takes the buffer back when this turn ends
    const bytes = new Uint8Array(chunk.slice(0));
    const waiter = this.#settle();
    if (waiter === undefined) this.#queue.push(bytes);
    else waiter.resolve({ value: this.#handOut(bytes), done: false });
    if (this.#untaken > this.#budget.pauseAboveBytes) this.#pause();
    return true;
  }

  #handOut(chunk: Uint8Array): Uint8Array {
    this.#handedOut = chunk.byteLength;
    return chunk;
  }

  #cut(): void {
    this.#budget.cut++;
    this.fail(new Fault("overloaded", "Uploads come faster than they are stored"));
    this.#res.close();
  }

  #pause(): void {
    if (this.#paused || !this.#attached) return;
    this.#paused = true;
    this.#res.pause();
  }

  #flow(): void {
    if (!this.#paused || this.#held || !this.#attached) return;
    if (this.#untaken > this.#budget.pauseAboveBytes / 4) return;
    this.#paused = false;
    this.#res.resume();
  }

  #break(fault: Fault): void {
    this.#fault ??= fault;
    this.#clear();
    this.#settle()?.reject(this.#fault);
  }

  #clear(): void {
    this.#queue.length = 0;
    this.#handedOut = 0;
    this.#free(this.#untaken);
  }

  #free(bytes: number): void {
    this.#untaken -= bytes;
    this.#budget.usedBytes -= bytes;
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
