/** A request on its way through a client: what it wants, where it stands, and how it may fail. */
import { Fault } from "#core/errors.ts";
import type { UdsParams } from "./com-params.ts";

/**
 * Whom a request is for: hears when a frame of it leaves, and may take the request back. One object per call; a cancellation costs
 * nothing until it comes.
 */
export interface Caller {
  /** Taken back before the request was asked for. */
  readonly cancelled: boolean;
  /** Where to take back the request that is open for this caller; kept by the client. */
  open: { cancel(caller: Caller): void } | undefined;
  /** A frame was handed to the network. Called for every frame: must be cheap. */
  sent(): void;
}

export interface Job {
  readonly request: Uint8Array;
  /** Short name of the service, where the caller knows it. */
  readonly service: string | undefined;
  readonly kind: "request" | "transmit" | "reservation";
  readonly deadlineMs: number;
  readonly timeoutMs: number | undefined;
  readonly params: UdsParams | undefined;
  readonly caller: Caller | undefined;
  readonly resolve: (response: Uint8Array) => void;
  readonly reject: (fault: Fault) => void;
  /** Longest wait for its turn, `Clock.now()` milliseconds. */
  waitUntilMs: number;
  startedMs: number;
  repeats: number;
  settled: boolean;
}

/** The fault of an ECU that does not answer in its window. */
export function silent(): Fault {
  return new Fault("notResponding", "Timeout");
}

/** The fault of a request that never had its turn: the ECU is busy, which is no sign that it is gone. */
export function starved(): Fault {
  return new Fault("notResponding", "Timeout", { waiting: true });
}

/** The fault of a request whose caller waits no longer. */
export function timedOut(): Fault {
  return new Fault("requestTimeout", "Request timed out");
}

/** The fault of a request that its caller took back. */
export function cancelled(): Fault {
  return new Fault("requestTimeout", "Request cancelled");
}
