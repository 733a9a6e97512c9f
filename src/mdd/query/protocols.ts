import { Fault } from "#core/errors.ts";
import { type Database, each, memoised, reading } from "./database.ts";
import { functionalGroupsOf, layersOf, variantsOf } from "./layers.ts";

/** Which protocol of a database is used: `doip.protocol_name`, `ignore_protocol` or their per-ECU values. */
export interface ProtocolChoice {
  /** Short name in any case, or `auto-can`. */
  readonly name: string;
  /** Take the only protocol of the database, or none if it has none. */
  readonly ignore?: boolean;
}

/** Name that asks for the first protocol that looks like CAN. */
const AUTO_CAN = "auto-can";

/** Short names of the protocols a database knows: of the variants' parents, the functional groups', then of com params. */
export function protocolsOf(database: Database): readonly string[] {
  return memoised(database, "protocols", () =>
    reading("Protocol", () => {
      const scopes = [...variantsOf(database), ...functionalGroupsOf(database)];
      const layers = scopes.flatMap((scope) => layersOf(database, scope));
      const parents = layers.filter(({ kind }) => kind === "Protocol").map(({ name }) => name);
      const named = layers.flatMap(({ diagLayer }) =>
        each(
          diagLayer.comParamRefsLength(),
          (i) => diagLayer.comParamRefs(i)?.protocol()?.diagLayer()?.shortName() ?? null,
        ),
      );
      return distinct([...parents, ...named].filter((name) => name !== ""));
    }),
  );
}

/**
 * The protocol to use, spelled as in the database; undefined: the protocol does not matter (`ignore`).
 * @throws Fault misconfigured when the database has no such protocol, or several where it should not matter
 */
export function chooseProtocol(database: Database, { name, ignore }: ProtocolChoice): string | undefined {
  const known = protocolsOf(database);
  const { canProtocolAliases: aliases, canProtocolMarkers: markers } = database.naming;
  const wanted = name.toUpperCase();
  const called = (alias: string) => known.find((protocol) => protocol.toUpperCase() === alias.toUpperCase());
  if (ignore && known.length <= 1) return undefined;
  const exact = called(name);
  if (exact !== undefined) return exact;
  const isCan = (protocol: string) => markers.some((marker) => protocol.toUpperCase().includes(marker.toUpperCase()));
  const can =
    name.toLowerCase() === AUTO_CAN
      ? known.find(isCan)
      : aliases.some((alias) => alias.toUpperCase() === wanted)
        ? aliases.map(called).find((protocol) => protocol !== undefined)
        : undefined;
  if (can !== undefined) return can;
  const reason = ignore ? "has several protocols, so the protocol cannot be ignored" : "has no such protocol";
  throw new Fault(
    "misconfigured",
    `Protocol '${name}': database of ${database.ecuName} ${reason}: ${known.join(", ")}`,
  );
}

/** Each name once, in any case, spelled as it came first. */
function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const name of names) if (!seen.has(name.toLowerCase())) seen.set(name.toLowerCase(), name);
  return [...seen.values()];
}
