import { type AffixList, type AffixPosition, DEFAULT_NAMING, type NamingConvention } from "./naming-convention.ts";

/** `database.naming_convention` as configured. */
export interface NamingSettings {
  readonly short_name_affix_position: AffixPosition;
  readonly short_name_affixes: readonly string[];
  readonly long_name_affix_position: AffixPosition;
  readonly long_name_affixes: readonly string[];
  /** SID as `0x31` or `49`. */
  readonly service_affixes: Readonly<Record<string, readonly [AffixPosition, readonly string[]]>>;
  readonly action_affixes: {
    readonly position: AffixPosition;
    readonly read: string;
    readonly write: string;
    readonly start: string;
    readonly stop: string;
    readonly request_results: string;
  };
  readonly semantics: {
    readonly data: string;
    readonly security: string;
    readonly session: string;
    readonly service_id_rq: string;
  };
  readonly functional_class_varcoding: string;
  readonly can_protocol_aliases: readonly string[];
  readonly can_protocol_markers: readonly string[];
}

/** The convention that settings describe. */
export function namingConvention(settings: NamingSettings): NamingConvention {
  const { action_affixes: action, semantics } = settings;
  return {
    shortName: { position: settings.short_name_affix_position, affixes: settings.short_name_affixes },
    longName: { position: settings.long_name_affix_position, affixes: settings.long_name_affixes },
    byService: Object.fromEntries(
      Object.entries(settings.service_affixes).map(([sid, [position, affixes]]): [number, AffixList] => [
        Number(sid),
        { position, affixes },
      ]),
    ),
    action: {
      position: action.position,
      read: action.read,
      write: action.write,
      start: action.start,
      stop: action.stop,
      requestResults: action.request_results,
    },
    semantics: {
      data: semantics.data,
      security: semantics.security,
      session: semantics.session,
      serviceIdRq: semantics.service_id_rq,
    },
    functionalClassVarcoding: settings.functional_class_varcoding,
    functionalClassFlash: DEFAULT_NAMING.functionalClassFlash,
    canProtocolAliases: settings.can_protocol_aliases,
    canProtocolMarkers: settings.can_protocol_markers,
  };
}
