/** Writes frames to a socket, bounded, and lets frames of one turn leave in one system call. */
import type { Socket } from "node:net";

export class FrameWriter {
  readonly #socket: Socket;
  readonly #maxQueuedBytes: number;
  readonly #flush: () => void;
  #corked = false;

  constructor(socket: Socket, maxQueuedBytes: number) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#flush = () => {
      this.#corked = false;
      socket.uncork();
    };
  }

  /** Bytes that the peer has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Queues a frame for the end of this turn. False, and nothing queued: the bound is reached; `drain` follows on the socket. */
  write(frame: Uint8Array): boolean {
    const queued = this.#socket.writableLength;
    // A single frame may be larger than the bound, or it could never leave.
    if (queued > 0 && queued + frame.length > this.#maxQueuedBytes) return false;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(this.#flush);
    }
    this.#socket.write(frame);
    return true;
  }
}
