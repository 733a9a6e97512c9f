/** The demo's vehicle: three DoIP gateways, six ECUs, three of them behind another one's gateway. */
import { fromHex } from "#core/bytes.ts";
import type { EcuOptions } from "../ecu.ts";
import type { EntityOptions } from "../vehicle.ts";

export interface DemoEcu {
  readonly name: string;
  readonly title: string;
  readonly logicalAddress: number;
  readonly gatewayAddress: number;
}

export const DEMO_ECUS: readonly DemoEcu[] = [
  { name: "CENTRAL", title: "Central gateway", logicalAddress: 0x1000, gatewayAddress: 0x1000 },
  { name: "BODY", title: "Body control", logicalAddress: 0x1001, gatewayAddress: 0x1000 },
  { name: "CLIMATE", title: "Climate control", logicalAddress: 0x1002, gatewayAddress: 0x1000 },
  { name: "ENGINE", title: "Engine control", logicalAddress: 0x2000, gatewayAddress: 0x2000 },
  { name: "BRAKES", title: "Brake control", logicalAddress: 0x2001, gatewayAddress: 0x2000 },
  { name: "CAMERA", title: "Front camera", logicalAddress: 0x3000, gatewayAddress: 0x3000 },
];

export const FUNCTIONAL_ADDRESS = 0xe400;
export const TESTER_ADDRESS = 0x0e00;

/** Data identifiers that only the demo's ECUs have, with their first value. */
export const DEMO_DATA = {
  serviceInterval: { id: 0xd001, value: "00 96" },
  ambientTemperature: { id: 0xd002, value: "3B" },
} as const;

/** Entities on `address`, each with the ECUs behind it. */
export function demoEntities(address: string, port: number): EntityOptions[] {
  const gateways = DEMO_ECUS.filter((ecu) => ecu.logicalAddress === ecu.gatewayAddress);
  return gateways.map((gateway) => ({
    ...ecuOptions(gateway),
    address,
    port,
    functionalAddress: FUNCTIONAL_ADDRESS,
    ecus: DEMO_ECUS.filter(
      (ecu) => ecu.gatewayAddress === gateway.logicalAddress && ecu.logicalAddress !== gateway.logicalAddress,
    ).map(ecuOptions),
  }));
}

function ecuOptions({ name, logicalAddress }: DemoEcu): EcuOptions {
  const data = new Map(
    Object.values(DEMO_DATA).map(({ id, value }) => [id, { value: fromHex(value)!, writable: true }] as const),
  );
  return { name, logicalAddress, data };
}
