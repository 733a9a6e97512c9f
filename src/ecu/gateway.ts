import type { Clock } from "#core/time.ts";
import type { GatewayMessage, GatewayStateMessage } from "#fleet/messages.ts";
import { UdsClient } from "#uds/client.ts";
import type { ComParams } from "#uds/com-params.ts";
import type { Transport } from "#uds/transport.ts";
import type { Ecu } from "./ecu.ts";
import { Endpoint } from "./endpoint.ts";
import type { SendCheck } from "./send-check.ts";

/** The network behind a gateway, whichever kind it is. */
export interface GatewayTransport extends Transport {
  /** Connects, or goes on at the new address. */
  announce(message: GatewayMessage): void;
  /** New timings of the connection. */
  configure(params: ComParams): void;
}

export interface GatewayEnvironment {
  readonly clock: Clock;
  readonly fallbackToBase: boolean;
  readonly maxQueued: number;
  /** Longest wait of a request for its turn, ms. */
  readonly maxWaitMs: number;
  readonly sendCheck?: SendCheck | undefined;
  connect(
    message: GatewayMessage,
    params: ComParams,
    onState: (message: GatewayStateMessage) => void,
  ): GatewayTransport;
  onState(message: GatewayStateMessage): void;
  onProblem(ecu: string, problem: unknown): void;
  /** An ECU's way is open (again). */
  onReachable(endpoint: Endpoint): void;
  /** Its ECUs are gone from the set, and the last call on one of them has ended. */
  onUnused(gateway: Gateway): void;
}

/** One gateway and the ECUs behind it. Nothing connects before the gateway has spoken. */
export class Gateway {
  readonly logicalAddress: number;
  #ecus: readonly Ecu[];
  readonly #environment: GatewayEnvironment;
  #transport: GatewayTransport | undefined;
  #endpoints: Endpoint[] = [];
  /** Endpoints whose ECUs are gone from the set, until the calls on them have ended; by address. */
  readonly #leaving = new Map<number, { readonly endpoint: Endpoint }>();
  #state: GatewayStateMessage | undefined;
  #functional: { readonly client: UdsClient; readonly address: number } | undefined;
  /** Where the gateway last spoke from. */
  #message: GatewayMessage | undefined;
  #testerAddress = 0;

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
    return this.#functional?.client;
  }

  announce(message: GatewayMessage): void {
    this.#message = message;
    if (this.#transport === undefined) this.#connect(message);
    else {
      this.#transport.announce(message);
      for (const endpoint of this.#endpoints) void endpoint.detectInBackground();
    }
  }

  /** Puts other ECUs in the place of those there were; an address whose ECUs all stay is not touched. */
  replace(ecus: readonly Ecu[]): void {
    const isTakenBack = this.#ecus.length === 0 && ecus.length > 0;
    this.#ecus = ecus;
    const speaker = this.#speaker;
    const groups = byAddress(ecus);
    for (const endpoint of this.#endpoints) if (!groups.has(endpoint.address)) this.#leave(endpoint);
    this.#endpoints = this.#endpoints.filter(({ address }) => groups.has(address));
    if (speaker === undefined) this.#checkUse();
    if (this.#transport === undefined || speaker === undefined) return;
    // The connection was activated for one tester address.
    if (speaker.params.doip.logicalTesterAddress !== this.#testerAddress) {
      void this.close();
      this.#connect(this.#message!);
      return;
    }
    this.#transport.configure(speaker.params);
    this.#openFunctional(this.#transport, speaker);
    for (const address of groups.keys()) this.#takeBack(address);
    for (const endpoint of this.#endpoints) {
      const members = groups.get(endpoint.address)!;
      if (sameMembers(endpoint.members, members)) continue;
      endpoint.serve(members);
      if (endpoint.client.connected) this.#connectivity(endpoint, true);
    }
    this.#openEndpoints(this.#transport);
    if (isTakenBack && this.#state !== undefined) this.#environment.onState(this.#state);
  }

  /** Calls that began before the set was replaced end on this way; it closes behind the last one. */
  #leave(endpoint: Endpoint): void {
    const leaving = { endpoint };
    const { address, members } = endpoint;
    this.#leaving.set(address, leaving);
    endpoint.detector.stop();
    let open = members.length;
    const released = () => {
      if (--open > 0 || this.#leaving.get(address) !== leaving) return;
      this.#leaving.delete(address);
      endpoint.close();
      this.#checkUse();
    };
    for (const ecu of members) ecu.held.whenReleased(released);
  }

  #takeBack(address: number): void {
    const leaving = this.#leaving.get(address);
    if (leaving === undefined) return;
    this.#leaving.delete(address);
    this.#endpoints.push(leaving.endpoint);
  }

  #checkUse(): void {
    if (this.#ecus.length === 0 && this.#leaving.size === 0) this.#environment.onUnused(this);
  }

  /** Members hear that their way is gone before it is taken away. */
  async close(): Promise<void> {
    const transport = this.#transport;
    this.#transport = undefined;
    const closed = transport?.close();
    this.#functional?.client.close();
    this.#functional = undefined;
    for (const { endpoint } of this.#leaving.values()) endpoint.close();
    this.#leaving.clear();
    for (const endpoint of this.#endpoints) endpoint.close();
    this.#endpoints = [];
    await closed;
  }

  get #speaker(): Ecu | undefined {
    return this.own ?? this.#ecus[0];
  }

  #connect(message: GatewayMessage): void {
    const speaker = this.#speaker;
    if (speaker === undefined) return;
    const transport = this.#environment.connect(message, speaker.params, (state) => {
      this.#state = state;
      this.#environment.onState(state);
    });
    this.#transport = transport;
    this.#testerAddress = speaker.params.doip.logicalTesterAddress;
    this.#openFunctional(transport, speaker);
    this.#openEndpoints(transport);
    transport.announce(message);
  }

  #openFunctional(transport: Transport, { name, params }: Ecu): void {
    const address = params.doip.logicalFunctionalAddress;
    if (this.#functional?.address === address) {
      this.#functional.client.configure(params);
      return;
    }
    this.#functional?.client.close();
    this.#functional = undefined;
    if (address === 0) return;
    const { clock, maxQueued, maxWaitMs, sendCheck } = this.#environment;
    const target = { name: `${name} (functional)`, addressing: "functional", params } as const;
    const client = new UdsClient({
      transport,
      target,
      clock,
      maxQueued,
      maxWaitMs,
      ...(sendCheck === undefined
        ? {}
        : {
            beforeSend: (request, service) =>
              sendCheck({ ecus: this.#listeners(address), addressing: "functional" }, request, service),
          }),
    });
    this.#functional = { client, address };
  }

  /** ECUs that a request to the functional address reaches, members of a group or not. */
  #listeners(address: number): readonly Ecu[] {
    return this.#ecus.filter(({ params }) => params.doip.logicalFunctionalAddress === address);
  }

  #openEndpoints(transport: Transport): void {
    const open = new Set(this.#endpoints.map(({ address }) => address));
    for (const [address, members] of byAddress(this.#ecus)) {
      if (open.has(address)) continue;
      const endpoint = new Endpoint({
        ...this.#environment,
        address,
        members,
        transport,
        onConnectivity: (self, connected) => this.#connectivity(self, connected),
        onConfigured: (ecu) => this.#configure(ecu),
      });
      this.#endpoints.push(endpoint);
      if (endpoint.client.connected) this.#connectivity(endpoint, true);
    }
  }

  #configure(ecu: Ecu): void {
    if (ecu !== this.#speaker) return;
    this.#transport?.configure(ecu.params);
    this.functional?.configure(ecu.params);
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

function sameMembers(before: readonly Ecu[], now: readonly Ecu[]): boolean {
  return now.length === before.length && now.every((ecu) => before.includes(ecu));
}
