/** One address behind a gateway: its outstanding request from hand-over to acknowledgement, and its answers. */
import { formatAddress, hexByte } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { Timeout } from "#core/timeout.ts";
import type { Acknowledgement } from "./codec.ts";

export interface ChannelHandler {
  /** A frame of the open request was handed to the socket. */
  onSent?(): void;
  onAcknowledged(): void;
  onResponse(response: Uint8Array): void;
  onFailed(fault: Fault): void;
  onConnectivity(connected: boolean): void;
}

export interface ChannelTiming {
  readonly ackTimeoutMs: number;
  /** Diagnostic NACK code (decimal text) → repeats. */
  readonly nackRetries: Readonly<Record<string, number>>;
  readonly retryPeriodMs: number;
  /** Repeats when the connection takes no more bytes. */
  readonly sendRetries: number;
}

export interface ChannelOptions {
  readonly name: string;
  readonly targetAddress: number;
  readonly functional: boolean;
  readonly timing: ChannelTiming;
}

/** What a channel needs of its connection. */
export interface ChannelHost {
  readonly connected: boolean;
  readonly clock: Clock;
  readonly sendTimeoutMs: number;
  /** False: a missing acknowledgement is tolerated; some gateways never send one. */
  readonly ackRequired: boolean;
  /** Writes a diagnostic message; false when the connection takes no more bytes now. */
  transmit(targetAddress: number, uds: Uint8Array): boolean;
  /** Whether a response shows that the request arrived. */
  answers(request: Uint8Array, response: Uint8Array): boolean;
  /** A request that wants the connection to come up. */
  demand(): void;
  /** No acknowledgement for what was sent at `sentMs`. May end the connection before it returns. */
  ackTimedOut(sentMs: number): void;
  release(channel: Channel): void;
}

/** `blocked`: no room to write; `open`: taken over, answers may come. */
type Phase = "idle" | "blocked" | "awaitingAck" | "retryWait" | "open";

const NOTHING = new Uint8Array(0);

export class Channel {
  readonly name: string;
  readonly targetAddress: number;
  readonly functional: boolean;
  readonly #host: ChannelHost;
  readonly #handler: ChannelHandler;
  readonly #timeout: Timeout;
  #timing: ChannelTiming;
  #phase: Phase = "idle";
  #request: Uint8Array = NOTHING;
  #deadlineMs = 0;
  #sentMs = 0;
  #handOvers = 0;
  #nacks = 0;

  constructor(host: ChannelHost, handler: ChannelHandler, options: ChannelOptions) {
    this.name = options.name;
    this.targetAddress = options.targetAddress;
    this.functional = options.functional;
    this.#timing = options.timing;
    this.#host = host;
    this.#handler = handler;
    this.#timeout = new Timeout(host.clock, () => this.#onTimeout());
  }

  get connected(): boolean {
    return this.#host.connected;
  }

  get request(): Uint8Array {
    return this.#request;
  }

  get awaitsAck(): boolean {
    return this.#phase === "awaitingAck";
  }

  /** Nothing of the open request is on its way: there was no room for it, or it was refused and is to go again. */
  get waits(): boolean {
    return this.#phase === "blocked" || this.#phase === "retryWait";
  }

  /** Sends a request; `deadlineMs` bounds the wait for its acknowledgement. Exactly one of acknowledged and failed follows. */
  send(request: Uint8Array, deadlineMs: number): void {
    this.#open(request);
    this.#deadlineMs = deadlineMs;
    this.#handOvers = 0;
    this.#nacks = 0;
    this.#transmit();
  }

  /** Lets answers through to a request that went to another (functional) address. */
  listen(request: Uint8Array): void {
    this.#open(request);
    this.#phase = "open";
  }

  /** Ends the request; what still comes for it is dropped. */
  finish(): void {
    this.#timeout.clear();
    this.#phase = "idle";
    this.#request = NOTHING;
  }

  setTiming(timing: ChannelTiming): void {
    this.#timing = timing;
  }

  close(): void {
    this.finish();
    this.#timeout.stop();
    this.#host.release(this);
  }

  // ---- from the connection -------------------------------------------------------------------------------------------

  /** UDS bytes from this address. False: nobody waits for them. */
  deliver(response: Uint8Array): boolean {
    if (this.#phase === "idle" || this.#phase === "blocked") return false;
    if (this.#phase !== "open") {
      if (!this.#host.answers(this.#request, response)) return false;
      // It overtook its acknowledgement. Should that come during the next request, it only starts that one's window early.
      this.#acknowledged();
      // The handler may have been content with the acknowledgement.
      if (this.#phase !== ("open" as Phase)) return true;
    }
    this.#handler.onResponse(response);
    return true;
  }

  /** An acknowledgement whose echo fits; only called while one is awaited. */
  acknowledge(ack: Acknowledgement): void {
    if (ack.kind === "diagnosticAck") this.#acknowledged();
    else this.#refused(ack.code);
  }

  /** The connection has room again. */
  onRoom(): void {
    if (this.#phase !== "blocked") return;
    this.#timeout.clear();
    this.#transmit();
  }

  onConnectivity(connected: boolean): void {
    this.#handler.onConnectivity(connected);
  }

  /** Ends an open request with a fault; nothing when idle. */
  fail(fault: Fault): void {
    if (this.#phase === "idle") return;
    this.finish();
    this.#timeout.stop();
    this.#handler.onFailed(fault);
  }

  /** The fault of a request to an address that cannot be reached. */
  offline(): Fault {
    return new Fault("ecuOffline", `Ecu ${this.name} offline`);
  }

  #open(request: Uint8Array): void {
    if (this.#phase !== "idle") throw new Fault("internal", `${this.name}: a request is already open`);
    this.#request = request;
    this.#phase = "blocked";
  }

  #transmit(): void {
    if (!this.#host.connected) {
      this.#host.demand();
      this.fail(this.offline());
      return;
    }
    if (this.#host.transmit(this.targetAddress, this.#request)) {
      this.#phase = "awaitingAck";
      this.#sentMs = this.#host.clock.now();
      this.#handler.onSent?.();
      this.#arm(this.#timing.ackTimeoutMs, this.#sentMs);
    } else {
      this.#phase = "blocked";
      this.#arm(this.#host.sendTimeoutMs);
    }
  }

  #acknowledged(): void {
    this.#timeout.clear();
    this.#phase = "open";
    this.#handler.onAcknowledged();
  }

  #refused(code: number): void {
    this.#timeout.clear();
    const retries = this.#timing.nackRetries[code] ?? 0;
    if (this.#nacks++ < retries && this.#host.clock.now() + this.#timing.retryPeriodMs < this.#deadlineMs) {
      this.#phase = "retryWait";
      this.#arm(this.#timing.retryPeriodMs);
      return;
    }
    this.fail(
      new Fault("nack", `Received Nack, code=0x${hexByte(code)}`, { code, address: formatAddress(this.targetAddress) }),
    );
  }

  #onTimeout(): void {
    const expired = this.#host.clock.now() >= this.#deadlineMs;
    switch (this.#phase) {
      case "retryWait":
        this.#transmit();
        break;
      case "blocked":
        if (expired || this.#handOvers++ >= this.#timing.sendRetries) {
          this.fail(new Fault("sendFailed", "Sending message failed: the connection takes no more data"));
        } else this.#transmit();
        break;
      case "awaitingAck":
        this.#ackMissing(expired);
        break;
    }
  }

  #ackMissing(expired: boolean): void {
    if (expired) this.fail(new Fault("requestTimeout", "Request timed out"));
    else if (!this.#host.ackRequired) this.#acknowledged();
    else {
      this.#host.ackTimedOut(this.#sentMs);
      this.fail(new Fault("notResponding", "Timeout"));
    }
  }

  #arm(delayMs: number, now = this.#host.clock.now()): void {
    this.#timeout.set(Math.max(0, Math.min(delayMs, this.#deadlineMs - now)), now);
  }
}
