/**
 * What UDS needs of a network, whichever it is: links to single ECUs or to a group address, each carrying one request at a time.
 * Everything is callbacks on objects that live as long as the link, so that a request allocates nothing here.
 */
import type { Fault } from "#core/errors.ts";
import type { ComParams } from "./com-params.ts";

/** Who a link speaks to; the network reads its addresses and timings from the parameters. */
export interface LinkTarget {
  /** For messages and logs. */
  readonly name: string;
  /** `functional`: the group address, for sending only; the answers come on the links of the ECUs. */
  readonly addressing: "physical" | "functional";
  readonly params: ComParams;
}

export interface LinkHandler {
  /** A frame of the open request was handed to the network; again for each repeat. */
  onSent(): void;
  /** The network took the request over; once per `send`, before any response to it. */
  onAcknowledged(): void;
  /** Bytes from the ECU while a request is open. A view: copy before transferring its buffer. */
  onResponse(response: Uint8Array): void;
  /** The request was not taken over, or the link was lost while it was open; ends the request. May come inside `send`. */
  onFailed(fault: Fault): void;
  /** The way to the ECU came or went. Comes after `onFailed`. */
  onConnectivity(connected: boolean): void;
}

export interface Link {
  readonly connected: boolean;
  /** Nothing of the open request is on its way (yet, or since it was refused): finished now, it has not been and is not sent. */
  readonly waits: boolean;
  /**
   * Opens a request: exactly one `onAcknowledged` or `onFailed` follows, at `deadlineMs` (absolute) at the latest.
   * The bytes must not change until the request is finished. One request at a time: the caller queues.
   */
  send(request: Uint8Array, deadlineMs: number): void;
  /** Opens a request that travels on another link (functional): responses are delivered, nothing is sent. */
  listen(request: Uint8Array): void;
  /** Ends the request; later answers to it are dropped. */
  finish(): void;
  /** New timings and retry counts; addresses stay. */
  configure(params: ComParams): void;
  /** The handler hears nothing more. */
  close(): void;
}

/** One network, or one gateway of it. */
export interface Transport {
  /** Only one link per address may be open at a time: ECUs that share an address share it. Throws `Fault` otherwise. */
  open(target: LinkTarget, handler: LinkHandler): Link;
  /** Ends all links and frees sockets and timers. */
  close(): Promise<void>;
}
