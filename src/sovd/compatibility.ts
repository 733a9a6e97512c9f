/** Every place where this program answers otherwise than the CDA, and where that can be chosen. One table; the docs print it. */
import type { SovdOptions } from "./context.ts";

export interface Deviation {
  readonly subject: string;
  readonly cda: string;
  readonly ours: string;
  /** File below `src/` that holds it. */
  readonly where: string;
  /** Option that brings the other behaviour, when there is one. */
  readonly option?: keyof SovdOptions;
}

export const DEVIATIONS: readonly Deviation[] = [
  // paths, queries, bodies
  {
    subject: "encoded separators",
    cda: "path and query are decoded before they are split: `%2F %3F %23` separate",
    ours: "split first, then decoded: they stay data",
    where: "http/router.ts",
  },
  {
    subject: "case of query parameters",
    cda: "names and values become lower case; names with capitals never match",
    ours: "names and fixed words in any case, other values as sent",
    where: "http/query.ts",
  },
  {
    subject: "base paths",
    cda: "`/vehicle/v15`",
    ours: "the same tree below each configured base",
    where: "http/router.ts",
    option: "basePaths",
  },
  {
    subject: "text answers to bad bodies and queries",
    cda: "400, 415, 422 as text on some routes",
    ours: "the JSON error object everywhere, same statuses",
    where: "http/body.ts",
  },
  { subject: "body too large", cda: "400 or 413 by route", ours: "413", where: "http/collect.ts" },
  {
    subject: "unknown path below an entity",
    cda: "404 with empty body",
    ours: "404 with the JSON error object",
    where: "http/dispatch.ts",
  },
  { subject: "wrong method", cda: "405 without `Allow`", ours: "405 with `Allow`", where: "http/router.ts" },
  { subject: "list in `Accept`", cda: "400", ours: "the first type that we have", where: "http/negotiate.ts" },
  {
    subject: "too many requests",
    cda: "no bound",
    ours: "503 `overloaded` with `Retry-After`; 429 for one client, where its requests are counted",
    where: "http/admission.ts",
  },
  {
    subject: "requests for an ECU that is busy",
    cda: "all wait",
    ours: "as many as `limits.ecu_queue_length` wait, further ones get 503 `overloaded` with `Retry-After`",
    where: "fleet/open-calls.ts",
  },
  {
    subject: "requests before databases are loaded",
    cda: "404",
    ours: "503 with `Retry-After`",
    where: "sovd/guard.ts",
    option: "notReadyStatus",
  },
  // errors
  {
    subject: "lookup and data error texts",
    cda: "details in debug quotes, doubled separators (`Not Found: : …`)",
    ours: "plain text, same codes and statuses",
    where: "sovd/errors.ts",
  },
  {
    subject: "spelling of `preconditions-not-fulfilled`",
    cda: "plural",
    ours: "plural below `/vehicle/…`, singular (ISO) elsewhere",
    where: "sovd/errors.ts",
  },
  {
    subject: "truncated answer of the ECU",
    cda: "400",
    ours: "400; 502 `invalid-response-content` by choice",
    where: "sovd/errors.ts",
    option: "truncatedAnswerStatus",
  },
  // tokens
  {
    subject: "missing token",
    cda: "401 with empty body",
    ours: "401 with the JSON error object and `WWW-Authenticate`",
    where: "sovd/errors.ts",
  },
  { subject: "`expires_in`", cda: "an absolute time", ours: "seconds left", where: "sovd/authorize.ts" },
  {
    subject: "routes without token",
    cda: "fixed",
    ours: "the same, or all but the public ones closed",
    where: "sovd/guard.ts",
    option: "openReads",
  },
  {
    subject: "what the security plugin sees",
    cda: "physical services of the database",
    ours: "every service a client's request would run, on functional groups too, with its facts of the database",
    where: "sovd/permit.ts",
  },
  // locks
  {
    subject: "GET of the vehicle lock",
    cda: "the id is ignored",
    ours: "404 for another id",
    where: "sovd/lock-routes.ts",
  },
  {
    subject: "expiry of 0 or a huge one",
    cda: "0 stops the timer of a standing lock, large values overflow",
    ours: "0 is refused first, large values are capped",
    where: "sovd/locks.ts",
    option: "maxLockExpirationS",
  },
  { subject: "answer to POST locks", cda: "`id`", ours: "`id` and `owned`", where: "sovd/lock-routes.ts" },
  {
    subject: "status of lock collisions",
    cda: "403",
    ours: "403; 409 by choice",
    where: "sovd/locks.ts",
    option: "lockStatus",
  },
  {
    subject: "a stranger's lock on another component",
    cda: "blocks everybody",
    ours: "only the target's lock counts",
    where: "sovd/locks.ts",
  },
  {
    subject: "lock for download and transfer",
    cda: "none",
    ours: "own lock",
    where: "sovd/guard.ts",
    option: "downloadLock",
  },
  {
    subject: "lock for writing data and configurations, genericservice",
    cda: "none",
    ours: "none; own lock by choice",
    where: "sovd/guard.ts",
    option: "dataLock",
  },
  {
    subject: "lock for communication parameters",
    cda: "none, no token",
    ours: "none; own lock and token by choice",
    where: "sovd/guard.ts",
    option: "comParamLock",
  },
  {
    subject: "component locks under a group lock",
    cda: "deleted",
    ours: "deleted; given back afterwards by choice",
    where: "sovd/locks.ts",
    option: "restoreEcuLocks",
  },
  // links and lists
  {
    subject: "host of links",
    cda: "`localhost:20002`, `Vehicle` with capital V",
    ours: "the request's host, lower case",
    where: "sovd/components.ts",
  },
  { subject: "query in links", cda: "ends up in the middle of `href`", ours: "left out", where: "sovd/links.ts" },
  {
    subject: "index of `apps/sovd2uds`",
    cda: "`bulk-data` only",
    ours: "`data` and `operations` too, with indexes of their own",
    where: "sovd/apps.ts",
  },
  {
    subject: "links of a component",
    cda: "those of diagnosis",
    ours: "those of updates too, where `[update.targets]` has it",
    where: "sovd/components.ts",
  },
  {
    subject: "GET of a base path",
    cda: "404",
    ours: "links to the vehicle's collections",
    where: "sovd/vehicle.ts",
  },
  { subject: "`/version-info`", cda: "absent", ours: "served at the root", where: "sovd/version.ts" },
  {
    subject: "flash files",
    cda: "known after the first listing; ids may collide",
    ours: "looked up on demand; colliding ids get a number",
    where: "sovd/flash-files.ts",
  },
  { subject: "ids of embedded files", cda: "new at each load", ours: "stable", where: "sovd/embedded.ts" },
  {
    subject: "categories of data",
    cda: "the service's semantic, all listed",
    ours: "the same; by functional class when configured, others hidden",
    where: "sovd/data.ts",
    option: "dataCategories",
  },
  {
    subject: "configurations",
    cda: "`configurations_type`, `x-sovd2uds-ServiceAbstract`",
    ours: "also `type`, `x-sovd2uds-serviceAbstract`",
    where: "sovd/data.ts",
  },
  // services
  { subject: "genericservice, empty body", cda: "500", ours: "400", where: "sovd/generic.ts" },
  {
    subject: "genericservice, refusal of the ECU",
    cda: "200",
    ours: "200; 502 by choice",
    where: "sovd/generic.ts",
    option: "genericRefusalStatus",
  },
  { subject: "methods of modes", cda: "PUT", ours: "PUT and POST", where: "sovd/modes.ts" },
  {
    subject: "mode `authentication`",
    cda: "absent",
    ours: "served beside the list (service 0x29)",
    where: "sovd/modes.ts",
  },
  {
    subject: "names of reset",
    cda: "`operations/reset`",
    ours: "also `operations/ecureset`, `status/reset`, `status/restart`",
    where: "sovd/reset.ts",
    option: "restartService",
  },
  // operations
  {
    subject: "`timeout` of an execution",
    cda: "ignored",
    ours: "shortens the wait (seconds)",
    where: "sovd/operations.ts",
  },
  {
    subject: "parameters of an asynchronous start",
    cda: "kept, not returned",
    ours: "in the 202",
    where: "sovd/operations.ts",
  },
  {
    subject: "status of an execution",
    cda: "`running` until DELETE, so a second POST is 409",
    ours: "`completed` once results came; then POST is allowed, and GET answers what is stored while a newer one runs",
    where: "sovd/executions.ts",
  },
  {
    subject: "`x-sovd2uds-suppressService`",
    cda: "cannot be given",
    ours: "works on executions: nothing is sent",
    where: "sovd/operations.ts",
  },
  {
    subject: "overrides of communication parameters",
    cda: "without effect, accumulate over executions",
    ours: "in force while the execution exists; one per component (409)",
    where: "sovd/comparam-registry.ts",
  },
  { subject: "`GET operations/comparam`", cda: "absent", ours: "the parameters in force", where: "sovd/comparams.ts" },
  // faults
  {
    subject: "scope of faults",
    cda: "`UserMem` in GET, `DevelopmentFaultMemory` in DELETE",
    ours: "both names in both",
    where: "sovd/faults.ts",
    option: "faultScopes",
  },
  { subject: "`status[mask]`", cda: "ignored", ours: "hex mask, OR-ed with the bits", where: "sovd/faults.ts" },
  {
    subject: "`memorySelection`, `include-snapshot`",
    cda: "cannot be given",
    ours: "work, beside `memory-selection` and `include-snapshot-data`",
    where: "sovd/faults.ts",
  },
  {
    subject: "DTCs in the ECU's memory that the database does not know",
    cda: "left out",
    ours: "listed, named by their code",
    where: "ecu/calls/faults.ts",
  },
  {
    subject: "well-formed DTC that the database does not know",
    cda: "400",
    ours: "400; 404 by choice",
    where: "sovd/faults.ts",
    option: "unknownFaultStatus",
  },
  // download
  {
    subject: "block of a flash transfer that the ECU refuses",
    cda: "counted as acknowledged",
    ours: "`aborted`, the NRC in `error`",
    where: "ecu/flash-transfer.ts",
  },
  {
    subject: "DELETE of a flash transfer",
    cda: "the id is ignored, anybody may",
    ours: "404 for another id, 403 for another user",
    where: "sovd/transfers.ts",
  },
  {
    subject: "flash transfer and its lock",
    cda: "outlives the lock",
    ours: "aborted when the lock goes",
    where: "sovd/wiring.ts",
  },
  { subject: "second flash transfer", cda: "400", ours: "409", where: "sovd/transfers.ts" },
  // functional groups
  {
    subject: "names of functional groups",
    cda: "without the name of the protocol",
    ours: "in full; the short name of the configured protocol's group answers too",
    where: "fleet/catalog.ts",
  },
  {
    subject: "octet-stream sent to functional groups",
    cda: "400",
    ours: "taken, when the answer may be JSON",
    where: "sovd/functions.ts",
  },
  {
    subject: "`Location` of a group's execution",
    cda: "`…/executions/executions/<id>`",
    ours: "`…/executions/<id>`",
    where: "sovd/group-operations.ts",
  },
  {
    subject: "pointers of failed ECUs in group modes",
    cda: "`/parameters/<ecu>`",
    ours: "`/modes/<ecu>`",
    where: "sovd/functions.ts",
  },
  { subject: "ECUs that fail a group's start", cda: "dropped", ours: "in `errors`", where: "sovd/group-operations.ts" },
  { subject: "unknown service of a group", cda: "200 with errors", ours: "404", where: "sovd/functions.ts" },
  {
    subject: "members that cannot be reached",
    cda: "left out",
    ours: "left out; a data error each by choice",
    where: "sovd/group-answer.ts",
    option: "unreachableMembers",
  },
  { subject: "no functional description", cda: "500", ours: "empty list, 404", where: "sovd/guard.ts" },
  // documents and update
  {
    subject: "documents of operations",
    cda: "promise PUT on executions, which there is not",
    ours: "only what is served",
    where: "ecu/calls/docs.ts",
  },
  {
    subject: "OpenAPI document",
    cda: "many routes missing",
    ours: "made from the route table, all routes; components as a parameter",
    where: "http/openapi.ts",
  },
  {
    subject: "store without databases",
    cda: "`database.path` is served until the first apply, which then replaces all; an applied empty set ends at the next start",
    ours: "filled from `database.path` at the first start; an applied empty set stays empty",
    where: "store/import-databases.ts",
  },
  {
    subject: "deletion of a pending database that is not there",
    cda: "404, and a pending copy stays",
    ours: "404, nothing changed",
    where: "update/pending-set.ts",
  },
  {
    subject: "uploaded databases",
    cda: "taken one by one: good ones stay beside a bad one; no file: 500, and an empty pending set",
    ours: "a request is one unit, verified before anything is stored; no file, a name twice, a broken stream: 400",
    where: "update/pending-set.ts",
  },
  { subject: "upload larger than the limit", cda: "400", ours: "413", where: "http/upload-stream.ts" },
  {
    subject: "names of databases",
    cda: "may hold `../`; texts name the server's path",
    ours: "400 for anything that is no plain file name; no path in a text",
    where: "update/file-names.ts",
  },
  {
    subject: "older databases",
    cda: "taken",
    ours: "400, remembered over deletion, unless `[update] allow_downgrade`",
    where: "update/verifier.ts",
  },
  {
    subject: "retrieval of databases",
    cda: "impossible",
    ours: "as an option",
    where: "sovd/runtime-files.ts",
    option: "databaseDownload",
  },
  {
    subject: "paths and bodies of the database update",
    cda: "`operations/runtimefilesupdate`, `parameters.mode`",
    ours: "also `operations/diagnostic-database-update` and below `runtimefiles-nextupdate`; also `mode`",
    where: "sovd/runtime-executions.ts",
  },
  {
    subject: "unknown execution of the database update",
    cda: "404 with empty body",
    ours: "404 with the JSON error object",
    where: "sovd/runtime-executions.ts",
  },
  {
    subject: "finished flash transfers at a database update",
    cda: "block it until they are deleted",
    ours: "the same, or not",
    where: "sovd/database-update.ts",
    option: "finishedTransfersBlock",
  },
  {
    subject: "executions of groups at a database update",
    cda: "not counted",
    ours: "block it like those of components",
    where: "sovd/database-update.ts",
  },
  {
    subject: "update that does not load",
    cda: "set before it is loaded, pending set and backup are lost",
    ours: "all three sets as before; `failed` with a `reason` that says what is active",
    where: "update/change-set.ts",
  },
  {
    subject: "restart during a database update",
    cda: "no execution any more; a set that does not load stays",
    ours: "the execution is still there, ended; a set that does not load is taken back",
    where: "update/change-set.ts",
  },
  {
    subject: "while databases are switched",
    cda: "409 for everything, health included, from start to end of an update",
    ours: "409 only in the switch, for what talks to an ECU or changes something",
    where: "sovd/guard.ts",
  },
  // the vehicle's side
  {
    subject: "search for gateways",
    cda: "asked once; gateways connected one after the other; one that failed is lost until it speaks",
    ours: "asked again while one is missing; connected side by side; tried again",
    where: "doip/discovery.ts",
  },
  {
    subject: "subnet of gateways",
    cda: "bits of the tester's net must be set: 11.x passes for 10.x",
    ours: "the same net",
    where: "doip/ipv4.ts",
  },
  {
    subject: "gateway at a new address",
    cda: "never found again",
    ours: "the connection follows the newest announcement",
    where: "doip/connection.ts",
  },
  {
    subject: "IPv6 gateways",
    cda: "ignored",
    ours: "ignored, unless `discovery.ipv6` says otherwise",
    where: "doip/families.ts",
  },
  {
    subject: "further action and sync status of announcements",
    cda: "ignored",
    ours: "0x10 activates with type 0xE0, with 0x00 where that is refused; unsynchronised entities are asked again for 5 s",
    where: "doip/sync-watch.ts",
  },
  { subject: "routing activation code 0x11", cda: "an error", ours: "success", where: "doip/tables.ts" },
  {
    subject: "alive check",
    cda: "sends responses, answers no request, takes silence for life",
    ours: "sends response and request, answers requests; silence of an entity that answered before is a lost connection",
    where: "doip/alive.ts",
  },
  {
    subject: "half-open and broken connections",
    cda: "found out by the next failing write; undecodable bytes are skipped",
    ours: "two silent requests or a broken stream end the connection",
    where: "doip/connection.ts",
  },
  {
    subject: "diagnostic messages of ECUs",
    cda: "never acknowledged",
    ours: "acknowledged, as `doip.send_diagnostic_message_ack` says",
    where: "doip/connection.ts",
  },
  {
    subject: "diagnostic NACK",
    cda: "repeats by code are ignored",
    ours: "repeated by code and period",
    where: "doip/channel.ts",
  },
  {
    subject: "0x21, 0x78, 0x94 that do not end",
    cda: "Timeout; `Disabled` cannot be read",
    ours: "the refusal itself; `Disabled` can be set",
    where: "uds/client.ts",
  },
  {
    subject: "what counts as an answer",
    cda: "echo of four services; pending of any service; a foreign frame opens the window anew",
    ours: "echo of every service; pending of this service; a foreign frame changes nothing",
    where: "uds/match.ts",
  },
  {
    subject: "functional answers",
    cda: "the first frame of each ECU",
    ours: "matched per ECU; 0x78 keeps its window open",
    where: "uds/functional.ts",
  },
  {
    subject: "tracked session and security",
    cda: "kept over disconnect and reset",
    ours: "cleared when the ECU comes back, was silent longer than S3, or was reset",
    where: "ecu/ecu.ts",
  },

  // configuration, logs, service
  {
    subject: "broken configuration file",
    cda: "defaults, even for a file that was named",
    ours: "ends the start, with every problem's line and column",
    where: "config/load.ts",
  },
  {
    subject: "unknown and dead keys",
    cda: "passed over in silence",
    ours: "a warning each",
    where: "config/resolve.ts",
  },
  {
    subject: "variables of the environment",
    cda: "`CDASERVER.PORT` alone",
    ours: "also `CDA_SERVER__PORT` and `SOVD_EDGE_SERVER__PORT`",
    where: "config/env.ts",
  },
  {
    subject: "log file at start",
    cda: "truncated, never rotated, `date_format` unused",
    ours: "appended to unless `append_enabled = false`, rotated, with `date_format`",
    where: "telemetry/log-file.ts",
  },
  {
    subject: "log level",
    cda: "`RUST_LOG` alone",
    ours: "also `logging.level`, `LOG_LEVEL` and a flag",
    where: "config/schema/logging.ts",
  },
  {
    subject: "service manager",
    cda: "`READY=1` only with a watchdog, and early; no `STOPPING=1`",
    ours: "`READY=1` when the program serves; `WATCHDOG=1` in half the period until all that was up has a part that failed; `STOPPING=1`",
    where: "telemetry/systemd.ts",
  },
];

/** The table as the page `docs/compatibility.md`. */
export function renderCompatibility(): string {
  const rows = DEVIATIONS.map(
    ({ subject, cda, ours, where, option }) =>
      `| ${[subject, cda, ours, option === undefined ? "" : `\`${option}\``, `\`src/${where}\``].map(cell).join(" | ")} |`,
  );
  return [
    "# Where this program answers otherwise than the CDA",
    "",
    "Made from `src/sovd/compatibility.ts`; do not edit. Everything not listed is meant to be the same.",
    "",
    "| subject | CDA | here | option | where |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
