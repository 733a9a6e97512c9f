/** `database.naming_convention` of the configuration, and what it is where nothing else is said. */

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
