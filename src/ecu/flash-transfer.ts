import { type FileHandle, open } from "node:fs/promises";
import { hexByte } from "#core/bytes.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import type { TransferMessage, TransferStart, TransferStatus } from "#fleet/messages.ts";
import { nrcText } from "#uds/nrc.ts";

const TRANSFER_DATA = 0x36;
const TRANSFER_DATA_OK = 0x76;
const NEGATIVE = 0x7f;
/** SID and block sequence counter in front of every block's data (ISO 14229-1, 14.5). */
const BLOCK_HEAD_BYTES = 2;
/** Blocks that wait, read from disk, behind the one that is on its way. */
const PREPARED_BLOCKS = 2;
/** Progress is told at most this often; start and end always are. */
const PROGRESS_INTERVAL_MS = 20;

export interface TransferEnvironment {
  /** Sends one UDS request and gives the final answer, negative ones included. */
  request(bytes: Uint8Array): Promise<Uint8Array>;
  progress(message: TransferMessage): void;
  now(): number;
}

interface Block {
  readonly message: Uint8Array;
  readonly dataBytes: number;
}

/**
 * One transfer of a file's bytes to an ECU (ISO 14229-1, 14.5 TransferData). While a block is on its way the next two are read from
 * disk. Any refusal but those that the request loop handles by itself (0x21, 0x78, 0x94) ends the transfer; a lost answer is made
 * good by the request loop, which sends the same counter again.
 */
export class FlashTransfer {
  readonly #start: TransferStart;
  readonly #ecu: string;
  readonly #environment: TransferEnvironment;
  #status: TransferStatus = "queued";
  #acknowledgedBytes = 0;
  #counter: number;
  #aborted = false;
  #error: string | undefined;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  /** @throws Fault badRequest when the block size carries nothing */
  constructor(ecu: string, start: TransferStart, environment: TransferEnvironment) {
    this.#ecu = ecu;
    this.#start = start;
    this.#environment = environment;
    this.#counter = start.blockSequenceCounter;
    if (start.blockSize <= BLOCK_HEAD_BYTES) {
      throw new Fault("badRequest", `Invalid request: blocksize must be greater than ${BLOCK_HEAD_BYTES}`);
    }
  }

  get id(): string {
    return this.#start.id;
  }
  get active(): boolean {
    return this.#status === "queued" || this.#status === "running";
  }

  /** Stops before the next block. */
  abort(reason: string): void {
    this.#aborted = true;
    this.#error ??= reason;
  }

  /** Never rejects: it runs by itself, and what goes wrong stands in its last message. */
  async run(): Promise<void> {
    this.#tell("queued");
    try {
      await this.#sendFile();
      this.#tell("finished");
    } catch (error) {
      this.#error ??= reasonOf(error);
      this.#tell("aborted");
    }
  }

  async #sendFile(): Promise<void> {
    const file = await open(this.#start.path, "r");
    try {
      await this.#send(file);
    } finally {
      await file.close();
    }
  }

  async #send(file: FileHandle): Promise<void> {
    this.#tell("running");
    const prepared: Promise<Block>[] = [];
    let readBytes = 0;
    const prepare = (blocks: number) => {
      for (; prepared.length < blocks && readBytes < this.#start.length; readBytes += this.#dataBytesAt(readBytes)) {
        const block = this.#read(file, readBytes);
        // A read that fails while a block is on its way is reported when its turn comes.
        block.catch(() => {});
        prepared.push(block);
      }
    };
    prepare(1);
    for (let next = prepared.shift(); next !== undefined; next = prepared.shift()) {
      prepare(PREPARED_BLOCKS);
      const block = await next;
      if (this.#aborted) throw new Error(this.#error);
      block.message[1] = this.#counter;
      this.#check(await this.#environment.request(block.message));
      this.#counter = (this.#counter + 1) & 0xff;
      this.#acknowledgedBytes += block.dataBytes;
      this.#tell("running");
    }
  }

  #dataBytesAt(position: number): number {
    return Math.min(this.#start.blockSize - BLOCK_HEAD_BYTES, this.#start.length - position);
  }

  async #read(file: FileHandle, position: number): Promise<Block> {
    const dataBytes = this.#dataBytesAt(position);
    const message = new Uint8Array(BLOCK_HEAD_BYTES + dataBytes);
    message[0] = TRANSFER_DATA;
    const { bytesRead } = await file.read(message, BLOCK_HEAD_BYTES, dataBytes, this.#start.offset + position);
    if (bytesRead !== dataBytes) throw new Error(`the file ended at byte ${this.#start.offset + position + bytesRead}`);
    return { message, dataBytes };
  }

  #check(answer: Uint8Array): void {
    if (answer[0] === NEGATIVE) {
      const nrc = answer[2] ?? 0;
      throw new Error(`TransferData refused with NRC 0x${hexByte(nrc)} (${nrcText(nrc)})`);
    }
    if (answer[0] !== TRANSFER_DATA_OK) throw new Error(`unexpected answer 0x${hexByte(answer[0] ?? 0)}`);
    if (answer.length > 1 && answer[1] !== this.#counter) {
      throw new Error(`the ECU acknowledged block ${answer[1]} instead of ${this.#counter}`);
    }
  }

  #tell(status: TransferStatus): void {
    const now = this.#environment.now();
    const quiet = status === "running" && this.#status === "running" && now - this.#toldAtMs < PROGRESS_INTERVAL_MS;
    this.#status = status;
    if (quiet) return;
    this.#toldAtMs = now;
    this.#environment.progress({
      type: "transfer",
      ecu: this.#ecu,
      id: this.#start.id,
      fileId: this.#start.fileId,
      status,
      acknowledgedBytes: this.#acknowledgedBytes,
      blockSize: this.#start.blockSize,
      nextBlockSequenceCounter: this.#counter,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    });
  }
}
