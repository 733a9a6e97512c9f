/**
 * The configuration, whole: one tree that types, loading, environment, flags, sample and documentation are read from. Names and
 * defaults of the Classic Diagnostic Adapter stand unchanged; sections and keys in `OWN` are ours.
 */
import { bool, optional, path, text } from "./leaf.ts";
import { mapOf, partialOf, section } from "./node.ts";
import { COM_PARAMS } from "./schema/com-params.ts";
import { COMPONENTS, DATA, DATABASE, FAULTS, FLAT_BUF, FUNCTIONAL_DESCRIPTION, STRICT } from "./schema/database.ts";
import { SKYBRUSH } from "./schema/devices.ts";
import { LOGGING } from "./schema/logging.ts";
import { PLUGINS } from "./schema/plugins.ts";
import { JOBS, PROCESS, SECURITY, SHARDS, STORE, UPDATE } from "./schema/runtime.ts";
import { COMPAT, HEALTH, HTTP, LIMITS, LOCKS, RUNTIME_UPDATE, SERVER } from "./schema/server.ts";
import { CAN, COMMUNICATION, DISCOVERY, DOIP } from "./schema/transport.ts";

const ecu = section("What differs for one ECU.", {
  ignore_protocol: optional(bool(false, "As `database.ignore_protocol`.", { example: true })),
  protocol: optional(text("", "As `doip.protocol_name`.", { example: "UDS_Ethernet_DoIP_DOBT" })),
  com_params: partialOf("As `[com_params]`, only what differs.", COM_PARAMS),
});

export const SCHEMA = section("Configuration of sovd-edge.", {
  flash_files_path: path(".", "Folder of files that can be flashed.", { flag: "-f, --flash-files-path <folder>" }),
  server: SERVER,
  doip: DOIP,
  database: DATABASE,
  flat_buf: FLAT_BUF,
  functional_description: FUNCTIONAL_DESCRIPTION,
  components: COMPONENTS,
  faults: FAULTS,
  health: HEALTH,
  logging: LOGGING,
  runtime_update_config: RUNTIME_UPDATE,
  strict: STRICT,
  com_params: COM_PARAMS,
  ecu: mapOf("name", "Settings of one ECU.", ecu),
  can: CAN,
  http: HTTP,
  limits: LIMITS,
  shards: SHARDS,
  jobs: JOBS,
  process: PROCESS,
  store: STORE,
  security: SECURITY,
  plugins: PLUGINS,
  update: UPDATE,
  skybrush: SKYBRUSH,
  discovery: DISCOVERY,
  communication: COMMUNICATION,
  data: DATA,
  locks: LOCKS,
  compat: COMPAT,
});

/** Keys that the CDA does not have: whole sections, or single keys inside one of its sections. */
export const OWN: ReadonlySet<string> = new Set([
  "http",
  "limits",
  "shards",
  "jobs",
  "process",
  "store",
  "security",
  "plugins",
  "update",
  "skybrush",
  "discovery",
  "communication",
  "data",
  "locks",
  "compat",
  "doip.protocol_version",
  "doip.tls",
  "logging.level",
  "logging.format",
  "logging.log_file_config.max_bytes",
  "logging.log_file_config.max_files",
]);
