import { isIPv6 } from "node:net";
import { formatAddress } from "#core/bytes.ts";
import { Fault, toFaultData } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Announcement, Discovery, DiscoveryOptions } from "#doip/discovery.ts";
import type { VehicleFleet } from "./fleet.ts";
import type { LogMessage } from "./messages.ts";
import { until } from "./until.ts";

/** When communication begins: at start, with the first request to an ECU, or when a plugin says so. */
export type InitMode = "always" | "on-demand" | "plugin";
export type CommunicationState = "pending" | "starting" | "up" | "failed";

/** Entities remembered while databases load; logical addresses of gateways are far fewer. */
const MAX_EARLY = 1_024;

/** How long a gateway that was met over one IP family is left to connect before its other one may be tried. */
const FAMILY_PATIENCE_MS = 5_000;

type NetworkOptions = Omit<DiscoveryOptions, "family" | "clock" | "onAnnouncement" | "onProblem">;
type Doip = typeof import("#doip/discovery.ts");

export interface CommunicationOptions {
  readonly mode: InitMode;
  readonly clock: Clock;
  readonly fleet: VehicleFleet;
  /** False: DoIP is switched off; nothing is ever opened. */
  readonly enabled: boolean;
  readonly discovery: NetworkOptions;
  /** Gateways on IPv6; absent: there are none. */
  readonly discoveryIpv6?: NetworkOptions;
  /** Upper bound of the wait for a first detection in mode `on-demand`, ms. */
  readonly detectionMs: number;
  readonly onState: (state: CommunicationState, problem?: string) => void;
  readonly onLog: (message: LogMessage) => void;
}

/** The vehicle's side of start-up: discovery on the main thread, announcements to the shards that own the gateways. */
export class Communication {
  readonly #options: CommunicationOptions;
  /** Entities that are the gateway of no ECU so far. */
  readonly #unknown = new Map<number, Announcement>();
  /** The newest announcement of each entity that no shard was told of, because databases were still loading. */
  readonly #early = new Map<number, Announcement>();
  /** Over which family and when a gateway's announcement was last passed on. */
  readonly #met = new Map<number, { readonly isIpv6: boolean; readonly atMs: number }>();
  #discoveries: readonly Discovery[] = [];
  #closed = false;
  #starting: Promise<void> | undefined;
  #firstConnections: Promise<void> | undefined;
  /** Whether calls have nothing to wait for any more. */
  #settled = false;
  state: CommunicationState = "pending";
  /** Of the vehicle, as its entities announce it; undefined until one does that has been given it. */
  vin: string | undefined;

  constructor(options: CommunicationOptions) {
    this.#options = options;
  }

  /** Start-up of the process: begins at once in mode `always`, else waits for a trigger. */
  async begin(): Promise<void> {
    if (this.#options.mode === "always") await this.trigger();
    else this.#enter("pending");
  }

  /** Opens sockets and asks for gateways; a failed start may be triggered again. @throws Fault misconfigured */
  trigger(): Promise<void> {
    this.#starting ??= this.#start().catch((error) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  /**
   * What an ECU's call must wait for: nothing once communication is up, and where it began on demand once gateways had their time
   * to connect. @throws Fault notReady before a plugin's trigger
   */
  gate(): Promise<void> | undefined {
    if (this.#settled) return undefined;
    if (this.#options.mode === "plugin" && this.#starting === undefined) {
      return Promise.reject(new Fault("notReady", "Communication with the vehicle has not been initialised yet"));
    }
    return this.trigger().then(() => {
      if (this.#settled) return undefined;
      this.#firstConnections ??= this.#awaitConnections();
      return this.#firstConnections;
    });
  }

  /** Databases are loaded, or others: tells the fleet which entities have spoken that it did not know yet. */
  replay(): void {
    const spoken = [...this.#early.values(), ...this.#unknown.values()];
    this.#early.clear();
    for (const announcement of spoken) this.#announced(announcement);
  }

  /** Asks again, e.g. after the set of databases changed. */
  async rediscover(): Promise<void> {
    await Promise.all(this.#discoveries.map((discovery) => discovery.discover()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#closeSockets();
  }

  async #closeSockets(): Promise<void> {
    await Promise.all(this.#discoveries.map((discovery) => discovery.close()));
  }

  async #start(): Promise<void> {
    const { enabled, discovery, discoveryIpv6 } = this.#options;
    this.#enter("starting");
    this.#settled = !enabled || this.#options.mode === "always";
    if (!enabled) return this.#enter("up");
    // a node without a vehicle never loads it
    const doip = await import("#doip/discovery.ts");
    if (this.#closed) return;
    const networks = discoveryIpv6 === undefined ? [discovery] : [discovery, { ...discoveryIpv6, family: doip.IPV6 }];
    // Kept from the first moment, so that an end while sockets open reaches them.
    this.#discoveries = networks.map((network) => this.#open(network, doip));
    try {
      for (const opened of this.#discoveries) await opened.start();
    } catch (error) {
      await this.#closeSockets();
      const problem = toFaultData(error).message;
      this.#enter("failed", problem);
      throw new Fault("misconfigured", `DoIP cannot be started: ${problem}`);
    }
    this.#enter("up");
    for (const opened of this.#discoveries) void opened.run(() => this.#options.fleet.missingGateways.length > 0);
  }

  #open(network: NetworkOptions, { Discovery, vinOf }: Doip): Discovery {
    return new Discovery({
      ...network,
      clock: this.#options.clock,
      onAnnouncement: (announcement) => {
        this.vin = vinOf(announcement) ?? this.vin;
        this.#announced(announcement);
      },
      onProblem: (message) => this.#log("warn", message),
    });
  }

  /** Requests on demand wait until every gateway is connected, at most one round of collecting. */
  async #awaitConnections(): Promise<void> {
    const { clock, fleet, detectionMs } = this.#options;
    await until(fleet, () => fleet.missingGateways.length === 0, { clock, timeoutMs: detectionMs });
    this.#settled = true;
  }

  #announced(announcement: Announcement): void {
    const { logicalAddress, ip, version, furtherAction } = announcement;
    const { fleet } = this.#options;
    if (!fleet.ready) {
      if (this.#early.size < MAX_EARLY) this.#early.set(logicalAddress, announcement);
      return;
    }
    if (this.#isOtherFamily(announcement)) return;
    if (fleet.announce({ type: "gateway", logicalAddress, ip, version, furtherAction })) {
      this.#unknown.delete(logicalAddress);
      this.#meet(announcement);
      return;
    }
    const isNew = !this.#unknown.has(logicalAddress);
    if (isNew && this.#unknown.size >= MAX_EARLY) return;
    this.#unknown.set(logicalAddress, announcement);
    if (!isNew) return;
    const address = formatAddress(logicalAddress);
    this.#log("warn", `DoIP entity ${address} at ${ip} is the gateway of no ECU that a database describes`);
  }

  /** One that has not connected over this family gets no more time for it by speaking again, or the other one would never be tried. */
  #meet({ logicalAddress, ip }: Announcement): void {
    const { clock, fleet } = this.#options;
    const isIpv6 = isIPv6(ip);
    const isAgain = this.#met.get(logicalAddress)?.isIpv6 === isIpv6 && fleet.missingGateways.includes(logicalAddress);
    if (!isAgain) this.#met.set(logicalAddress, { isIpv6, atMs: clock.now() });
  }

  /** A gateway that speaks over IPv4 and IPv6 keeps to the one it was met on: two addresses are no move from one to the other. */
  #isOtherFamily({ logicalAddress, ip }: Announcement): boolean {
    const met = this.#met.get(logicalAddress);
    if (met === undefined || met.isIpv6 === isIPv6(ip)) return false;
    const { clock, fleet } = this.#options;
    return clock.now() - met.atMs < FAMILY_PATIENCE_MS || !fleet.missingGateways.includes(logicalAddress);
  }

  #enter(state: CommunicationState, problem?: string): void {
    this.state = state;
    this.#options.onState(state, problem);
  }

  #log(level: "warn", message: string): void {
    this.#options.onLog({ type: "log", level, scope: "discovery", message });
  }
}
