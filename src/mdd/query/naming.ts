/** Where an affix stands in a name. */
export type AffixPosition = "Prefix" | "Suffix";

/** Affixes in order of preference; the first that fits is cut off, in any case. */
export interface AffixList {
  readonly position: AffixPosition;
  readonly affixes: readonly string[];
}

/** What an affix says a caller wants to do with a service. */
export type ServiceAction = "read" | "write" | "start" | "stop" | "requestResults";

/** How names of diagnostic services become resource ids and back: `database.naming_convention` of the configuration. */
export interface NamingConvention {
  readonly shortName: AffixList;
  readonly longName: AffixList;
  /** By service identifier; takes the place of `shortName` for modes and operations. */
  readonly byService: Readonly<Record<number, AffixList>>;
  readonly action: { readonly position: AffixPosition } & Readonly<Record<ServiceAction, string>>;
  readonly semantics: {
    readonly data: string;
    readonly security: string;
    readonly session: string;
    readonly serviceIdRq: string;
  };
  readonly functionalClassVarcoding: string;
  readonly functionalClassFlash: string;
  readonly canProtocolAliases: readonly string[];
  readonly canProtocolMarkers: readonly string[];
}

const SHORT_NAME_AFFIXES: readonly string[] = [
  "_read",
  "_write",
  "_read_dump",
  "_write_dump",
  "_dump",
  "_read_func",
  "_write_func",
  "_read_dump_func",
  "_write_dump_func",
  "_dump_func",
  "_control_func",
  "_control",
];

const ROUTINE_AFFIXES: readonly string[] = [
  "_start",
  "_stop",
  "_requestresults",
  "_start_func",
  "_stop_func",
  "_requestresults_func",
];

/** The convention of the Classic Diagnostic Adapter. */
export const DEFAULT_NAMING: NamingConvention = {
  shortName: { position: "Suffix", affixes: SHORT_NAME_AFFIXES },
  longName: { position: "Suffix", affixes: SHORT_NAME_AFFIXES.map((affix) => affix.replaceAll("_", " ")) },
  byService: {
    133: { position: "Prefix", affixes: ["DTC_Setting_Mode_"] },
    49: { position: "Suffix", affixes: ROUTINE_AFFIXES },
  },
  action: {
    position: "Suffix",
    read: "_Read",
    write: "_Write",
    start: "_Start",
    stop: "_Stop",
    requestResults: "_RequestResults",
  },
  semantics: { data: "DATA", security: "SECURITY", session: "SESSION", serviceIdRq: "SERVICEIDRQ" },
  functionalClassVarcoding: "varcoding",
  functionalClassFlash: "flash_download_upload",
  canProtocolAliases: ["UDS_CAN", "ISO_11898_2_DWCAN", "ISO_11898_3_DWFTCAN", "CAN", "ISO_15765_2", "ISO_15765_3"],
  canProtocolMarkers: ["CAN", "ISO_11898"],
};

/** `name` without the first affix of the list that fits; a name that is nothing but the affix stays whole. */
export function trimAffix(name: string, { position, affixes }: AffixList): string {
  const lower = name.toLowerCase();
  for (const affix of affixes) {
    const wanted = affix.toLowerCase();
    if (wanted === "" || wanted.length >= lower.length) continue;
    if (position === "Suffix" && lower.endsWith(wanted)) return name.slice(0, -wanted.length);
    if (position === "Prefix" && lower.startsWith(wanted)) return name.slice(wanted.length);
  }
  return name;
}

/** Resource id of a service: its short name, case kept, without the affix of its SID or else the general one. */
export function trimServiceName(naming: NamingConvention, shortName: string, sid: number | undefined): string {
  const own = sid === undefined ? undefined : naming.byService[sid];
  return trimAffix(shortName, own ?? naming.shortName);
}

/** The short name a caller means who names `name` and wants to do `action` with it. */
export function withAction(naming: NamingConvention, name: string, action: ServiceAction): string {
  const affix = naming.action[action];
  return naming.action.position === "Suffix" ? name + affix : affix + name;
}

/** Name of a functional group as the API shows it: lower case, without the protocol's name and the underscore that joins it. */
export function functionalGroupId(name: string, protocol: string | undefined, position: AffixPosition): string {
  const lower = name.toLowerCase();
  if (protocol === undefined || protocol === "") return lower;
  const joined = position === "Suffix" ? `_${protocol}` : `${protocol}_`;
  return trimAffix(lower, { position, affixes: [joined, protocol] });
}
