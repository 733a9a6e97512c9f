/** The TCP connection to one DoIP gateway: comes up, stays up, comes back, and carries the requests of all ECUs behind it. */

import { isIPv6 } from "node:net";
import { formatAddress, hexByte } from "#core/bytes.ts";
import { reasonOf } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { AliveCheck } from "./alive.ts";
import type { Channel, ChannelHandler, ChannelHost, ChannelOptions } from "./channel.ts";
import { Channels } from "./channels.ts";
import {
  type DiagnosticMessage,
  decodePayload,
  encode,
  encodeDiagnosticMessage,
  genericNack,
  type Message,
} from "./codec.ts";
import {
  CONNECTION_DEFAULTS,
  type ConnectionOptions,
  type ConnectionStats,
  type ConnectionTiming,
  type LogLevel,
} from "./connection-options.ts";
import { type ConnectivityNotice, Notices } from "./notices.ts";
import { localAddressFor, openSocket, type SocketTarget } from "./socket.ts";
import { type Input, next, type State, TRANSITIONS } from "./states.ts";
import {
  ACTIVATION_CODES,
  ACTIVATION_TYPES,
  activationCode,
  activationTypeFor,
  DIAGNOSTIC_ACK_CODE,
  FURTHER_ACTION,
  PAYLOAD_TYPES,
} from "./tables.ts";
import { Wire, type WireHandler } from "./wire.ts";

/** Silent requests in a row, nothing else received meanwhile, after which the connection counts as half-open. */
const MAX_SILENT_REQUESTS = 2;

export class DoipConnection implements ChannelHost {
  readonly clock: Clock;
  readonly stats: ConnectionStats = {
    requests: 0,
    responses: 0,
    unexpected: 0,
    malformed: 0,
    connects: 0,
    losses: 0,
  };
  readonly #options: ConnectionOptions & typeof CONNECTION_DEFAULTS;
  readonly #channels = new Channels();
  readonly #alive: AliveCheck;
  // The only place that tells of connectivity.
  readonly #notices = new Notices<ConnectivityNotice>((notice) => this.#tell(notice));
  #told = false;
  #timing: ConnectionTiming;
  #state: State = "idle";
  #ip: string;
  /** As last announced; a connection keeps the one that it began with. */
  #announcedVersion: number;
  #version: number;
  #furtherAction: number;
  #activationType: number;
  #wire: Wire | undefined;
  #overTls = false;
  #timer: TimerHandle | undefined;
  #attempts = 0;
  #readyMs = 0;
  #receivedMs = 0;
  #silentRequests = 0;
  /** When the last silent request was counted. */
  #silenceMs = 0;

  constructor(options: ConnectionOptions) {
    this.#options = { ...CONNECTION_DEFAULTS, ...options } as ConnectionOptions & typeof CONNECTION_DEFAULTS;
    this.clock = options.clock;
    this.#timing = options.timing;
    this.#ip = options.ip;
    this.#announcedVersion = options.version;
    this.#version = options.version;
    this.#furtherAction = options.furtherAction ?? FURTHER_ACTION.none;
    this.#activationType = activationTypeFor(this.#furtherAction);
    this.#alive = new AliveCheck({
      clock: options.clock,
      intervalMs: this.#options.aliveIntervalMs,
      timeoutMs: this.#options.aliveTimeoutMs,
      probe: () => this.#sendAliveCheck(),
      onDead: () => this.#apply("lost", "alive check unanswered"),
    });
  }

  get state(): State {
    return this.#state;
  }
  get connected(): boolean {
    return this.#state === "ready";
  }
  get ip(): string {
    return this.#ip;
  }
  /** Whether the present connection is encrypted. */
  get overTls(): boolean {
    return this.#overTls;
  }
  get sendTimeoutMs(): number {
    return this.#options.sendTimeoutMs;
  }
  get ackRequired(): boolean {
    return this.#options.ackRequired;
  }

  /** Starts connecting; nothing when it is already under way. */
  open(): void {
    this.#apply("wake", "");
  }

  /**
   * The gateway announced itself. A disconnected one is tried at once, at its newest address; a connected one is asked whether it is
   * still there, because it may have restarted or moved.
   */
  announce(ip: string, version: number, furtherAction: number = FURTHER_ACTION.none): void {
    const moved = ip !== this.#ip;
    this.#announcedVersion = version;
    this.#ip = ip;
    // A type that was refused is not asked for again until the gateway wants something else.
    if (furtherAction !== this.#furtherAction) this.#activationType = activationTypeFor(furtherAction);
    this.#furtherAction = furtherAction;
    this.#attempts = 0;
    if (this.connected) this.#alive.probe(moved);
    else this.#apply(moved && TRANSITIONS[this.#state].moved !== undefined ? "moved" : "wake", "announced");
  }

  setTiming(timing: ConnectionTiming): void {
    this.#timing = timing;
  }

  /** The way to one address behind this gateway. Throws `Fault` when it is already open: requests to one address share one queue. */
  channel(handler: ChannelHandler, options: ChannelOptions): Channel {
    return this.#channels.open(this, handler, options);
  }

  /** Ends the connection for good; open requests fail. Resolves when the socket is gone. */
  async close(): Promise<void> {
    const wire = this.#wire;
    this.#apply("close", "closed by the tester");
    await wire?.gone;
  }

  // ---- for the channels ----------------------------------------------------------------------------------------------

  transmit(targetAddress: number, uds: Uint8Array): boolean {
    const frame = encodeDiagnosticMessage(this.#version, this.#options.testerAddress, targetAddress, uds);
    if (this.#wire?.write(frame) !== true) return false;
    this.stats.requests++;
    this.#alive.onSent(this.clock.now());
    return true;
  }

  answers(request: Uint8Array, response: Uint8Array): boolean {
    return this.#options.answers(request, response);
  }

  demand(): void {
    this.#apply("demand", "");
  }

  ackTimedOut(sentMs: number): void {
    if (this.#receivedMs >= sentMs) this.#silentRequests = 0;
    // Requests that waited side by side met one silence, not two: a gateway that pauses once is not gone.
    if (this.#receivedMs >= sentMs || sentMs < this.#silenceMs) return;
    this.#silenceMs = this.clock.now();
    this.#silentRequests++;
    if (this.#silentRequests >= MAX_SILENT_REQUESTS) this.#apply("lost", "no acknowledgement, nothing received");
  }

  release(channel: Channel): void {
    this.#channels.release(channel);
  }

  // ---- states --------------------------------------------------------------------------------------------------------

  #apply(input: Input, reason: string): void {
    const from = this.#state;
    if (TRANSITIONS[from][input] === undefined) return;
    const to = next(from, input);
    this.#state = to;
    this.#disarm();
    if (input === "wake" || input === "demand" || input === "moved") this.#attempts = 0;
    if (from === "ready") this.#leaveReady(reason);
    else if (input === "failed") this.#log("warn", `cannot connect: ${reason}`);
    if (this.#state === to) this.#enter(to);
  }

  #enter(state: State): void {
    switch (state) {
      case "connecting":
        this.#openWire(false);
        break;
      case "securing":
        this.#openWire(true);
        break;
      case "activating":
      case "activatingTls":
        this.#requestActivation();
        break;
      case "ready":
        this.#enterReady();
        break;
      case "waiting":
        this.#enterWaiting();
        break;
      case "dormant":
        this.#log("error", "giving up until the gateway announces itself or a request asks for it");
        break;
      case "closed":
        this.#dropWire();
        this.#notify(false, "closed by the tester");
    }
  }

  #enterReady(): void {
    this.#attempts = 0;
    this.#silentRequests = 0;
    this.#readyMs = this.clock.now();
    this.#receivedMs = this.#readyMs;
    this.stats.connects++;
    this.#alive.start();
    this.#log("info", "connected");
    this.#notify(true, undefined);
  }

  #leaveReady(reason: string): void {
    this.stats.losses++;
    this.#alive.stop();
    this.#dropWire();
    this.#log(this.#state === "closed" ? "info" : "warn", `disconnected: ${reason}`);
    this.#notify(false, reason);
  }

  #enterWaiting(): void {
    this.#dropWire();
    this.#attempts++;
    if (this.#attempts > this.#timing.retryAttempts) this.#apply("exhausted", "");
    else this.#arm(this.#timing.retryDelayMs, "retry", "");
  }

  #notify(connected: boolean, reason: string | undefined): void {
    this.#notices.push({ connected, reason, tls: this.#overTls });
  }

  #tell(notice: ConnectivityNotice): void {
    if (this.#told === notice.connected) return;
    this.#told = notice.connected;
    this.#channels.onConnectivity(notice.connected);
    this.#options.events?.onConnectivity?.(notice.connected, {
      gatewayAddress: this.#options.gatewayAddress,
      ip: this.#ip,
      tls: notice.tls,
      ...(notice.reason === undefined ? {} : { reason: notice.reason }),
    });
  }

  // ---- socket --------------------------------------------------------------------------------------------------------

  #openWire(secure: boolean): void {
    this.#dropWire();
    this.#overTls = secure;
    this.#version = this.#announcedVersion;
    const target = targetOf(this.#options, this.#ip, secure);
    if (secure && target.tls?.ca === undefined) {
      this.#log("warn", "TLS without a configured CA: the gateway's certificate is accepted unverified");
    }
    this.#arm(this.#timing.connectTimeoutMs, "failed", "no connection in time");
    try {
      this.#wire = new Wire(this.#options.open ?? openSocket, target, this.#options, this.#wireHandler);
    } catch (error) {
      this.#apply("failed", reasonOf(error));
    }
  }

  readonly #wireHandler: WireHandler = {
    onOpen: () => this.#apply("connected", ""),
    onHeard: () => {
      this.#receivedMs = this.clock.now();
      this.#alive.onReceived();
    },
    onMessage: (version, payloadType, payload) => this.#onMessage(version, payloadType, payload),
    onRefused: (nack, closes, payloadType) => {
      this.stats.malformed++;
      this.#log("warn", `malformed message: ${nack}`);
      if (payloadType !== PAYLOAD_TYPES.genericNack.type) this.#write(genericNack(nack));
      if (closes) this.#end(`malformed message: ${nack}`);
    },
    onRoom: () => this.#channels.onRoom(),
    onEnd: (reason) => this.#end(reason),
  };

  /** The socket is no good any more. A connection that falls right after it stood must not spin. */
  #end(reason: string): void {
    if (this.#state !== "ready") this.#apply("failed", reason);
    else this.#apply(this.clock.now() - this.#readyMs < this.#timing.retryDelayMs ? "flapped" : "lost", reason);
  }

  #dropWire(): void {
    this.#wire?.drop();
    this.#wire = undefined;
  }

  // ---- messages ------------------------------------------------------------------------------------------------------

  #onMessage(version: number, payloadType: number, payload: Uint8Array): void {
    const message = decodePayload(version, payloadType, payload);
    if (message === undefined) return;
    switch (message.kind) {
      case "diagnosticMessage":
        this.#onDiagnostic(message);
        break;
      case "diagnosticAck":
      case "diagnosticNack":
        if (!this.#channels.acknowledge(message)) this.stats.unexpected++;
        break;
      case "aliveCheckRequest":
        this.#write({ kind: "aliveCheckResponse", sourceAddress: this.#options.testerAddress });
        break;
      case "aliveCheckResponse":
        this.#alive.onAliveCheckResponse();
        break;
      case "routingActivationResponse":
        this.#onActivation(message.code);
        break;
      case "genericNack":
        this.#log("warn", `generic NACK 0x${hexByte(message.code)}`);
        this.#channels.refuse(message.code);
        break;
      default:
        this.stats.unexpected++;
    }
  }

  #onDiagnostic(message: DiagnosticMessage): void {
    if (this.#state !== "ready" || message.targetAddress !== this.#options.testerAddress) {
      this.stats.unexpected++;
      return;
    }
    this.stats.responses++;
    // the one copy: the bytes lie in a buffer that the next read overwrites
    if (!this.#channels.deliver(message.sourceAddress, new Uint8Array(message.uds))) this.stats.unexpected++;
    if (this.#options.acknowledge) this.#acknowledge(message.sourceAddress);
  }

  #acknowledge(ecuAddress: number): void {
    const frame = encode(this.#version, {
      kind: "diagnosticAck",
      sourceAddress: this.#options.testerAddress,
      targetAddress: ecuAddress,
      code: DIAGNOSTIC_ACK_CODE,
      echo: NO_ECHO,
    });
    if (this.#wire?.writeLater(frame) === true) this.#alive.onSent(this.clock.now());
  }

  #requestActivation(): void {
    this.#arm(this.#timing.activationTimeoutMs, "failed", "no routing activation response in time");
    this.#write({
      kind: "routingActivationRequest",
      sourceAddress: this.#options.testerAddress,
      activationType: this.#activationType,
    });
  }

  #onActivation(code: number): void {
    const { success, text } = activationCode(code);
    if (code === ACTIVATION_CODES.unsupportedActivationType.code && this.#activationType !== ACTIVATION_TYPES.default) {
      this.#activationType = ACTIVATION_TYPES.default;
      this.#apply("typeRefused", text);
      return;
    }
    if (this.#state === "activating" && code === ACTIVATION_CODES.tlsRequired.code) this.#apply("tlsRequired", text);
    else if (this.#state === "activatingTls" && code !== ACTIVATION_CODES.activated.code) this.#deny(code, text);
    else if (success === true) this.#apply("activated", text);
    else if (this.#state === "activating") this.#deny(code, text);
  }

  #deny(code: number, text: string): void {
    this.#apply("failed", `routing activation denied with 0x${hexByte(code)}: ${text}`);
  }

  #sendAliveCheck(): void {
    this.#write({ kind: "aliveCheckResponse", sourceAddress: this.#options.testerAddress });
    this.#write({ kind: "aliveCheckRequest" });
  }

  #write(message: Message): void {
    if (this.#wire?.write(encode(this.#version, message)) === true) this.#alive.onSent(this.clock.now());
  }

  // ---- timer of the state --------------------------------------------------------------------------------------------

  #arm(delayMs: number, input: Input, reason: string): void {
    this.#disarm();
    this.#timer = this.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#apply(input, reason);
    }, delayMs);
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #log(level: LogLevel, message: string): void {
    this.#options.events?.onLog?.(level, message, {
      gateway: formatAddress(this.#options.gatewayAddress),
      ip: this.#ip,
      ...(this.#overTls ? { tls: true } : {}),
    });
  }
}

const NO_ECHO = new Uint8Array(0);

function targetOf(options: ConnectionOptions, host: string, secure: boolean): SocketTarget {
  const { testerIp, testerIpv6 = "", port, tlsPort, tls } = options;
  const localAddress = localAddressFor(isIPv6(host) ? testerIpv6 : testerIp, host);
  const local = localAddress === undefined ? {} : { localAddress };
  return secure ? { host, port: tlsPort, tls: tls ?? {}, ...local } : { host, port, ...local };
}
