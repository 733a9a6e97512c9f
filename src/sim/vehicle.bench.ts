/** Many gateways with many ECUs, for load: one address per gateway, answers at once or after a delay. */
import type { Delay } from "./misbehaviour.ts";
import type { EntityOptions } from "./vehicle.ts";

export interface BenchOptions {
  /** 1 to 64, default 4. */
  readonly gateways?: number;
  /** ECUs per gateway, its own included: 1 to 16, default 4. */
  readonly ecusPerGateway?: number;
  /** Answer time of every ECU; default at once. */
  readonly delay?: Delay;
  /** Addresses of the gateways in order; default 127.0.1.1, 127.0.1.2 … */
  readonly addresses?: readonly string[];
  readonly port?: number;
}

export const MAX_GATEWAYS = 64;
export const MAX_ECUS_PER_GATEWAY = 16;
const FIRST_ADDRESS = 0x1000;
const ADDRESS_STEP = 0x100;

/** Gateway `g` has logical address 0x1000 + 0x100·g and name `GW00`…, its further ECUs follow by one each as `GW00E01`…. */
export function benchEntities(options: BenchOptions = {}): EntityOptions[] {
  const { gateways = 4, ecusPerGateway = 4, delay, addresses, port } = options;
  inRange("gateways", gateways, MAX_GATEWAYS);
  inRange("ecusPerGateway", ecusPerGateway, MAX_ECUS_PER_GATEWAY);
  if (addresses !== undefined && addresses.length < gateways) {
    throw new RangeError(`${gateways} gateways need as many addresses, there are ${addresses.length}`);
  }
  const slow = delay === undefined ? {} : { misbehaviour: { delay } };
  return Array.from({ length: gateways }, (_, g) => {
    const name = `GW${String(g).padStart(2, "0")}`;
    const logicalAddress = FIRST_ADDRESS + g * ADDRESS_STEP;
    return {
      name,
      logicalAddress,
      address: addresses?.[g] ?? `127.0.1.${g + 1}`,
      ...(port === undefined ? {} : { port }),
      ...slow,
      ecus: Array.from({ length: ecusPerGateway - 1 }, (_, e) => ({
        name: `${name}E${String(e + 1).padStart(2, "0")}`,
        logicalAddress: logicalAddress + e + 1,
        ...slow,
      })),
    };
  });
}

function inRange(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`${name} must be 1 to ${max}, is ${value}`);
}
