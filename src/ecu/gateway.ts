import type { Clock } from "#core/time.ts";
import type { GatewayMessage, GatewayStateMessage } from "#fleet/messages.ts";
import { UdsClient } from "#uds/client.ts";
import type { ComParams } from "#uds/com-params.ts";
import type { Transport } from "#uds/transport.ts";
import type { Ecu } from "./ecu.ts";
import { Endpoint } from "./endpoint.ts";

/** The network behind a gateway, whichever kind it is. */
export interface GatewayTransport extends Transport {
  /** Connects, or goes on at the new address. */
  announce(ip: string, version: number): void;
}

export interface GatewayEnvironment {
  readonly clock: Clock;
  readonly fallbackToBase: boolean;
  readonly maxQueued: number;
  /** Longest wait of a request for its turn, ms. */
  readonly maxWaitMs: number;
  connect(
    message: GatewayMessage,
    params: ComParams,
    onState: (message: GatewayStateMessage) => void,
  ): GatewayTransport;
  onState(message: GatewayStateMessage): void;
  onProblem(ecu: string, problem: unknown): void;
  /** An ECU's way is open (again). */
  onReachable(endpoint: Endpoint): void;
}

/** One gateway and the ECUs behind it. Nothing connects before the gateway has spoken. */
export class Gateway {
  readonly logicalAddress: number;
  #ecus: readonly Ecu[];
  readonly #environment: GatewayEnvironment;
  #transport: GatewayTransport | undefined;
  #endpoints: Endpoint[] = [];
  #functional: UdsClient | undefined;

  constructor(logicalAddress: number, ecus: readonly Ecu[], environment: GatewayEnvironment) {
    this.logicalAddress = logicalAddress;
    this.#ecus = ecus;
    this.#environment = environment;
  }

  get ecus(): readonly Ecu[] {
    return this.#ecus;
  }
  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }
  /** The ECU that is the gateway itself; its parameters are those of the connection. */
  get own(): Ecu | undefined {
    return this.#ecus.find((ecu) => ecu.assignment.ecuAddress === this.logicalAddress);
  }
  /** Requests to the functional address, sent through this gateway. Undefined before it has spoken. */
  get functional(): UdsClient | undefined {
    return this.#functional;
  }

  announce(message: GatewayMessage): void {
    if (this.#transport === undefined) this.#connect(message);
    else {
      this.#transport.announce(message.ip, message.version);
      for (const endpoint of this.#endpoints) void endpoint.detectInBackground();
    }
  }

  /** Puts other ECUs in the place of those there were; endpoints whose members all stay are not touched. */
  replace(ecus: readonly Ecu[]): void {
    this.#ecus = ecus;
    if (this.#transport === undefined) return;
    const kept = this.#endpoints.filter(({ members }) => sameMembers(members, ecus));
    for (const endpoint of this.#endpoints) if (!kept.includes(endpoint)) endpoint.close();
    this.#endpoints = kept;
    this.#openEndpoints(this.#transport);
  }

  async close(): Promise<void> {
    this.#functional?.close();
    for (const endpoint of this.#endpoints) endpoint.close();
    await this.#transport?.close();
  }

  #connect(message: GatewayMessage): void {
    const speaker = this.own ?? this.#ecus[0];
    if (speaker === undefined) return;
    const transport = this.#environment.connect(message, speaker.params, (state) => this.#environment.onState(state));
    this.#transport = transport;
    this.#openEndpoints(transport);
    if (speaker.params.doip.logicalFunctionalAddress !== 0) {
      this.#functional = new UdsClient({
        transport,
        target: { name: `${speaker.name} (functional)`, addressing: "functional", params: speaker.params },
        clock: this.#environment.clock,
        maxQueued: this.#environment.maxQueued,
        maxWaitMs: this.#environment.maxWaitMs,
      });
    }
    transport.announce(message.ip, message.version);
  }

  #openEndpoints(transport: Transport): void {
    for (const members of byAddress(this.#ecus).values()) {
      if (members.some((ecu) => ecu.endpoint !== undefined)) continue;
      const endpoint = new Endpoint({
        ...this.#environment,
        members,
        transport,
        onConnectivity: (self, connected) => this.#connectivity(self, connected),
      });
      this.#endpoints.push(endpoint);
      if (endpoint.client.connected) this.#connectivity(endpoint, true);
    }
  }

  #connectivity(endpoint: Endpoint, connected: boolean): void {
    for (const ecu of endpoint.members) ecu.event({ kind: connected ? "gatewayConnected" : "gatewayClosed" });
    if (!connected) return;
    void endpoint.detectInBackground();
    this.#environment.onReachable(endpoint);
  }
}

/** ECUs by address; those with one address form a group that shares an endpoint. */
function byAddress(ecus: readonly Ecu[]): Map<number, Ecu[]> {
  const groups = new Map<number, Ecu[]>();
  for (const ecu of ecus) {
    const address = ecu.assignment.ecuAddress;
    if (address === undefined) continue;
    groups.set(
      address,
      [...(groups.get(address) ?? []), ecu].sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }
  return groups;
}

function sameMembers(members: readonly Ecu[], ecus: readonly Ecu[]): boolean {
  const address = members[0]?.assignment.ecuAddress;
  const now = ecus.filter((ecu) => ecu.assignment.ecuAddress === address);
  return now.length === members.length && now.every((ecu) => members.includes(ecu));
}
