/** One client of Socket.IO, whatever carries its packets: heartbeat, connection to the name space, events. */
import type { Clock, TimerHandle } from "#core/time.ts";
import { newId, readMessage, readText } from "./envelope.ts";
import type { Hub, Session } from "./hub.ts";
import type { Rate } from "./rate.ts";
import {
  ackPacket,
  connectPacket,
  ENGINE,
  EVENT,
  eventPacket,
  openPacket,
  type Packet,
  readPacket,
  refusePacket,
} from "./socket-io.ts";

export interface EngineOptions {
  readonly hub: Hub;
  readonly rate: Rate;
  readonly clock: Clock;
  readonly actor: string;
  readonly maxMessageBytes: number;
  /** Takes a packet to the client. */
  readonly send: (packet: string) => void;
  /** The session is over; called once. */
  readonly onEnd: () => void;
  readonly onProblem: (problem: unknown, where: string) => void;
}

const PING_INTERVAL_MS = 25_000;
const PING_TIMEOUT_MS = 20_000;

export class EngineSession {
  /** Whoever knows it is the client. */
  readonly id = newId() + newId();
  readonly #options: EngineOptions;
  #session: Session | undefined;
  #timer: TimerHandle;
  #ended = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#timer = options.clock.setTimeout(() => this.#ping(), PING_INTERVAL_MS);
  }

  /** The first packet. `upgrades`: transports the client may change to. */
  opening(upgrades: readonly string[]): string {
    return openPacket(this.id, upgrades, PING_INTERVAL_MS, PING_TIMEOUT_MS, this.#options.maxMessageBytes);
  }

  receive(text: string): void {
    if (this.#ended) return;
    const { rate, actor, onProblem } = this.#options;
    const verdict = rate.judge(actor);
    if (verdict !== "drop") {
      this.#take(readPacket(text), verdict === "take");
      return;
    }
    onProblem(rate.reason, actor);
    this.end();
  }

  #take(packet: Packet, inTime: boolean): void {
    const { send, rate } = this.#options;
    if (packet.type === "pong") this.#restart(() => this.#ping(), PING_INTERVAL_MS);
    else if (packet.type === "ping") send(ENGINE.pong + packet.payload);
    else if (packet.type === "connect") this.#connect(packet.namespace);
    else if (packet.type === "close" || packet.type === "disconnect") this.end();
    else if (packet.type === "event" && this.#session !== undefined) {
      if (packet.ack !== undefined) send(ackPacket(packet.ack));
      const { name, payload } = packet;
      if (name !== EVENT) return;
      const incoming = typeof payload === "string" ? readText(payload) : readMessage(payload);
      if (inTime) this.#session.receive(incoming);
      else this.#session.refuse(incoming, rate.reason);
    }
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#session?.close();
    this.#options.onEnd();
  }

  #connect(namespace: string): void {
    const { hub, actor, send } = this.#options;
    if (namespace !== "/") {
      send(refusePacket(namespace));
      return;
    }
    this.#session ??= hub.connect(actor, (message) => send(eventPacket(EVENT, message)));
    send(connectPacket(newId()));
  }

  #ping(): void {
    this.#options.send(ENGINE.ping);
    this.#restart(() => this.end(), PING_TIMEOUT_MS);
  }

  #restart(handler: () => void, delayMs: number): void {
    if (this.#ended) return;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = this.#options.clock.setTimeout(handler, delayMs);
  }
}
