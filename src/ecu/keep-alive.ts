import type { Clock } from "#core/time.ts";
import type { UdsClient } from "#uds/client.ts";
import { TesterPresent } from "#uds/tester-present.ts";
import type { Ecu } from "./ecu.ts";
import type { Gateway } from "./gateway.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  gatewayOf(ecu: Ecu): Gateway | undefined;
  onProblem(message: string): void;
}

interface GroupKeepAlive {
  readonly group: string;
  readonly client: UdsClient;
  readonly keepAlive: TesterPresent;
}

/**
 * The keep-alives that locks ask for: physical for a component's lock, functional per gateway for a group's. What is wanted is
 * remembered, so that an ECU or gateway whose way opens later is kept alive as well.
 */
export class KeepAlives {
  readonly #options: KeepAliveOptions;
  readonly #wanted = new Set<string>();
  readonly #wantedGroups = new Set<string>();
  readonly #physical = new Map<string, TesterPresent>();
  readonly #functional = new Map<string, GroupKeepAlive>();

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  start(ecu: Ecu): void {
    this.#wanted.add(ecu.name);
    this.#resumeEcu(ecu);
  }

  /** The ECU's way is open (again): starts what is wanted. */
  resume(ecu: Ecu): void {
    this.#resumeEcu(ecu);
    const gateway = this.#options.gatewayOf(ecu);
    if (gateway !== undefined) for (const group of this.#wantedGroups) this.#resumeGroup(group, gateway);
  }

  stop(ecu: Pick<Ecu, "name">): void {
    this.#wanted.delete(ecu.name);
    this.#physical.get(ecu.name)?.stop();
    this.#physical.delete(ecu.name);
  }

  /** One functional keep-alive for each gateway that has members of the group. */
  startGroup(group: string, gateways: readonly Gateway[]): void {
    this.#wantedGroups.add(group);
    for (const gateway of gateways) this.#resumeGroup(group, gateway);
  }

  stopGroup(group: string): void {
    this.#wantedGroups.delete(group);
    for (const [key, running] of this.#functional) {
      if (running.group !== group) continue;
      running.keepAlive.stop();
      this.#functional.delete(key);
    }
  }

  stopAll(): void {
    for (const keepAlive of this.#physical.values()) keepAlive.stop();
    for (const { keepAlive } of this.#functional.values()) keepAlive.stop();
    this.#physical.clear();
    this.#functional.clear();
    this.#wanted.clear();
    this.#wantedGroups.clear();
  }

  #resumeEcu(ecu: Ecu): void {
    if (!this.#wanted.has(ecu.name) || ecu.endpoint === undefined) return;
    this.#physical.get(ecu.name)?.stop();
    const functional = this.#options.gatewayOf(ecu)?.functional;
    const keepAlive = new TesterPresent({
      clock: this.#options.clock,
      physical: ecu.endpoint.client,
      ...(functional === undefined ? {} : { functional }),
      isOnline: () => ecu.life.connectivity === "Online",
      onProblem: this.#options.onProblem,
    });
    this.#physical.set(ecu.name, keepAlive);
    keepAlive.start();
  }

  #resumeGroup(group: string, gateway: Gateway): void {
    const client = gateway.functional;
    const isMember = (ecu: Ecu) => ecu.assignment.groups.includes(group);
    if (client === undefined || !gateway.ecus.some(isMember)) return;
    const key = `${group} ${gateway.logicalAddress}`;
    const running = this.#functional.get(key);
    if (running?.client === client) return;
    running?.keepAlive.stop();
    const keepAlive = new TesterPresent({
      clock: this.#options.clock,
      functional: client,
      isOnline: () => gateway.ecus.some((ecu) => ecu.life.connectivity === "Online"),
      onProblem: this.#options.onProblem,
    });
    this.#functional.set(key, { group, client, keepAlive });
    keepAlive.start();
  }
}
