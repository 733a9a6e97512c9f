/** The vehicle that testers of the CDA know: five DoIP entities, one ECU behind the first. */
import type { EntityOptions } from "./vehicle.ts";

const ENTITIES: readonly Omit<EntityOptions, "address">[] = [
  { name: "FLXC1000", logicalAddress: 0x1000, ecus: [{ name: "TMC1001", logicalAddress: 0x1001 }] },
  { name: "FSNR2000", logicalAddress: 0x2000 },
  { name: "TMCC3000", logicalAddress: 0x3000 },
  { name: "HOVR4000", logicalAddress: 0x4000 },
  { name: "JGWT5000", logicalAddress: 0x5000 },
];

/** Its entities on the addresses in order; when there are fewer addresses than entities, all share the first one. */
export function defaultEntities(addresses: readonly string[] = ["127.0.0.1"], port?: number): EntityOptions[] {
  const each = addresses.length >= ENTITIES.length;
  return ENTITIES.map((entity, i) => ({
    ...entity,
    address: (each ? addresses[i] : addresses[0]) ?? "127.0.0.1",
    ...(port === undefined ? {} : { port }),
  }));
}
