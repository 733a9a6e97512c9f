/** Writes frames to a socket, bounded; frames of one turn leave in one system call. */
import type { Socket } from "node:net";
import { systemClock } from "#core/time.ts";
import { Timeout } from "#core/timeout.ts";

/** How long a frame that nobody waits for may wait for one that somebody waits for. */
const HOLD_MS = 10;

export class FrameWriter {
  readonly #socket: Socket;
  readonly #maxQueuedBytes: number;
  readonly #frames: Uint8Array[] = [];
  #heldBytes = 0;
  #leaving = false;
  readonly #hold = new Timeout(systemClock, () => this.flush());

  constructor(socket: Socket, maxQueuedBytes: number) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  /** Bytes that the peer has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#heldBytes;
  }

  /** Queues a frame for the end of this turn. False, and nothing queued: the bound is reached; `drain` follows on the socket. */
  write(frame: Uint8Array): boolean {
    if (!this.#take(frame)) return false;
    if (!this.#leaving) {
      this.#leaving = true;
      process.nextTick(this.flush);
    }
    return true;
  }

  /** As `write`, but the frame may wait a moment for the next one: an acknowledgement rides with the next request. */
  writeLater(frame: Uint8Array): boolean {
    if (!this.#take(frame)) return false;
    if (!this.#leaving && this.#frames.length === 1) this.#hold.set(HOLD_MS);
    return true;
  }

  /** Hands all frames to the system now. */
  readonly flush = (): void => {
    this.#leaving = false;
    this.#hold.clear();
    const frames = this.#frames;
    if (frames.length === 0) return;
    // one copy of a few short frames costs less than a vector of them
    const bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames);
    frames.length = 0;
    this.#heldBytes = 0;
    this.#socket.write(bytes);
  };

  #take(frame: Uint8Array): boolean {
    const queued = this.queuedBytes;
    // A single frame may be larger than the bound, or it could never leave.
    if (queued > 0 && queued + frame.length > this.#maxQueuedBytes) return false;
    this.#frames.push(frame);
    this.#heldBytes += frame.length;
    return true;
  }
}
