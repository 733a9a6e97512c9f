/**
 * Answers devices. A report comes in by any transport, the answer goes out by the same; in between stand what the device shall have and
 * the pure rule. Who waits for a device (a campaign) listens to its reports.
 */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { TokenBuckets } from "#core/token-buckets.ts";
import { type Command, encodeCommand, readStatus, type Status } from "./codec.ts";
import type { Images } from "./images.ts";
import { type AnswerLimits, type Desired, type Image, nextStep, type Step } from "./next.ts";
import { type Identity, keyOf } from "./registry.ts";

/** What a device said last, and what it was told: `none` when it does not wait for an answer. */
export interface Report {
  readonly status: Status;
  readonly answer: Step["type"] | "none";
  /** The image the answer was about. */
  readonly image: Image | undefined;
  /** `Clock.now()`. */
  readonly atMs: number;
}

/** What a device shall have, looked up at each report. `later`: it is being fetched; undefined: nobody says. */
export type FindDesired = (identity: Identity) => Desired | "later" | undefined;

export interface DeskOptions {
  readonly desired: FindDesired;
  readonly images: Images;
  readonly clock: Clock;
  readonly limits: AnswerLimits;
  /** Devices whose last report is kept. */
  readonly maxDevices: number;
  /** Of one device; as many at once. */
  readonly maxReportsPerS: number;
  readonly onReport: (identity: Identity, report: Report) => void;
}

export class Desk {
  readonly #options: DeskOptions;
  readonly #reports = new Map<string, { readonly identity: Identity; readonly report: Report }>();
  readonly #listeners = new Map<string, Set<(report: Report) => void>>();
  readonly #rate: TokenBuckets;

  constructor(options: DeskOptions) {
    this.#options = options;
    const { maxReportsPerS: ratePerS, maxDevices: maxSenders } = options;
    this.#rate = new TokenBuckets({ ratePerS, burst: ratePerS, maxSenders });
  }

  /**
   * The command for a device that sent `message`, packed CBOR. `maxBlockBytes`: what its transport carries in one piece; `maxBytes`: of
   * the whole command, for which a block is made shorter.
   * @throws Fault invalidData for a message that is none, notFound or corruption for an image that is gone, unauthorized where `maxBytes`
   * are too few, tooManyRequests
   */
  answer(
    identity: Identity,
    message: Uint8Array,
    maxBlockBytes = Number.POSITIVE_INFINITY,
    maxBytes = Number.POSITIVE_INFINITY,
  ): Uint8Array {
    const { desired, images, limits } = this.#options;
    const status = this.#read(identity, message);
    const found = desired(identity);
    const wanted = found === "later" ? undefined : found;
    const capped = {
      ...limits,
      pollS: found === "later" ? limits.gatePollS : limits.pollS,
      maxBlockBytes: Math.min(limits.maxBlockBytes, maxBlockBytes),
    };
    const step = nextStep(status, wanted, capped);
    const command = encodeFitting(commandOf(step, status, wanted, images), maxBytes);
    this.#heard(identity, status, step.type, wanted?.image);
    return command;
  }

  /** Takes the report of a device that does not wait for a command. @throws Fault invalidData, tooManyRequests */
  hear(identity: Identity, message: Uint8Array): void {
    const status = this.#read(identity, message);
    const found = this.#options.desired(identity);
    this.#heard(identity, status, "none", found === "later" ? undefined : found?.image);
  }

  /** The last report of a device, by its key. */
  last(device: string): Report | undefined {
    return this.#reports.get(device)?.report;
  }

  /** The last report of every device, the newest last. */
  get reports(): readonly { readonly identity: Identity; readonly report: Report }[] {
    return [...this.#reports.values()];
  }

  /** Calls `listener` after each report of a device; returns what ends that. */
  listen(device: string, listener: (report: Report) => void): () => void {
    const listeners = this.#listeners.get(device) ?? new Set();
    this.#listeners.set(device, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(device);
    };
  }

  /** Resolves at the first report from now on that `passed` accepts; rejects when it throws, or with the signal's reason. */
  until(device: string, signal: AbortSignal, passed: (report: Report) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        stop();
        signal.removeEventListener("abort", onAbort);
        finish();
      };
      const onAbort = (): void => settle(() => reject(signal.reason));
      const stop = this.listen(device, (report) => {
        try {
          if (passed(report)) settle(resolve);
        } catch (error) {
          settle(() => reject(error));
        }
      });
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #read(identity: Identity, message: Uint8Array): Status {
    const { clock, maxReportsPerS } = this.#options;
    if (this.#rate.take(keyOf(identity), clock.now())) return readStatus(message);
    throw new Fault(
      "tooManyRequests",
      `A device sends at most ${maxReportsPerS} reports a second (update.ajour.max_reports_per_second)`,
    );
  }

  #heard(identity: Identity, status: Status, answer: Report["answer"], image: Image | undefined): void {
    const report = { status, answer, image, atMs: this.#options.clock.now() };
    this.#keep(identity, report);
    this.#options.onReport(identity, report);
  }

  #keep(identity: Identity, report: Report): void {
    const device = keyOf(identity);
    // the one heard of longest ago goes first
    this.#reports.delete(device);
    this.#reports.set(device, { identity, report });
    const [oldest] = this.#reports.keys();
    if (this.#reports.size > this.#options.maxDevices && oldest !== undefined) this.#reports.delete(oldest);
    for (const listener of this.#listeners.get(device) ?? []) listener(report);
  }
}

function commandOf(step: Step, { correlationId }: Status, desired: Desired | undefined, images: Images): Command {
  if (desired === undefined || step.type === "wait") {
    return { type: "wait", correlationId, pollS: "pollS" in step ? step.pollS : undefined };
  }
  const { version, sha256 } = desired.image;
  if (step.type === "sync") return { type: "sync", version, correlationId, pollS: step.pollS };
  if (step.type === "swap") return { type: "swap", version, correlationId, checksum: Buffer.from(sha256, "hex") };
  const { offset, length } = step;
  return { type: "write", version, correlationId, offset, data: images.read(sha256, offset, length) };
}

/** A shorter block is a power of two: whatever flash is written by, offsets stay multiples of it. */
const MIN_BLOCK_BYTES = 16;
/** What a length may take more than that of nothing. */
const LENGTH_BYTES = 2;

/** @throws Fault unauthorized where it does not go into so many bytes: then the device has not been told, and is not heard */
function encodeFitting(command: Command, maxBytes: number): Uint8Array {
  const whole = encodeCommand(command, "packed");
  if (whole.length <= maxBytes) return whole;
  const empty = command.type === "write" ? encodeCommand({ ...command, data: new Uint8Array(0) }, "packed") : whole;
  const room = maxBytes - empty.length - LENGTH_BYTES;
  if (command.type !== "write" || room < MIN_BLOCK_BYTES) {
    throw new Fault("unauthorized", "The answer is too long for an address that has not been proved");
  }
  return encodeCommand({ ...command, data: command.data.subarray(0, 2 ** Math.floor(Math.log2(room))) }, "packed");
}
