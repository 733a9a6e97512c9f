/** The simulator as a program: options of `sovd-edge simulate` and of the environment to a running vehicle. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { Fault } from "#core/errors.ts";
import { DISCOVERY_PORT, TLS_PORT } from "#doip/tables.ts";
import { readVehicleConfig } from "./config.ts";
import { type Delay, STRICT_ISO } from "./misbehaviour.ts";
import { benchEntities } from "./vehicle.bench.ts";
import { defaultEntities } from "./vehicle.default.ts";
import { type EntityOptions, type RunningVehicle, startVehicle, type VehicleOptions } from "./vehicle.ts";

export { readVehicleConfig } from "./config.ts";

export const CONTROL_PORT = 8181;
export const PROFILES = ["default", "bench"] as const;

export interface SimulateOptions {
  /** Path of a TOML file (`readVehicleConfig`); then profile, address and port do not apply. */
  readonly config?: string;
  /** `default`: the six ECUs that testers of the CDA know; `bench`: gateways × ECUs. */
  readonly profile?: (typeof PROFILES)[number];
  /** IP addresses or interface names. With at least as many as entities: one each in order; else all share the first. Default 127.0.0.1. */
  readonly address?: readonly string[];
  /** TCP and UDP, default 13400. */
  readonly port?: number;
  /** HTTP control API, default 8181, 0: a free one; false: none. */
  readonly controlPort?: number | false;
  /** Default: address of the first entity. */
  readonly controlAddress?: string;
  /** Adds a TLS listener and demands it (0x07); true: port 3496. */
  readonly tls?: number | boolean;
  readonly vin?: string;
  /** Vehicle announcements, default on. */
  readonly announce?: boolean;
  /** Timers and rules of ISO 13400-2 that the default leaves out. */
  readonly strictIso?: boolean;
  /** Bench profile. */
  readonly gateways?: number;
  readonly ecusPerGateway?: number;
  readonly delay?: Delay;
}

/** Starts the simulator and resolves when it listens. Throws a `Fault` for a configuration that cannot be used. */
export async function simulate(options: SimulateOptions = {}): Promise<RunningVehicle> {
  return startVehicle(await vehicleOptions(options));
}

/** Options by the variables of the CDA's simulator container; what is not set is left out. */
export function optionsFromEnvironment(env: Readonly<Record<string, string | undefined>>): SimulateOptions {
  return {
    ...(env.SIM_DOIP_PORT ? { port: portOf("SIM_DOIP_PORT", env.SIM_DOIP_PORT) } : {}),
    ...(env.SIM_REST_PORT ? { controlPort: portOf("SIM_REST_PORT", env.SIM_REST_PORT) } : {}),
    ...(env.SIM_NETWORK_INTERFACE ? { address: [env.SIM_NETWORK_INTERFACE] } : {}),
    ...(env.OVERRIDE_VIN ? { vin: env.OVERRIDE_VIN } : {}),
  };
}

async function vehicleOptions(options: SimulateOptions): Promise<VehicleOptions> {
  const described =
    options.config === undefined ? undefined : readVehicleConfig(await readFile(options.config, "utf8"));
  const entities = (described?.entities ?? profileEntities(options)).map((entity) => adjusted(entity, options));
  const controlPort = options.controlPort ?? described?.controlPort ?? CONTROL_PORT;
  const controlAddress = options.controlAddress ?? described?.controlAddress ?? entities[0]!.address;
  return {
    ...described,
    entities,
    ...(options.vin === undefined ? {} : { vin: options.vin }),
    ...(options.announce === undefined ? {} : { announce: options.announce }),
    ...(options.tls === undefined || options.tls === false
      ? {}
      : { tls: { port: options.tls === true ? TLS_PORT : options.tls } }),
    ...(controlPort === false ? {} : { controlPort, controlAddress }),
  };
}

function profileEntities(options: SimulateOptions): EntityOptions[] {
  const { profile = "default", gateways, ecusPerGateway, delay, port = DISCOVERY_PORT } = options;
  const addresses = options.address?.flatMap(addressesOf);
  if (profile === "default") return defaultEntities(addresses, port);
  return benchEntities({
    port,
    ...(gateways === undefined ? {} : { gateways }),
    ...(ecusPerGateway === undefined ? {} : { ecusPerGateway }),
    ...(delay === undefined ? {} : { delay }),
    ...(addresses === undefined ? {} : { addresses }),
  });
}

function adjusted(entity: EntityOptions, options: SimulateOptions): EntityOptions {
  const tlsRequired = options.tls !== undefined && options.tls !== false;
  const rules = {
    ...(options.strictIso ? STRICT_ISO : {}),
    ...(tlsRequired ? { tlsRequired } : {}),
    ...entity.endpoint,
  };
  return { ...entity, endpoint: rules };
}

/** An IP address itself, or the IPv4 addresses of the interface of that name in the system's order. */
function addressesOf(addressOrInterface: string): string[] {
  if (isIP(addressOrInterface) !== 0) return [addressOrInterface];
  const found = networkInterfaces()[addressOrInterface]?.filter(({ family }) => family === "IPv4");
  if (found === undefined || found.length === 0) {
    throw new Fault("invalidConfig", `no interface ${addressOrInterface} with an IPv4 address`, { key: "address" });
  }
  return found.map(({ address }) => address);
}

function portOf(name: string, text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new Fault("invalidConfig", `${name} is not a port: ${text}`, { key: name });
}
