import type { Clock } from "#core/time.ts";
import { type RequestOptions, UdsClient } from "#uds/client.ts";
import type { Transport } from "#uds/transport.ts";
import { Detector } from "./detection.ts";
import type { Ecu } from "./ecu.ts";
import { needsDetection } from "./life.ts";
import type { SendCheck } from "./send-check.ts";

/** How a call's requests are sent. */
export interface SendOptions extends RequestOptions {
  /** Refuse parameters that a service does not know. */
  readonly isStrict?: boolean;
}

export interface EndpointOptions {
  readonly clock: Clock;
  readonly address: number;
  /** ECUs whose databases name this one address; at least one. */
  readonly members: readonly Ecu[];
  readonly transport: Transport;
  readonly fallbackToBase: boolean;
  readonly maxQueued: number;
  /** Longest wait of a request for its turn, ms. */
  readonly maxWaitMs: number;
  readonly sendCheck?: SendCheck | undefined;
  readonly onProblem: (ecu: string, problem: unknown) => void;
  readonly onConnectivity: (endpoint: Endpoint, connected: boolean) => void;
  /** Parameters of a member were overridden: those of the gateway itself are the connection's as well. */
  readonly onConfigured: (ecu: Ecu) => void;
}

/** One address on the network: the request queue to it and the detection of what is there. Duplicates share it. */
export class Endpoint {
  readonly address: number;
  readonly client: UdsClient;
  readonly #options: EndpointOptions;
  #members: readonly Ecu[] = [];
  #detector: Detector;

  constructor(options: EndpointOptions) {
    const { address, members, clock, sendCheck } = options;
    const first = members[0]!;
    this.address = address;
    this.#options = options;
    this.client = new UdsClient({
      transport: options.transport,
      target: { name: first.name, addressing: "physical", params: first.params },
      clock,
      maxQueued: options.maxQueued,
      maxWaitMs: options.maxWaitMs,
      onConnectivity: (connected) => options.onConnectivity(this, connected),
      ...(sendCheck === undefined
        ? {}
        : {
            beforeSend: (request, service) =>
              sendCheck({ ecus: this.#members, addressing: "physical" }, request, service),
          }),
    });
    this.#detector = this.#serve(members);
  }

  get members(): readonly Ecu[] {
    return this.#members;
  }
  get detector(): Detector {
    return this.#detector;
  }

  /** Other databases speak for this address. Calls that are under way on the old ones go on, their ECUs keep this endpoint. */
  serve(members: readonly Ecu[]): void {
    this.#detector.stop();
    this.client.configure(members[0]!.params);
    this.#detector = this.#serve(members);
  }

  request(bytes: Uint8Array, options: SendOptions, service?: string): Promise<Uint8Array> {
    return this.client.request(bytes, options, service);
  }

  /** The member's parameters changed: in force from the next request on. */
  configure(ecu: Ecu): void {
    this.client.configure(ecu.params);
    this.#options.onConfigured(ecu);
  }

  /** Detects in the background what is not known yet. */
  detectInBackground(): Promise<void> {
    return this.detector.runInBackground(() => this.members.some((ecu) => needsDetection(ecu.life)));
  }

  close(): void {
    this.detector.stop();
    for (const ecu of this.members) if (ecu.endpoint === this) ecu.endpoint = undefined;
    this.client.close();
  }

  #serve(members: readonly Ecu[]): Detector {
    const { clock, fallbackToBase, onProblem } = this.#options;
    this.#members = members;
    for (const ecu of members) ecu.endpoint = this;
    return new Detector({
      clock,
      members,
      request: (bytes, service) => this.client.request(bytes, {}, service),
      fallbackToBase,
      onProblem,
    });
  }
}
