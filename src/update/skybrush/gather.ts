/** Bytes that come in pieces, in one place: however small the pieces are, they take little more memory than their bytes. */
export class Gather {
  readonly #maxBytes: number;
  #bytes: Buffer = NONE;
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#size;
  }

  /** More has come than is kept; nothing of it is. */
  get tooLong(): boolean {
    return this.#size > this.#maxBytes;
  }

  add(piece: Uint8Array): void {
    const from = this.#size;
    this.#size += piece.byteLength;
    if (this.tooLong) this.#bytes = NONE;
    else {
      this.#makeRoom(from);
      this.#bytes.set(piece, from);
    }
  }

  text(): string {
    return this.#bytes.toString("utf8", 0, this.#size);
  }

  clear(): void {
    this.#size = 0;
    if (this.#bytes.byteLength > KEPT_BYTES) this.#bytes = NONE;
  }

  #makeRoom(used: number): void {
    if (this.#size <= this.#bytes.byteLength) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#size, Math.min(2 * this.#bytes.byteLength, this.#maxBytes)));
    grown.set(this.#bytes.subarray(0, used));
    this.#bytes = grown;
  }
}

const NONE = Buffer.alloc(0);
/** What a next message may use again. */
const KEPT_BYTES = 4_096;
