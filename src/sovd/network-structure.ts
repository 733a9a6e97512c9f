/** Gateways, functional groups and their ECUs, as main knows them from the shards' events. */
import { formatAddress } from "#core/bytes.ts";
import { type Static, Type } from "#core/schema.ts";
import { type EcuView, type Fleet, type GatewayView, membersOf } from "#fleet/api.ts";

const EcuEntry = Type.Object({
  Qualifier: Type.String(),
  Variant: Type.String(),
  EcuState: Type.String(),
  LogicalAddress: Type.String(),
  LogicalLink: Type.String(),
});
type EcuEntry = Static<typeof EcuEntry>;

export const NetworkStructure = Type.Object({
  id: Type.Literal("networkstructure"),
  data: Type.Array(
    Type.Object({
      FunctionalGroups: Type.Array(Type.Object({ Qualifier: Type.String(), Ecus: Type.Array(EcuEntry) })),
      Gateways: Type.Array(
        Type.Object({
          Name: Type.String(),
          NetworkAddress: Type.String(),
          LogicalAddress: Type.String(),
          Ecus: Type.Array(EcuEntry),
        }),
      ),
    }),
  ),
});

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
export function networkStructure(fleet: Pick<Fleet, "ecus" | "gateways" | "groups">): Static<typeof NetworkStructure> {
  const FunctionalGroups = fleet.groups.map((group) => ({
    Qualifier: group,
    Ecus: membersOf(fleet, group).map(entryOf),
  }));
  const Gateways = fleet.gateways.map((gateway: GatewayView) => ({
    Name: gateway.name,
    NetworkAddress: gateway.ip ?? "",
    LogicalAddress: formatAddress(gateway.logicalAddress),
    Ecus: fleet.ecus.filter((ecu) => ecu.gatewayAddress === gateway.logicalAddress).map(entryOf),
  }));
  return { id: "networkstructure", data: [{ FunctionalGroups, Gateways }] };
}
