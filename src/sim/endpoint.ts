/** One IP and port on which DoIP entities live: TCP and TLS listeners, the UDP socket, announcements, hard reset. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { Clock, TimerHandle } from "#core/time.ts";
import { decodeDatagram, encode, genericNack, type Message } from "#doip/codec.ts";
import { FURTHER_ACTION, NODE_TYPES, POWER_MODES, SYNC_STATUS, TIMERS } from "#doip/tables.ts";
import { Connection, type ConnectionHost, VERSION } from "./connection.ts";
import type { Ecu } from "./ecu.ts";
import type { SimEvents } from "./events.ts";
import { type EntityMisbehaviour, uses } from "./misbehaviour.ts";

export interface UdpTarget {
  readonly address: string;
  readonly port: number;
}

/** A DoIP entity: an ECU with a face on the network, and the ECUs behind it. */
export interface Entity {
  readonly name: string;
  readonly logicalAddress: number;
  readonly functionalAddress: number;
  /** 12 hex digits. */
  readonly eid: string;
  readonly gid: string;
  /** Its own ECU first. */
  readonly ecus: readonly Ecu[];
}

export interface EndpointOptions {
  readonly address: string;
  /** 0: a free one, the same for TCP and UDP. */
  readonly port: number;
  readonly entities: readonly Entity[];
  readonly misbehaviour: EntityMisbehaviour;
  readonly maxDataBytes: number;
  /** Port 0: the endpoint's own. */
  readonly announceTargets: readonly UdpTarget[];
  /** Absent: no TLS listener. */
  readonly tls?: TlsOptions & { readonly port: number };
  readonly clock: Clock;
  readonly events: SimEvents;
}

/** What an entity status response can say. */
const MAX_SOCKETS = 255;
const MAX_CONNECTIONS = 1024;
const GENERIC_NACK_TYPE_AT = 2;

export class Endpoint implements ConnectionHost {
  readonly name: string;
  readonly logicalAddress: number;
  readonly address: string;
  readonly entities: readonly Entity[];
  readonly maxDataBytes: number;
  readonly clock: Clock;
  readonly events: SimEvents;
  readonly connections = new Set<Connection>();
  port: number;
  tlsPort: number | undefined;
  readonly #options: EndpointOptions;
  readonly #ecus = new Map<number, Ecu>();
  readonly #groups = new Map<number, Ecu[]>();
  readonly #timers = new Set<TimerHandle>();
  #tcp: Server | undefined;
  #tls: Server | undefined;
  #udp: UdpSocket | undefined;
  #misbehaviour: EntityMisbehaviour;

  constructor(options: EndpointOptions) {
    const [first] = options.entities;
    if (first === undefined) throw new RangeError("an endpoint needs an entity");
    this.name = first.name;
    this.logicalAddress = first.logicalAddress;
    this.address = options.address;
    this.port = options.port;
    this.entities = options.entities;
    this.#misbehaviour = structuredClone(options.misbehaviour);
    this.maxDataBytes = options.maxDataBytes;
    this.clock = options.clock;
    this.events = options.events;
    this.#options = options;
    for (const { ecus, functionalAddress } of options.entities) {
      for (const ecu of ecus) this.#ecus.set(ecu.logicalAddress, ecu);
      this.#groups.set(functionalAddress, [...(this.#groups.get(functionalAddress) ?? []), ...ecus]);
    }
  }

  /** What this endpoint does on purpose; setting it reaches connections that exist. */
  get misbehaviour(): EntityMisbehaviour {
    return this.#misbehaviour;
  }

  set misbehaviour(rules: EntityMisbehaviour) {
    this.#misbehaviour = rules;
    for (const connection of this.connections) connection.rulesChanged();
  }

  /** Opens the listeners and the UDP socket. */
  async open(): Promise<void> {
    await this.#listen();
    const udp = createSocket({
      type: isIPv6(this.address) ? "udp6" : "udp4",
      reuseAddr: true,
      ipv6Only: isIPv6(this.address),
    });
    udp.on("error", (error) => this.#failed(error));
    udp.on("message", (bytes, from) => this.receiveDatagram(bytes, { address: from.address, port: from.port }));
    this.#udp = udp;
    udp.bind(this.port, this.address);
    await once(udp, "listening");
    udp.setBroadcast(true);
  }

  /** Closes everything. */
  async close(): Promise<void> {
    for (const timer of this.#timers) this.clock.clearTimeout(timer);
    this.#timers.clear();
    const listeners = this.#closeListeners();
    for (const connection of this.connections) connection.destroy();
    const udp = this.#udp;
    this.#udp = undefined;
    if (udp !== undefined) await new Promise<void>((resolve) => udp.close(() => resolve()));
    await listeners;
  }

  /** Announces all entities three times, half a second apart, beginning after half a second. */
  announce(): void {
    const round = (number: number) => {
      this.#after(TIMERS.announceIntervalMs, () => {
        this.announceOnce();
        this.events.emit({ kind: "announced", entity: this.name, round: number });
        if (number < TIMERS.announceCount) round(number + 1);
      });
    };
    round(1);
  }

  /** One announcement of each entity, now. */
  announceOnce(targets: readonly UdpTarget[] = this.#options.announceTargets): void {
    for (const { address, port } of targets) {
      for (const entity of this.entities) this.#reply(this.#announcement(entity), { address, port: port || this.port });
    }
  }

  /** Nothing listens for so many seconds, every connection is closed; UDP goes on. Then the entities announce themselves. */
  goAway(seconds: number): void {
    void this.#closeListeners();
    for (const connection of this.connections) connection.end();
    this.#after(seconds * 1000, () => {
      this.#listen().then(
        () => this.announce(),
        (error: Error) => this.#failed(error),
      );
    });
  }

  /** Misbehaviour as at the start. */
  reset(): void {
    this.misbehaviour = structuredClone(this.#options.misbehaviour);
  }

  ecu(logicalAddress: number): Ecu | undefined {
    return this.#ecus.get(logicalAddress);
  }

  functionalGroup(address: number): readonly Ecu[] | undefined {
    return this.#groups.get(address);
  }

  responded(ecu: Ecu): void {
    const seconds = ecu.state.hardResetPendingSeconds;
    if (seconds === 0) return;
    ecu.state.hardResetPendingSeconds = 0;
    if (this.entities.some(({ ecus }) => ecus[0] === ecu)) this.goAway(seconds);
    else ecu.goAway(seconds);
  }

  /** Answers a datagram, also one that another socket received for this endpoint (broadcast). */
  receiveDatagram(bytes: Uint8Array, from: UdpTarget): void {
    if (this.misbehaviour.udpSilent === true) return;
    const datagram = decodeDatagram(bytes, this.maxDataBytes);
    if ("nack" in datagram) {
      // A NACK is never answered with one.
      const isNack = bytes[GENERIC_NACK_TYPE_AT] === 0 && bytes[GENERIC_NACK_TYPE_AT + 1] === 0;
      if (!isNack) this.#reply(genericNack(datagram.nack), from);
      return;
    }
    const { message } = datagram;
    if (!this.events.idle) this.events.emit({ kind: "datagram", entity: this.name, message });
    for (const entity of this.entities) {
      const answer = this.#answerDatagram(entity, message);
      if (answer !== undefined) this.#reply(answer, from);
    }
  }

  #answerDatagram(entity: Entity, message: Message): Message | undefined {
    switch (message.kind) {
      case "vehicleIdentificationRequest":
        return this.#announcement(entity);
      case "vehicleIdentificationRequestEid":
        return message.eid === entity.eid.toUpperCase() ? this.#announcement(entity) : undefined;
      case "vehicleIdentificationRequestVin":
        return message.vin === wireVin(entity) ? this.#announcement(entity) : undefined;
      case "entityStatusRequest":
        return {
          kind: "entityStatusResponse",
          nodeType: NODE_TYPES.node,
          maxSockets: this.misbehaviour.maxSockets ?? MAX_SOCKETS,
          openSockets: Math.min(this.connections.size, MAX_SOCKETS),
          maxDataBytes: this.maxDataBytes,
        };
      case "powerModeRequest":
        return { kind: "powerModeResponse", mode: POWER_MODES.notReady };
      default:
        return undefined;
    }
  }

  #announcement(entity: Entity): Message {
    const { logicalAddress, eid, gid } = entity;
    const own = this.misbehaviour.announcement;
    const { furtherAction = FURTHER_ACTION.none, syncStatus = SYNC_STATUS.synchronized } = uses(own) ? own : {};
    return { kind: "vehicleAnnouncement", vin: wireVin(entity), logicalAddress, eid, gid, furtherAction, syncStatus };
  }

  #reply(message: Message, to: UdpTarget): void {
    this.#udp?.send(encode(VERSION, message), to.port, to.address, (error) => {
      if (error) this.#failed(error);
    });
  }

  async #listen(): Promise<void> {
    const { tls } = this.#options;
    const tcp: Server = createServer((socket) => this.#accept(socket, tcp));
    this.#tcp = tcp;
    this.port = await this.#listening(tcp, this.port);
    if (tls !== undefined) {
      const secure: Server = createTlsServer(tls, (socket) => this.#accept(socket, secure));
      this.#tls = secure;
      secure.on("tlsClientError", (error: Error) => this.#failed(error));
      this.tlsPort = await this.#listening(secure, this.tlsPort ?? tls.port);
    }
    this.events.emit({ kind: "listening", entity: this.name, port: this.port });
  }

  async #listening(server: Server, port: number): Promise<number> {
    server.maxConnections = MAX_CONNECTIONS;
    server.listen({ port, host: this.address, exclusive: true });
    await once(server, "listening");
    server.on("error", (error) => this.#failed(error));
    return (server.address() as AddressInfo).port;
  }

  async #closeListeners(): Promise<void> {
    const servers = [this.#tcp, this.#tls].filter((server) => server !== undefined);
    this.#tcp = undefined;
    this.#tls = undefined;
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #accept(socket: Socket, server: Server): void {
    socket.on("error", (error) => this.#failed(error));
    // A TLS handshake may end when its listener is closed already, which waits until its last socket is gone.
    if (server !== this.#tcp && server !== this.#tls) {
      socket.destroy();
      return;
    }
    const secure = server === this.#tls;
    const connection = new Connection(socket, this, secure);
    this.connections.add(connection);
    socket.on("close", () => {
      this.connections.delete(connection);
      this.events.emit({ kind: "closed", entity: this.name, sourceAddress: connection.sourceAddress });
      connection.closed();
    });
    this.events.emit({ kind: "connected", entity: this.name, secure });
  }

  // One peer's or one datagram's error never ends the server: it is an event.
  #failed(error: Error): void {
    this.events.emit({ kind: "failed", entity: this.name, error });
  }

  #after(delayMs: number, work: () => void): void {
    const timer = this.clock.setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** The VIN field has 17 bytes whatever the ECU was told. */
function wireVin({ ecus }: Entity): string {
  return (ecus[0]?.state.vin ?? "").slice(0, 17).padEnd(17, "\0");
}
