/** Cuts a TCP byte stream into DoIP messages (ISO 13400-2 clause 7), whatever the chunks. */
import { checkHeader, decodeHeader } from "./codec.ts";
import { GENERIC_NACKS, type GenericNackName, HEADER_BYTES } from "./tables.ts";

export interface FrameSink {
  /** A complete message. `payload` is a view: into the chunk when it lay within one, else into a buffer of its own. */
  onMessage(version: number, payloadType: number, payload: Uint8Array): void;
  /**
   * A message that is refused. `closes`: the stream cannot go on; later chunks are ignored. `payloadType` is unknown when the
   * pattern was wrong; a refused NACK (0x0000) must not be answered with one.
   */
  onRefused(nack: GenericNackName, closes: boolean, payloadType: number | undefined): void;
}

export interface FramerOptions {
  /** Larger payloads are refused and skipped. */
  readonly maxPayloadBytes: number;
}

/** Growth step of a payload that arrives in parts, so that a length field alone cannot claim memory. */
const FIRST_BUFFER_BYTES = 65_536;

type Mode = "header" | "payload" | "skip" | "dead";

/** One per connection. A refused message is reported once, its payload skipped without being stored. */
export class StreamFramer {
  readonly #sink: FrameSink;
  readonly #maxPayloadBytes: number;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #mode: Mode = "header";
  #headerBytes = 0;
  #version = 0;
  #payloadType = 0;
  #payloadBytes = 0;
  #received = 0;
  #buffer: Buffer | undefined;

  constructor(sink: FrameSink, options: FramerOptions) {
    this.#sink = sink;
    this.#maxPayloadBytes = options.maxPayloadBytes;
  }

  /** Takes the next chunk; calls the sink for every message that it completes, in order. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && this.#mode !== "dead") at = this.#step(chunk, at);
  }

  /** Ends the stream from inside a sink call: the rest of the chunk is dropped. */
  stop(): void {
    this.#mode = "dead";
    this.#buffer = undefined;
  }

  #step(chunk: Uint8Array, at: number): number {
    if (this.#mode === "header") return this.#takeHeader(chunk, at);
    const taken = Math.min(this.#payloadBytes - this.#received, chunk.length - at);
    if (this.#mode === "payload") this.#store(chunk, at, taken);
    this.#received += taken;
    if (this.#received === this.#payloadBytes) this.#finish();
    return at + taken;
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    if (this.#headerBytes === 0 && chunk.length - at >= HEADER_BYTES) {
      return this.#startMessage(chunk, at, chunk, at + HEADER_BYTES);
    }
    const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length - at);
    for (let i = 0; i < taken; i++) this.#header[this.#headerBytes + i] = chunk[at + i]!;
    this.#headerBytes += taken;
    // A wrong pattern is known after two bytes; a peer that speaks something else need not send eight.
    if (this.#headerBytes >= 2 && (this.#header[0]! ^ 0xff) !== this.#header[1]) this.#refuse("incorrectPattern");
    else if (this.#headerBytes === HEADER_BYTES) return this.#startMessage(this.#header, 0, chunk, at + taken);
    return at + taken;
  }

  #startMessage(source: Uint8Array, sourceAt: number, chunk: Uint8Array, at: number): number {
    this.#headerBytes = 0;
    const header = decodeHeader(source, sourceAt);
    if (header === undefined) {
      this.#refuse("incorrectPattern");
      return at;
    }
    this.#version = header.version;
    this.#payloadType = header.payloadType;
    this.#payloadBytes = header.payloadBytes;
    this.#received = 0;
    const problem = checkHeader(header, this.#maxPayloadBytes);
    if (problem !== undefined) {
      this.#mode = header.payloadBytes === 0 ? "header" : "skip";
      this.#refuse(problem);
      return at;
    }
    const end = at + header.payloadBytes;
    if (end <= chunk.length) {
      this.#sink.onMessage(header.version, header.payloadType, chunk.subarray(at, end));
      return end;
    }
    this.#mode = "payload";
    return at;
  }

  #store(chunk: Uint8Array, at: number, bytes: number): void {
    const needed = this.#received + bytes;
    if (this.#buffer === undefined || this.#buffer.length < needed) this.#grow(needed);
    this.#buffer!.set(chunk.subarray(at, at + bytes), this.#received);
  }

  #grow(needed: number): void {
    const wanted = Math.max(needed, (this.#buffer?.length ?? 0) * 2, FIRST_BUFFER_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.min(wanted, this.#payloadBytes));
    this.#buffer?.copy(grown, 0, 0, this.#received);
    this.#buffer = grown;
  }

  #finish(): void {
    const payload = this.#buffer;
    const whole = this.#mode === "payload" ? payload : undefined;
    this.#mode = "header";
    this.#buffer = undefined;
    if (whole !== undefined) this.#sink.onMessage(this.#version, this.#payloadType, whole);
  }

  #refuse(nack: GenericNackName): void {
    const { closes } = GENERIC_NACKS[nack];
    if (closes) this.stop();
    this.#sink.onRefused(nack, closes, nack === "incorrectPattern" ? undefined : this.#payloadType);
  }
}
