/** Gateways, functional groups and their ECUs, as main knows them from the shards' events. */
import { formatAddress } from "#core/bytes.ts";
import type { EcuView, Fleet, GatewayView } from "#fleet/api.ts";

interface EcuEntry {
  readonly Qualifier: string;
  readonly Variant: string;
  readonly EcuState: string;
  readonly LogicalAddress: string;
  readonly LogicalLink: string;
}

interface NetworkStructure {
  readonly id: "networkstructure";
  readonly data: readonly [
    {
      readonly FunctionalGroups: readonly { readonly Qualifier: string; readonly Ecus: readonly EcuEntry[] }[];
      readonly Gateways: readonly {
        readonly Name: string;
        readonly NetworkAddress: string;
        readonly LogicalAddress: string;
        readonly Ecus: readonly EcuEntry[];
      }[];
    },
  ];
}

function entryOf(ecu: EcuView): EcuEntry {
  return {
    Qualifier: ecu.name,
    Variant: ecu.variant ?? (ecu.isBaseVariant ? "BaseVariant" : "Unknown"),
    EcuState: ecu.state,
    LogicalAddress: formatAddress(ecu.logicalAddress),
    LogicalLink: `${ecu.name}_on_${ecu.protocol}`,
  };
}

/** The whole structure; `data` always has one element. */
export function networkStructure(fleet: Pick<Fleet, "ecus" | "gateways" | "groups">): NetworkStructure {
  const FunctionalGroups = fleet.groups.map((group) => ({
    Qualifier: group,
    Ecus: fleet.ecus.filter((ecu) => ecu.groups.includes(group)).map(entryOf),
  }));
  const Gateways = fleet.gateways.map((gateway: GatewayView) => ({
    Name: gateway.name,
    NetworkAddress: gateway.ip ?? "",
    LogicalAddress: formatAddress(gateway.logicalAddress),
    Ecus: fleet.ecus.filter((ecu) => ecu.gatewayAddress === gateway.logicalAddress).map(entryOf),
  }));
  return { id: "networkstructure", data: [{ FunctionalGroups, Gateways }] };
}
