/** RequestDownload, TransferData, RequestTransferExit (ISO 14229-1 clause 15) over the segments of an image. */
import { crc32 } from "node:zlib";
import { Fault } from "#core/errors.ts";
import { type Artifact, isUnreachable, type UpdateJob } from "#update/software/provider.ts";
import { sleep } from "#update/software/sleep.ts";
import {
  ask,
  DEFAULT_TIMEOUT_MS,
  demand,
  type Exchange,
  ecuName,
  NEGATIVE,
  POSITIVE,
  refused,
  unexpected,
} from "./uds-exchange.ts";
import { type DownloadStep, type Recipe, requestDownload, type Segment, segmentsOf } from "./uds-recipe.ts";

const SID = { transferData: 0x36, transferExit: 0x37 } as const;
const BLOCK_HEAD_BYTES = 2;
const DEFAULT_BLOCK_BYTES = 4096;
/** Acknowledged bytes are noted this often: what is lost by a restart is sent again. */
const NOTE_BYTES = 256 * 1024;
/** Pause before a block whose answer was lost goes again. */
const LOST_RETRY_MS = 250;

export interface Transfer {
  readonly exchange: Exchange;
  readonly job: UpdateJob;
  readonly image: Artifact;
  readonly recipe: Recipe;
}

/** How far the ECU has an image: whole segments, and bytes of the next. */
export interface Reached {
  readonly segment: number;
  readonly bytes: number;
}

const NOTHING: Reached = { segment: 0, bytes: 0 };
const NOTE = "reached";

/** What a former process noted of this very image; undefined when the ECU has to be given all of it. */
export function reachedBefore({ job, image }: Pick<Transfer, "job" | "image">): Reached | undefined {
  const [sha256, segment, bytes] = (job.memory.get(NOTE) ?? "").split(":");
  return sha256 === image.sha256 ? { segment: Number(segment), bytes: Number(bytes) } : undefined;
}

export async function forgetReached({ job }: Pick<Transfer, "job">): Promise<void> {
  if (job.memory.get(NOTE) !== undefined) await job.memory.set(NOTE, "");
}

/** Sends what the ECU does not have yet. `tell`: bytes of the image that are done. @throws Fault at the first refusal */
export async function download(transfer: Transfer, step: DownloadStep, tell: (bytes: number) => void): Promise<void> {
  const { job, image, recipe } = transfer;
  const { resumable = false } = step.download;
  const reached = (resumable ? reachedBefore(transfer) : undefined) ?? NOTHING;
  const note = async (segment: number, bytes: number): Promise<void> => {
    if (resumable) await job.memory.set(NOTE, `${image.sha256}:${segment}:${bytes}`);
  };
  const segments = segmentsOf(recipe, image.sizeBytes);
  for (const [index, segment] of segments.entries()) {
    if (index < reached.segment) continue;
    await sendSegment(transfer, step, {
      segment,
      from: index === reached.segment ? reached.bytes : 0,
      tell: (bytes) => tell(segment.offset + bytes),
      note: (bytes) => note(index, bytes),
    });
    if (index + 1 < segments.length) await note(index + 1, 0);
  }
  await forgetReached(transfer);
}

interface Part {
  readonly segment: Segment;
  /** Bytes of it that the ECU has. */
  readonly from: number;
  readonly tell: (bytes: number) => void;
  readonly note: (bytes: number) => Promise<void>;
}

async function sendSegment({ exchange, job, image }: Transfer, step: DownloadStep, part: Part): Promise<void> {
  const { segment, from, tell, note } = part;
  const { component, signal } = job;
  const options = { signal, timeoutMs: step.timeout_ms };
  const request = requestDownload(step.download, segment.address + from, segment.memoryBytes - from);
  const offer = await demand(exchange, component, request, { ...options, name: "request download" });
  const data = taken(image.read(segment.offset + from), segment.length - from);
  let counter = 1;
  let sent = from;
  let noted = from;
  for await (const block of blocks(data, blockBytesOf(offer, step))) {
    signal.throwIfAborted();
    await sendBlock({ exchange, job }, block, counter, `block ${counter} at byte ${segment.offset + sent}`, step);
    counter = (counter + 1) & 0xff;
    sent += block.byteLength;
    tell(sent);
    if (sent - noted < NOTE_BYTES || sent === segment.length) continue;
    noted = sent;
    await note(sent);
  }
  if (sent !== segment.length) throw new Fault("corruption", `The image ended at byte ${segment.offset + sent}`);
  await demand(exchange, component, Uint8Array.of(SID.transferExit), { ...options, name: "transfer exit" });
}

/**
 * One block, until the ECU has acknowledged it. When its answer was lost on the way it goes again with the same counter: an ECU that has
 * it already writes nothing twice. A refusal ends the transfer.
 */
async function sendBlock(
  { exchange, job }: Pick<Transfer, "exchange" | "job">,
  data: Uint8Array,
  counter: number,
  name: string,
  { timeout_ms = DEFAULT_TIMEOUT_MS }: DownloadStep,
): Promise<void> {
  const { clock } = exchange;
  const { component, signal } = job;
  const request = new Uint8Array(BLOCK_HEAD_BYTES + data.byteLength);
  request.set([SID.transferData, counter]);
  request.set(data, BLOCK_HEAD_BYTES);
  const untilMs = clock.now() + timeout_ms;
  for (;;) {
    try {
      const answer = await ask(exchange, component, request, { signal, timeoutMs: untilMs - clock.now() });
      if (answer[0] === NEGATIVE) throw refused(name, answer);
      if (answer[0] === SID.transferData + POSITIVE && answer[1] === counter) return;
      throw unexpected(name, answer);
    } catch (error) {
      const isLost = isUnreachable(error) && !signal.aborted;
      if (!isLost || clock.now() + LOST_RETRY_MS >= untilMs) throw error;
      await sleep(clock, LOST_RETRY_MS, signal);
      await reach(exchange, component, signal);
    }
  }
}

/** An ECU that was silent is not asked before it was found again. */
async function reach(exchange: Exchange, component: string, signal: AbortSignal): Promise<void> {
  const { fleet } = exchange;
  if (fleet.ecu(component)?.state === "Online") return;
  await fleet.call(ecuName(exchange, component), "detect", {}, { signal }).catch(() => undefined);
}

/** Data of a block: what the ECU offers, SID and counter included (clause 14.2), at most what the recipe wants. */
function blockBytesOf(
  offer: Uint8Array,
  { download: { max_block_bytes = DEFAULT_BLOCK_BYTES } }: DownloadStep,
): number {
  const bytes = Math.min(maxBlockOf(offer), max_block_bytes) - BLOCK_HEAD_BYTES;
  if (bytes < 1) throw new Fault("ecuRefused", "The ECU takes no data in a block");
  return bytes;
}

/** maxNumberOfBlockLength fills the rest of the answer, whichever nibble an ECU writes its length into. */
function maxBlockOf(offer: Uint8Array): number {
  let bytes = 0;
  for (const byte of offer.subarray(2, 8)) bytes = bytes * 256 + byte;
  return bytes;
}

/** The first `size` bytes. */
async function* taken(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left);
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
}

/** The same bytes in pieces of `size`. */
async function* blocks(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    let at = 0;
    if (rest.byteLength > 0) {
      at = Math.min(size - rest.byteLength, chunk.byteLength);
      rest = Buffer.concat([rest, chunk.subarray(0, at)]);
      if (rest.byteLength < size) continue;
      yield rest;
    }
    for (; at + size <= chunk.byteLength; at += size) yield chunk.subarray(at, at + size);
    rest = chunk.slice(at);
  }
  if (rest.byteLength > 0) yield rest;
}

/** Checksum of a segment as many ECUs want it (CRC-32 of ISO-HDLC). */
export async function crc32Of(
  image: Artifact,
  { offset, length }: Pick<Segment, "offset" | "length">,
): Promise<number> {
  let value = 0;
  for await (const chunk of taken(image.read(offset), length)) value = crc32(chunk, value);
  return value;
}
