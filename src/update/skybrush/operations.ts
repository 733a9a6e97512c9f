/**
 * Uploads under way, each under the receipt its client got: progress, result, cancel and time limit. An upload belongs to the update
 * below and goes on without its client; its result is kept for a while.
 */
import { Fault } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { type Body, newId } from "./envelope.ts";
import type { FirmwarePort, Requester, UploadState } from "./port.ts";

/** Where notifications go. */
export interface Client extends Requester {
  notify(body: Body): void;
}

export interface OperationsOptions {
  readonly port: FirmwarePort;
  readonly clock: Clock;
  /** Time without progress. */
  readonly timeoutMs: number;
  readonly keepMs: number;
  /** Under way and kept. */
  readonly maxOperations: number;
  readonly onProblem: (problem: unknown, where: string) => void;
}

interface Operation {
  readonly receipt: string;
  readonly object: string;
  readonly upload: string;
  client: Client | undefined;
  /** Nothing is told now. */
  held: boolean;
  /** The final message, once there is one. */
  result: Body | undefined;
  /** The last progress that was told. */
  shown: Progress | undefined;
  /** Of the time without progress. */
  leftMs: number;
  timer: TimerHandle | undefined;
  unwatch: (() => void) | undefined;
}

interface Progress {
  readonly percentage: number;
  readonly message: string;
}

/** Clients take an operation that is silent for a minute for lost. */
const PULSE_MS = 10_000;

export class Operations {
  readonly #options: OperationsOptions;
  readonly #byReceipt = new Map<string, Operation>();
  /** Objects of uploads that are being registered. */
  readonly #claimed = new Set<string>();

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** Takes an object for an upload; nothing else may until it is over. @throws Fault updateInProgress, overloaded */
  claim(object: string): void {
    const active = [...this.#byReceipt.values()].some((each) => each.object === object && each.result === undefined);
    if (active || this.#claimed.has(object)) throw new Fault("updateInProgress", "An update of this object is active");
    if (this.#byReceipt.size + this.#claimed.size >= this.#options.maxOperations) {
      throw new Fault("overloaded", "There are too many operations");
    }
    this.#claimed.add(object);
  }

  /** Gives an object back that was not uploaded to. */
  release(object: string): void {
    this.#claimed.delete(object);
  }

  /** The receipt of a claimed object's upload. It does not begin before `start`. */
  open(object: string, upload: string, client: Client): string {
    this.#claimed.delete(object);
    const receipt = newId();
    const operation: Operation = {
      receipt,
      object,
      upload,
      client,
      held: false,
      result: undefined,
      shown: undefined,
      leftMs: this.#options.timeoutMs,
      timer: undefined,
      unwatch: undefined,
    };
    this.#byReceipt.set(receipt, operation);
    return receipt;
  }

  /** Begins: to be called when the client has its receipt. */
  start(receipt: string): void {
    const operation = this.#byReceipt.get(receipt);
    if (operation === undefined) return;
    this.#arm(operation);
    this.#run(operation).catch((error) => this.#end(operation, { error: this.#told(error, operation) }));
  }

  /**
   * Stops an upload. Its end is told as any other, once it is back where it was, and not before `released`: the answer to the request
   * comes first. @throws Fault notFound, conflict
   */
  async cancel(receipt: string, client: Client): Promise<void> {
    const operation = this.#get(receipt);
    if (operation.result !== undefined) throw new Fault("conflict", "The operation is over");
    operation.held = true;
    try {
      await this.#options.port.cancel(operation.upload, client, "cancelled by the client");
    } catch (error) {
      operation.held = false;
      throw error;
    }
  }

  released(receipt: string): void {
    const operation = this.#byReceipt.get(receipt);
    if (operation === undefined) return;
    operation.held = false;
    this.#look(operation);
  }

  /** Lets a client that lost its connection hear of its operation again; its end, if that has come. @throws Fault notFound */
  attach(receipt: string, client: Client): Body | undefined {
    const operation = this.#get(receipt);
    operation.client = client;
    return operation.result;
  }

  /** The client is gone; what it asked for goes on. */
  detach(client: Client): void {
    for (const operation of this.#byReceipt.values()) {
      if (operation.client === client) operation.client = undefined;
    }
  }

  close(): void {
    for (const { timer, unwatch } of this.#byReceipt.values()) {
      if (timer !== undefined) this.#options.clock.clearTimeout(timer);
      unwatch?.();
    }
    this.#byReceipt.clear();
  }

  async #run(operation: Operation): Promise<void> {
    const { port } = this.#options;
    const { client = OURSELVES, upload } = operation;
    operation.unwatch = port.watch(upload, () => this.#look(operation));
    await port.start(upload, client);
    this.#look(operation);
  }

  #look(operation: Operation): void {
    if (operation.held || !this.#isOpen(operation)) return;
    const state = this.#stateOf(operation);
    if (state.state === "done") this.#end(operation, { result: true });
    else if (state.state === "failed") this.#end(operation, { error: state.error });
    else this.#progress(operation, state.percent, state.step);
  }

  /** Somebody else may have deleted it. */
  #stateOf(operation: Operation): UploadState {
    try {
      return this.#options.port.state(operation.upload);
    } catch (error) {
      return { state: "failed", error: this.#told(error, operation) };
    }
  }

  #progress(operation: Operation, percentage: number, message: string): void {
    const { shown } = operation;
    if (shown?.percentage === percentage && shown.message === message) return;
    operation.shown = { percentage, message };
    operation.leftMs = this.#options.timeoutMs;
    this.#arm(operation);
    this.#tell(operation);
  }

  #tell({ client, receipt, shown }: Operation): void {
    if (shown !== undefined) client?.notify({ type: "ASYNC-ST", id: receipt, progress: shown });
  }

  #end(operation: Operation, outcome: { readonly result: true } | { readonly error: string }): void {
    this.#finish(operation, { type: "ASYNC-RESP", id: operation.receipt, ...outcome });
  }

  /** A client that hears of a time-out takes the upload for failed, so it must not go on behind its back. */
  #expire(operation: Operation): void {
    const { port, onProblem } = this.#options;
    this.#finish(operation, { type: "ASYNC-TIMEOUT", ids: [operation.receipt] });
    port
      .cancel(operation.upload, OURSELVES, "no progress within the time limit")
      .catch((problem) => onProblem(problem, operation.upload));
  }

  #finish(operation: Operation, message: Body): void {
    if (!this.#isOpen(operation)) return;
    const { clock, keepMs } = this.#options;
    operation.result = message;
    operation.unwatch?.();
    operation.client?.notify(message);
    if (operation.timer !== undefined) clock.clearTimeout(operation.timer);
    operation.timer = clock.setTimeout(() => this.#forget(operation), keepMs);
  }

  /** Neither over nor, by the end of all of them, left behind. */
  #isOpen({ receipt, result }: Operation): boolean {
    return result === undefined && this.#byReceipt.has(receipt);
  }

  #forget({ receipt, upload }: Operation): void {
    this.#byReceipt.delete(receipt);
    // a signed image that was uploaded again is the same update
    if ([...this.#byReceipt.values()].some((each) => each.upload === upload)) return;
    this.#options.port.forget(upload).catch((problem) => this.#options.onProblem(problem, upload));
  }

  #arm(operation: Operation): void {
    const { clock } = this.#options;
    if (operation.timer !== undefined) clock.clearTimeout(operation.timer);
    const delayMs = Math.min(PULSE_MS, operation.leftMs);
    operation.timer = clock.setTimeout(() => this.#pulse(operation, delayMs), delayMs);
  }

  #pulse(operation: Operation, passedMs: number): void {
    const state = this.#stateOf(operation);
    const limited = state.state === "running" && state.limited === true;
    operation.leftMs = limited ? this.#options.timeoutMs : operation.leftMs - passedMs;
    if (operation.leftMs <= 0) {
      this.#expire(operation);
      return;
    }
    if (!operation.held) this.#tell(operation);
    this.#arm(operation);
  }

  #told(error: unknown, { upload }: Operation): string {
    if (!(error instanceof Fault)) this.#options.onProblem(error, upload);
    return messageOf(error);
  }

  #get(receipt: string): Operation {
    const operation = this.#byReceipt.get(receipt);
    if (operation === undefined) throw new Fault("notFound", "No such receipt");
    return operation;
  }
}

const OURSELVES: Requester = { actor: "skybrush", caller: undefined };

/** What a client may read of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Fault ? error.message : "The server failed";
}
