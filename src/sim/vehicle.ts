/** The simulated vehicle: its DoIP entities on their addresses, their ECUs, and the control server. */

import { isIPv4 } from "node:net";
import { type Clock, systemClock } from "#core/time.ts";
import { DISCOVERY_PORT } from "#doip/tables.ts";
import { broadcastAddress, hearBroadcasts } from "./broadcast.ts";
import { selfSignedCertificate } from "./certificate.ts";
import { type ControlServer, startControlServer } from "./control-server.ts";
import { Ecu, type EcuContext, type EcuOptions } from "./ecu.ts";
import { Endpoint, type Entity, type UdpTarget } from "./endpoint.ts";
import { SimEvents } from "./events.ts";
import type { EntityMisbehaviour } from "./misbehaviour.ts";

export const DEFAULT_VIN = "SCEDT26T8BD005261";
const FUNCTIONAL_ADDRESS = 0xffff;
const UNSET_ID = "000000000000";
const MAX_DATA_BYTES = 0x7fff_ffff;
const BIND_ATTEMPTS = 8;

export interface EntityOptions extends EcuOptions {
  /** IP address; entities with the same address and port share their sockets. */
  readonly address: string;
  /** TCP and UDP; default 13400, 0: a free one. */
  readonly port?: number;
  /** Default 0xFFFF. */
  readonly functionalAddress?: number;
  /** 12 hex digits, default zeros. */
  readonly eid?: string;
  readonly gid?: string;
  /** ECUs behind this entity. */
  readonly ecus?: readonly EcuOptions[];
  /** How the endpoint misbehaves from the start; of entities that share one, the first's counts. */
  readonly endpoint?: EntityMisbehaviour;
}

export interface TlsListenerOptions {
  /** Default 0: a free one. */
  readonly port?: number;
  /** PEM; default: a certificate made for this run. */
  readonly cert?: string;
  readonly key?: string;
  /** OpenSSL cipher list. */
  readonly ciphers?: string;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
}

export interface VehicleOptions {
  readonly entities: readonly EntityOptions[];
  /** Default `SCEDT26T8BD005261`. */
  readonly vin?: string;
  /** HTTP control API on this port (0: a free one); undefined: none. */
  readonly controlPort?: number;
  /** Default 127.0.0.1. */
  readonly controlAddress?: string;
  /** Announcements after start; default on, by broadcast. */
  readonly announce?: boolean | { readonly targets: readonly UdpTarget[] };
  /** A second socket that hears broadcasts for the entities; default on for specific addresses with a fixed port. */
  readonly hearBroadcasts?: boolean;
  readonly tls?: TlsListenerOptions;
  /** Payloads above get generic NACK 0x02. */
  readonly maxDataBytes?: number;
  readonly clock?: Clock;
  /** For delay distributions; 0 up to, not including, 1. */
  readonly random?: () => number;
}

export interface RunningVehicle {
  /** One per IP and port. */
  readonly endpoints: readonly Endpoint[];
  readonly entities: readonly Entity[];
  /** Of the first endpoint. */
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly controlPort: number | undefined;
  readonly events: SimEvents;
  /** By name, in any case; throws when there is none. */
  ecu(name: string): Ecu;
  findEcu(name: string): Ecu | undefined;
  /** Endpoint of the entity, or of the entity that the ECU is behind. */
  endpoint(name: string): Endpoint;
  /** All ECUs back to their initial state, misbehaviour gone; connections stay. */
  reset(): void;
  /** Closes all TCP connections; their number, counted once per entity that shares a socket. */
  disconnect(): number;
  /** Announces all entities, as after start. */
  announce(): void;
  /** Settles when the vehicle is closed. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

/** Starts a vehicle; resolves when everything listens. A port that is taken rejects. */
export async function startVehicle(options: VehicleOptions): Promise<RunningVehicle> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(options);
    } catch (error) {
      // A free TCP port may be taken for UDP or on another of the addresses: then another one is tried.
      const anyFree = options.entities.some(({ port }) => port === 0);
      if (!anyFree || attempt === BIND_ATTEMPTS || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
}

async function start(options: VehicleOptions): Promise<RunningVehicle> {
  const events = new SimEvents();
  const clock = options.clock ?? systemClock;
  const context: EcuContext = {
    clock,
    random: options.random ?? Math.random,
    onRequest: (ecu, uds) => {
      if (!events.idle) events.emit({ kind: "request", ecu: ecu.name, uds: new Uint8Array(uds) });
    },
  };
  const vin = options.vin ?? DEFAULT_VIN;
  const groups = groupBy(options.entities, endpointKey);
  const endpoints = [...groups.values()].map((entities) =>
    buildEndpoint(entities, options, vin, context, events, clock),
  );
  const closers: (() => Promise<unknown>)[] = [];
  try {
    for (const endpoint of endpoints) {
      // Entities that ask for a free port all get the same one: testers know one port for all gateways.
      if (endpoint.port === 0) endpoint.port = endpoints.find(({ port }) => port !== 0)?.port ?? 0;
      closers.push(() => endpoint.close());
      await endpoint.open();
    }
    if (options.hearBroadcasts ?? options.entities.some(({ port }) => port !== 0)) {
      closers.push(await hearBroadcasts(endpoints));
    }
    const vehicle = assemble(endpoints, events, closers);
    if (options.controlPort !== undefined) {
      const control = await startControlServer(vehicle, options.controlPort, options.controlAddress ?? "127.0.0.1");
      vehicle.control = control;
      closers.push(() => control.close());
    }
    if (options.announce !== false) vehicle.announce();
    return vehicle;
  } catch (error) {
    await Promise.all(closers.map((close) => close()));
    throw error;
  }
}

function endpointKey({ address, port }: EntityOptions): string {
  return `${address} ${port ?? DISCOVERY_PORT}`;
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

function buildEndpoint(
  group: readonly EntityOptions[],
  options: VehicleOptions,
  vin: string,
  context: EcuContext,
  events: SimEvents,
  clock: Clock,
): Endpoint {
  const { address, port = DISCOVERY_PORT, endpoint: misbehaviour = {} } = group[0]!;
  const entities = group.map((entity): Entity => {
    const { functionalAddress = FUNCTIONAL_ADDRESS, eid = UNSET_ID, gid = UNSET_ID, ecus = [] } = entity;
    const { name, logicalAddress } = entity;
    return {
      name,
      logicalAddress,
      functionalAddress,
      eid,
      gid,
      ecus: [entity, ...ecus].map((ecu) => new Ecu(ecu, entity.vin ?? vin, context)),
    };
  });
  const announceTargets =
    typeof options.announce === "object" ? options.announce.targets : [{ address: broadcastAddress(address), port }];
  return new Endpoint({
    address,
    port,
    entities,
    misbehaviour,
    maxDataBytes: options.maxDataBytes ?? MAX_DATA_BYTES,
    announceTargets,
    clock,
    events,
    ...(options.tls === undefined ? {} : { tls: tlsOptions(options.tls, address) }),
  });
}

function tlsOptions(tls: TlsListenerOptions, address: string) {
  const own = tls.cert === undefined || tls.key === undefined;
  const made = own ? selfSignedCertificate("doip-entity", isIPv4(address) ? [address] : []) : undefined;
  return { ...tls, ...made, port: tls.port ?? 0 };
}

interface Assembled extends RunningVehicle {
  control: ControlServer | undefined;
}

function assemble(
  endpoints: readonly Endpoint[],
  events: SimEvents,
  closers: readonly (() => Promise<unknown>)[],
): Assembled {
  const entities = endpoints.flatMap((endpoint) => endpoint.entities);
  const ecus = new Map(entities.flatMap(({ ecus }) => ecus).map((ecu) => [ecu.name.toLowerCase(), ecu]));
  const places = new Map(
    endpoints.flatMap((endpoint) =>
      endpoint.entities.flatMap(({ ecus }) => ecus.map((ecu) => [ecu.name.toLowerCase(), endpoint] as const)),
    ),
  );
  let closing: Promise<void> | undefined;
  let settle = () => {};
  const closed = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const vehicle: Assembled = {
    endpoints,
    entities,
    events,
    closed,
    control: undefined,
    get port() {
      return endpoints[0]!.port;
    },
    get tlsPort() {
      return endpoints[0]!.tlsPort;
    },
    get controlPort() {
      return vehicle.control?.port;
    },
    findEcu: (name) => ecus.get(name.toLowerCase()),
    ecu: (name) => known(ecus.get(name.toLowerCase()), name),
    endpoint: (name) => known(places.get(name.toLowerCase()), name),
    reset() {
      for (const ecu of ecus.values()) ecu.reset();
      for (const endpoint of endpoints) endpoint.reset();
    },
    disconnect() {
      let count = 0;
      for (const endpoint of endpoints) {
        count += endpoint.connections.size * endpoint.entities.length;
        for (const connection of endpoint.connections) connection.destroy();
      }
      return count;
    },
    announce() {
      for (const endpoint of endpoints) endpoint.announce();
    },
    close() {
      closing ??= closeAll(ecus.values(), closers).then(settle);
      return closing;
    },
  };
  return vehicle;
}

async function closeAll(ecus: Iterable<Ecu>, closers: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const ecu of ecus) ecu.close();
  await Promise.all(closers.map((close) => close()));
}

function known<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new RangeError(`no ECU ${name} in this vehicle`);
  return found;
}
