/**
 * Finding DoIP entities (ISO 13400-2 clause 7.4): asks for them, and listens for those that announce themselves. Never ends by itself:
 * what comes from the network, and what the network refuses, is a problem to report at most.
 */
import { createSocket as createUdpSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isLoopback } from "#core/loopback.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { decodeDatagram, encode, isUnset, type VehicleAnnouncement } from "./codec.ts";
import { type AddressFamily, IPV4 } from "./families.ts";
import { SyncWatch } from "./sync-watch.ts";
import { DISCOVERY_PORT, PROTOCOL_VERSIONS } from "./tables.ts";

export { IPV6 } from "./families.ts";

/** An entity's announcement and where it came from. */
export interface Announcement extends VehicleAnnouncement {
  readonly ip: string;
  readonly port: number;
  /** Protocol version that the entity speaks. */
  readonly version: number;
}

/** Undefined for an entity that has not been given it. */
export function vinOf({ vin }: Announcement): string | undefined {
  return isUnset(vin) ? undefined : vin;
}

export interface DiscoveryOptions {
  /** Default IPv4. */
  readonly family?: AddressFamily;
  /** Address of this tester. 127.0.0.1 (`::1`) stands for any address. */
  readonly testerAddress: string;
  /** Only announcements from the tester's subnet of this mask count; with IPv6 those from this prefix. */
  readonly testerSubnet: string;
  readonly clock: Clock;
  readonly onAnnouncement: (announcement: Announcement) => void;
  readonly onProblem?: (message: string) => void;
  readonly gatewayPort?: number;
  /** Broadcast, multicast or unicast addresses to ask; default: everybody on the link. */
  readonly targets?: readonly string[];
  /** Length of one round of collecting, from the request on, however much comes. */
  readonly collectMs?: number;
  /** From the end of a round to the next one while something is missing. */
  readonly intervalMs?: number;
  readonly maxTries?: number;
  /** The same announcement within this time is told once. */
  readonly repeatMs?: number;
  readonly createSocket?: () => Socket;
}

export const DISCOVERY_DEFAULTS = {
  family: IPV4,
  gatewayPort: DISCOVERY_PORT,
  collectMs: 1_000,
  intervalMs: 10_000,
  maxTries: 3,
  repeatMs: 100,
} as const;

/** Entities remembered for `repeatMs`; a flood of invented ones must not grow the memory. */
const MAX_REMEMBERED = 1_024;

const REQUEST = encode(PROTOCOL_VERSIONS.any, { kind: "vehicleIdentificationRequest" });

export class Discovery {
  readonly #options: DiscoveryOptions & typeof DISCOVERY_DEFAULTS;
  readonly #seenMs = new Map<string, number>();
  #requests: Socket | undefined;
  #listener: Socket | undefined;
  #round: Map<string, Announcement> | undefined;
  readonly #sleeps = new Set<() => void>();
  readonly #sync: SyncWatch;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = { ...DISCOVERY_DEFAULTS, ...options } as DiscoveryOptions & typeof DISCOVERY_DEFAULTS;
    this.#sync = new SyncWatch({
      clock: options.clock,
      ask: () => this.#ask(),
      onProblem: (message) => this.#problem(message),
    });
  }

  /** Opens the sockets; announcements are told from now on. Rejects only when no UDP socket can be had at all. */
  async start(): Promise<void> {
    const { gatewayPort, family } = this.#options;
    this.#requests = await this.#openRequests();
    const { address, port } = this.#requests.address();
    // A socket bound to one address does not hear broadcasts, so announcements need one of their own.
    if (address === family.anyAddress && port === gatewayPort) return;
    try {
      this.#listener = await this.#bind(family.anyAddress, gatewayPort);
    } catch (error) {
      this.#problem(`spontaneous announcements cannot be heard on port ${gatewayPort}`, error);
    }
  }

  /** Local address and port that requests leave from. */
  get address(): { readonly address: string; readonly port: number } | undefined {
    return this.#requests?.address();
  }

  /** One round: asks all targets, collects for `collectMs`. Each entity stands once in the result, as it spoke last. */
  async discover(): Promise<readonly Announcement[]> {
    if (this.#closed) return [];
    const round = new Map<string, Announcement>();
    this.#round = round;
    this.#ask();
    await this.#sleep(this.#options.collectMs);
    if (this.#round === round) this.#round = undefined;
    return [...round.values()];
  }

  /** A round, then more of them at `intervalMs` while `isMissing` says so, `maxTries` in all. Resolves at the end or on close. */
  async run(isMissing: () => boolean): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.discover();
      if (this.#closed || tries >= this.#options.maxTries || !isMissing()) return;
      await this.#sleep(this.#options.intervalMs);
      if (this.#closed || !isMissing()) return;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#sync.close();
    for (const wake of this.#sleeps) wake();
    const sockets = [this.#requests, this.#listener].filter((socket) => socket !== undefined);
    this.#requests = undefined;
    this.#listener = undefined;
    await Promise.all(sockets.map(closeSocket));
  }

  /**
   * Tester and entity on one machine must not share address and port, or only one of them gets a datagram. So requests to a loopback
   * entity leave from a specific 127.x address or from a free port; a taken or foreign address gives way to more general ones.
   */
  async #openRequests(): Promise<Socket> {
    const { testerAddress, gatewayPort, family } = this.#options;
    const address = testerAddress === family.placeholder ? family.anyAddress : testerAddress;
    const shared = address === family.anyAddress && this.#targets.some(isLoopback);
    const candidates: [string, number][] = [
      [address, shared ? 0 : gatewayPort],
      [address, 0],
      [family.anyAddress, 0],
    ];
    let problem: unknown;
    for (const [ip, port] of candidates) {
      try {
        return await this.#bind(ip, port);
      } catch (error) {
        if (this.#closed) throw error;
        problem = error;
        this.#problem(`cannot bind UDP ${ip}:${port}`, error);
      }
    }
    throw problem;
  }

  #bind(address: string, port: number): Promise<Socket> {
    const create = this.#options.createSocket ?? (() => createUdpSocket(this.#options.family.socket));
    return new Promise((resolve, reject) => {
      const socket = create();
      const refuse = (error: Error) => {
        socket.close();
        reject(error);
      };
      socket.once("error", refuse);
      socket.bind(port, address, () => {
        socket.off("error", refuse);
        if (this.#closed) return refuse(new Error("discovery has ended"));
        socket.on("error", (error) => this.#problem("UDP socket", error));
        socket.on("message", (bytes, from) => this.#onDatagram(socket, bytes, from));
        trySetBroadcast(socket);
        resolve(socket);
      });
    });
  }

  get #targets(): readonly string[] {
    return this.#options.targets ?? this.#options.family.targets();
  }

  #ask(): void {
    for (const target of this.#targets) {
      this.#requests?.send(REQUEST, this.#options.gatewayPort, target, (error) => {
        if (error) this.#problem(`cannot ask ${target} for entities`, error);
      });
    }
  }

  #onDatagram(socket: Socket, bytes: Uint8Array, from: RemoteInfo): void {
    const decoded = decodeDatagram(bytes);
    if ("nack" in decoded) return;
    const { message, version } = decoded;
    if (message.kind === "vehicleIdentificationRequest") this.#onRequest(socket, from);
    if (message.kind !== "vehicleAnnouncement") return;
    const { family, testerAddress, testerSubnet } = this.#options;
    if (!family.isNear(from.address, testerAddress, testerSubnet)) return;
    const { kind: _, ...facts } = message;
    this.#sync.heard({ ip: from.address, ...facts });
    this.#tell({ ip: from.address, port: from.port, version: spoken(version), ...facts });
  }

  /**
   * Our own request came back. From a broadcast that is normal; a request to single addresses that lands in our listener has been
   * taken away from an entity on this machine that is bound to any address. Then the listener goes, and we ask again.
   */
  #onRequest(socket: Socket, from: RemoteInfo): void {
    const own = this.#requests?.address();
    const stolen = socket === this.#listener && this.#targets.every(isLoopback) && from.port === own?.port;
    if (!stolen) return;
    this.#listener = undefined;
    void closeSocket(socket).then(() => this.#ask());
    this.#problem("announcements are not listened for: an entity on this machine uses the port");
  }

  #tell(announcement: Announcement): void {
    const key = `${announcement.logicalAddress} ${announcement.ip} ${announcement.version}`;
    this.#round?.set(key, announcement);
    const nowMs = this.#options.clock.now();
    const seenMs = this.#seenMs.get(key);
    if (seenMs !== undefined && nowMs - seenMs < this.#options.repeatMs) return;
    if (this.#seenMs.size >= MAX_REMEMBERED) this.#seenMs.clear();
    this.#seenMs.set(key, nowMs);
    this.#options.onAnnouncement(announcement);
  }

  #sleep(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const wake = () => {
        clock.clearTimeout(timer);
        this.#sleeps.delete(wake);
        resolve();
      };
      const timer: TimerHandle = clock.setTimeout(wake, delayMs);
      this.#sleeps.add(wake);
    });
  }

  #problem(message: string, error?: unknown): void {
    this.#options.onProblem?.(error instanceof Error ? `${message}: ${error.message}` : message);
  }
}

/** The version of an entity by its announcement; the wildcard, which only requests may bear, names none. */
function spoken(version: number): number {
  return version === PROTOCOL_VERSIONS.any ? PROTOCOL_VERSIONS.iso2012 : version;
}

/** Refused on some loopback-only networks, where nothing is broadcast anyway. */
function trySetBroadcast(socket: Socket): void {
  try {
    socket.setBroadcast(true);
  } catch {
    // The send to the broadcast address then reports its own error.
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}
