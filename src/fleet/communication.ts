import { formatAddress } from "#core/bytes.ts";
import { Fault, toFaultData } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { type Announcement, Discovery, type DiscoveryOptions } from "#doip/discovery.ts";
import type { VehicleFleet } from "./fleet.ts";
import type { LogMessage } from "./messages.ts";

/** When communication begins: at start, with the first request to an ECU, or when a plugin says so. */
export type InitMode = "always" | "on-demand" | "plugin";
export type CommunicationState = "pending" | "starting" | "up" | "failed";

/** Entities remembered while databases load; logical addresses of gateways are far fewer. */
const MAX_EARLY = 1_024;

export interface CommunicationOptions {
  readonly mode: InitMode;
  readonly clock: Clock;
  readonly fleet: VehicleFleet;
  /** False: DoIP is switched off; nothing is ever opened. */
  readonly enabled: boolean;
  readonly discovery: Omit<DiscoveryOptions, "clock" | "onAnnouncement" | "onProblem">;
  /** Upper bound of the wait for a first detection in mode `on-demand`, ms. */
  readonly detectionMs: number;
  readonly onState: (state: CommunicationState, problem?: string) => void;
  readonly onLog: (message: LogMessage) => void;
}

/** The vehicle's side of start-up: discovery on the main thread, announcements to the shards that own the gateways. */
export class Communication {
  readonly #options: CommunicationOptions;
  readonly #unknown = new Set<number>();
  /** The newest announcement of each entity that no shard was told of, because databases were still loading. */
  readonly #early = new Map<number, Announcement>();
  #discovery: Discovery | undefined;
  #starting: Promise<void> | undefined;
  state: CommunicationState = "pending";

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
   * What an ECU's call must wait for: nothing once communication is up.
   * @throws Fault notReady before a plugin's trigger
   */
  gate(deadlineMs: number): Promise<void> | undefined {
    if (this.state === "up") return undefined;
    if (this.#options.mode === "plugin" && this.#starting === undefined) {
      return Promise.reject(new Fault("notReady", "Communication with the vehicle has not been initialised yet"));
    }
    return this.trigger().then(() => this.#firstDetection(deadlineMs));
  }

  /** Databases are loaded: tells the fleet which entities have spoken meanwhile. */
  replay(): void {
    const early = [...this.#early.values()];
    this.#early.clear();
    for (const announcement of early) this.#announced(announcement);
  }

  /** Asks again, e.g. after the set of databases changed. */
  async rediscover(): Promise<void> {
    await this.#discovery?.discover();
  }

  async close(): Promise<void> {
    await this.#discovery?.close();
  }

  async #start(): Promise<void> {
    const { enabled, clock, discovery } = this.#options;
    this.#enter("starting");
    if (!enabled) return this.#enter("up");
    const opened = new Discovery({
      ...discovery,
      clock,
      onAnnouncement: (announcement) => this.#announced(announcement),
      onProblem: (message) => this.#log("warn", message),
    });
    try {
      await opened.start();
    } catch (error) {
      const problem = toFaultData(error).message;
      this.#enter("failed", problem);
      throw new Fault("misconfigured", `DoIP cannot be started: ${problem}`);
    }
    this.#discovery = opened;
    this.#enter("up");
    void opened.run(() => this.#options.fleet.missingGateways.length > 0);
  }

  /** The first request on demand waits until some gateway is there, at most one round of collecting. */
  async #firstDetection(deadlineMs: number): Promise<void> {
    const { clock, fleet, detectionMs } = this.#options;
    const endMs = Math.min(deadlineMs, clock.now() + detectionMs);
    if (fleet.missingGateways.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(done, Math.max(0, endMs - clock.now()));
      const stop = fleet.onChange(() => {
        if (fleet.missingGateways.length === 0) done();
      });
      function done() {
        clock.clearTimeout(timer);
        stop();
        resolve();
      }
    });
  }

  #announced(announcement: Announcement): void {
    const { logicalAddress, ip, version } = announcement;
    const { fleet } = this.#options;
    if (!fleet.ready) {
      if (this.#early.size < MAX_EARLY) this.#early.set(logicalAddress, announcement);
      return;
    }
    if (fleet.announce({ type: "gateway", logicalAddress, ip, version })) return;
    if (this.#unknown.has(logicalAddress)) return;
    this.#unknown.add(logicalAddress);
    const address = formatAddress(logicalAddress);
    this.#log("warn", `DoIP entity ${address} at ${ip} is the gateway of no ECU that a database describes`);
  }

  #enter(state: CommunicationState, problem?: string): void {
    this.state = state;
    this.#options.onState(state, problem);
  }

  #log(level: "warn", message: string): void {
    this.#options.onLog({ type: "log", level, scope: "discovery", message });
  }
}
