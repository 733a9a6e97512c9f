import type { Clock } from "#core/time.ts";
import { TesterPresent } from "#uds/tester-present.ts";
import type { Ecu } from "./ecu.ts";
import type { Gateway } from "./gateway.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  gatewayOf(ecu: Ecu): Gateway | undefined;
  onProblem(message: string): void;
}

/**
 * The keep-alives that locks ask for: physical for a component's lock, functional per gateway for a group's. What is wanted is
 * remembered, so that an ECU whose way opens later is kept alive as well.
 */
export class KeepAlives {
  readonly #options: KeepAliveOptions;
  readonly #wanted = new Set<string>();
  readonly #physical = new Map<string, TesterPresent>();
  readonly #functional = new Map<string, TesterPresent>();

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  /** Names of ECUs that a lock keeps alive. */
  get ecus(): ReadonlySet<string> {
    return this.#wanted;
  }

  start(ecu: Ecu): void {
    this.#wanted.add(ecu.name);
    this.resume(ecu);
  }

  /** The ECU's way is open: starts what is wanted and does not run. */
  resume(ecu: Ecu): void {
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

  stop(ecu: Ecu): void {
    this.#wanted.delete(ecu.name);
    this.#physical.get(ecu.name)?.stop();
    this.#physical.delete(ecu.name);
  }

  /** One functional keep-alive per gateway, for as long as any group wants it. */
  startGroup(group: string, gateway: Gateway): void {
    const key = groupKey(group, gateway);
    const functional = gateway.functional;
    if (functional === undefined || this.#functional.has(key)) return;
    const keepAlive = new TesterPresent({
      clock: this.#options.clock,
      functional,
      isOnline: () => gateway.ecus.some((ecu) => ecu.life.connectivity === "Online"),
      onProblem: this.#options.onProblem,
    });
    this.#functional.set(key, keepAlive);
    keepAlive.start();
  }

  stopGroup(group: string, gateway: Gateway): void {
    const key = groupKey(group, gateway);
    this.#functional.get(key)?.stop();
    this.#functional.delete(key);
  }

  stopAll(): void {
    for (const keepAlive of [...this.#physical.values(), ...this.#functional.values()]) keepAlive.stop();
    this.#physical.clear();
    this.#functional.clear();
    this.#wanted.clear();
  }
}

function groupKey(group: string, gateway: Gateway): string {
  return `${group} ${gateway.logicalAddress}`;
}
