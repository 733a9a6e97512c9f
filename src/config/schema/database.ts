/** Diagnostic databases: where they are, how their names become resource names, what is shown of them. */
import { hexByte } from "#core/bytes.ts";
import { type AffixPosition, DEFAULT_NAMING } from "#mdd/query/naming-convention.ts";
import { bool, bytes, choice, custom, optional, path, record, refuse, text, textList, u64 } from "../leaf.ts";
import { mapOf, section } from "../node.ts";

const POSITIONS = ["Suffix", "Prefix"] as const satisfies readonly AffixPosition[];

/** Stands there once, for the tools that read databases without a configuration as well. */
const {
  shortName,
  longName,
  byService,
  action,
  semantics,
  functionalClassVarcoding,
  canProtocolAliases,
  canProtocolMarkers,
} = DEFAULT_NAMING;

/** Where an affix stands, and the affixes. */
export type ServiceAffixes = readonly [AffixPosition, readonly string[]];

const serviceAffixes = custom<ServiceAffixes>(
  {
    type: "[position, [text]]",
    parse: (raw) => {
      const [place, affixes] = Array.isArray(raw) ? raw : [];
      if (!POSITIONS.includes(place) || !Array.isArray(affixes) || affixes.some((affix) => typeof affix !== "string")) {
        return refuse('a list like ["Suffix", ["_start"]]', raw);
      }
      return [place, affixes];
    },
  },
  ["Suffix", []],
  "Position and texts that are cut off names of services with this SID.",
);

/** SID of a key such as `0x85` or `133`; undefined when it is none. */
export function sidOf(key: string): number | undefined {
  const sid = /^(0x[0-9a-f]+|\d+)$/i.test(key) ? Number(key) : Number.NaN;
  return sid <= 0xff ? sid : undefined;
}

const naming = section("How names of services become names of resources.", {
  short_name_affix_position: choice(POSITIONS, shortName.position, "Which end of a short name is trimmed."),
  short_name_affixes: textList(shortName.affixes, "Texts cut off short names, lower case; the first one that fits."),
  long_name_affix_position: choice(POSITIONS, longName.position, "Which end of a long name is trimmed."),
  long_name_affixes: textList(longName.affixes, "Texts cut off long names, lower case."),
  service_affixes: mapOf(
    "SID",
    "Texts cut off names by service, SID (`0x31` or `49`) to position and texts.",
    serviceAffixes,
    {
      default: Object.fromEntries(
        Object.entries(byService).map(([sid, { position, affixes }]) => [
          `0x${hexByte(Number(sid))}`,
          [position, affixes] as const,
        ]),
      ),
      checkKey: (key) => (sidOf(key) === undefined ? "expected a SID such as 0x31" : undefined),
    },
  ),
  action_affixes: section("Texts added to a resource name to find the service of an action.", {
    position: choice(POSITIONS, action.position, "Which end they are added to."),
    read: text(action.read, "Reading data."),
    write: text(action.write, "Writing configurations."),
    start: text(action.start, "Starting a routine."),
    stop: text(action.stop, "Stopping a routine."),
    request_results: text(action.requestResults, "Results of a routine."),
  }),
  semantics: section("Semantics by which services and parameters are recognised.", {
    data: text(semantics.data, "Data parameters."),
    security: text(semantics.security, "Security access."),
    session: text(semantics.session, "Diagnostic sessions."),
    service_id_rq: text(semantics.serviceIdRq, "SID of a request."),
  }),
  functional_class_varcoding: text(functionalClassVarcoding, "Functional class of configurations."),
  configuration_service_parameter_semantic_id: text("ID", "Semantic of the identifier of configurations.", {
    dead: "nothing reads it, in the CDA neither",
  }),
  can_protocol_aliases: textList(canProtocolAliases, "Protocol names tried in turn for CAN."),
  can_protocol_markers: textList(canProtocolMarkers, "Texts by which `auto-can` recognises a CAN protocol."),
});

export const DATABASE = section("Diagnostic databases (MDD files).", {
  path: path(".", "Folder of MDD files.", { flag: "-d, --databases-path <folder>" }),
  exit_no_database_loaded: bool(false, "End at start when no database could be loaded.", {
    flag: "--exit-no-database-loaded <bool>",
  }),
  fallback_to_base_variant: bool(true, "Use the base variant when no variant matches.", {
    flag: "--fallback-to-base-variant <bool>",
  }),
  ignore_protocol: bool(
    false,
    "Take communication parameters by name, whatever their protocol; for databases with one protocol.",
  ),
  ignore_invalid_mdd: bool(true, "Skip unreadable MDD files instead of ending."),
  naming_convention: naming,
});

export const FLAT_BUF = section("Reading of MDD files.", {
  verify: bool(false, "Verify databases before use.", { dead: "every database is verified once, when it is imported" }),
  ignore_missing_null_terminator: bool(false, "Accept texts without a terminating zero."),
  max_depth: u64(64, "Deepest nesting of tables."),
  max_tables: u64(100_000_000, "Tables per database."),
  max_apparent_size: u64(Number.MAX_SAFE_INTEGER, "Apparent size of a database in bytes."),
  mdd_decompress: bool(false, "Rewrite MDD files without compression.", {
    flag: "--mdd-decompress <bool>",
    dead: "databases are kept without compression in the store; files are never rewritten",
  }),
});

export const FUNCTIONAL_DESCRIPTION = section("Functional groups.", {
  description_database: text("functional_groups", "Name of the database that describes functional groups, exact case."),
  enabled_functional_groups: optional(
    textList([], "Groups that are offered; default all.", { example: ["fgl_uds_ethernet_doip_dobt"] }),
  ),
  protocol_position: choice(POSITIONS, "Suffix", "Which end of a group's name holds the protocol."),
});

const sdCondition = section("Values of one special data that list an ECU in the field.", {
  values: textList([], "Values that count."),
  ignore_case: bool(false, "Whether case matters not."),
});

export const COMPONENTS = section("What the list of components shows.", {
  additional_fields: mapOf(
    "field",
    "Further lists in the answer, filled by special data of the databases; yours are added.",
    mapOf("SD", "Special data by name.", sdCondition),
    {
      default: {
        "x-sovd2uds-can-ecus": { CAN: { values: ["yes"], ignore_case: true } },
        "x-sovd2uds-lin-ecus": { LIN: { values: ["yes"], ignore_case: true } },
      },
    },
  ),
});

export const FAULTS = section("Fault memory.", {
  default_scope: text("FaultMem", "Name of the fault memory's scope."),
  user_memory_scope: text("DevelopmentFaultMemory", "Name of the user-defined fault memory's scope."),
  user_defined_dtc_clear_service: optional(
    bytes([], "Request that clears the user-defined fault memory.", { example: [0x31, 0x01, 0x42, 0x00] }),
  ),
});

const DATA_CATEGORY = /^(identData|currentData|storedData|sysInfo|x-[A-Za-z0-9]+-.+)$/;

function isCategory(_class: string, category: unknown): asserts category is string {
  if (typeof category !== "string" || !DATA_CATEGORY.test(category)) {
    refuse("identData, currentData, storedData, sysInfo or x-<vendor>-<name>", category);
  }
}

export const DATA = section("Data resources.", {
  categories: optional(
    record<string>(
      "{ functional class = category }",
      isCategory,
      {},
      "Category of data by functional class; services without one are hidden. Absent: the semantic of the service, all listed.",
      { example: { identification: "identData", measurement: "currentData" } },
    ),
  ),
});

export const STRICT = section("Strictness.", {
  enabled: bool(false, "Both of the following."),
  parameter_validation: bool(false, "Refuse parameters that a service does not know."),
  ecu_config: bool(false, "End at start when `[ecu.<name>]` names an ECU without database, instead of a warning."),
});
