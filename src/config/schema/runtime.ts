/** Sections of our own: processes and memory, store, tokens, software update. */
import {
  atLeast,
  bool,
  choice,
  choiceList,
  optional,
  path,
  pattern,
  record,
  text,
  textList,
  u32,
  u64,
} from "../leaf.ts";
import { mapOf, section } from "../node.ts";
import { AJOUR } from "./devices.ts";
import { MDNS } from "./mdns.ts";

const GIB = 1_073_741_824;
const MIB = 1_048_576;

export const STORE = section("The store (LMDB): databases, state, images. It has one process only.", {
  path: text("", "Folder of the store; empty: `.sovd-edge` in `runtime_update_config.storage_dir`.", {
    flag: "--store <folder>",
  }),
  max_bytes: section("Largest size on disk of each part of the store.", {
    databases: atLeast(16 * MIB, 2 * GIB, "Diagnostic databases."),
    state: atLeast(16 * MIB, 256 * MIB, "Records, audit, campaigns."),
    bulk: atLeast(16 * MIB, 4 * GIB, "Images and uploads."),
  }),
  max_mapped_bytes: atLeast(MIB, 512 * MIB, "Largest value kept in one piece; larger ones are read in chunks."),
  max_upload_bytes: atLeast(MIB, 2 * GIB, "Largest image or bulk data that is taken."),
});

export const SHARDS = section("Worker threads that talk to the vehicle.", {
  workers: u32(0, "Number of shards; 0: one per core, at most 2."),
  max_heap_mib: atLeast(16, 64, "Heap of one shard; beyond it the shard is restarted."),
  max_young_heap_mib: atLeast(1, 4, "Part of the heap for short-lived objects; more is faster and takes more memory."),
  restart_delay_ms: u64(
    100,
    "Pause before a shard that died again is started; the first death has none, each further one doubles it.",
  ),
  max_restarts_per_minute: u32(5, "Restarts in a minute after which health is Failed."),
});

export const JOBS = section("The thread for slow work: import, hashing, unpacking, export.", {
  parallel_load_tasks: atLeast(1, 1, "Databases imported at a time."),
  max_heap_mib: atLeast(32, 256, "Heap of the thread."),
  idle_timeout_ms: u64(10_000, "The thread ends after so much time without work."),
});

export const PROCESS = section("The process.", {
  max_young_heap_mib: atLeast(1, 4, "Part of the main thread's heap for short-lived objects."),
  stage_timing: bool(
    false,
    "Measure where the time of requests goes and show it in `/metrics`; costs a few µs per request.",
  ),
  shutdown_timeout_ms: u64(10_000, "Time that running requests get at the end."),
});

const ALGORITHMS = [
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
] as const;

export const SECURITY = section("Tokens and rights.", {
  mode: choice(
    ["development", "jwt", "plugin"],
    "development",
    "`development`: anyone gets a token. `jwt`: tokens of your identity provider. `plugin`: your module decides.",
    { flag: "--security-mode <mode>" },
  ),
  token_lifetime_secs: atLeast(1, 86_400, "Life of a token of mode `development`."),
  algorithms: choiceList(
    ALGORITHMS,
    ["RS256", "PS256", "ES256", "HS256"],
    "Signature algorithms accepted in mode `jwt`, as far as a key for them is given.",
  ),
  secret: optional(text("", "Shared secret of HS algorithms.", { secret: true, example: "at least 32 bytes" })),
  public_key: optional(
    path("", "PEM file of the public key or certificate of RS, PS or ES algorithms.", { example: "issuer.pem" }),
  ),
  jwks_url: optional(
    text("", "URL of the key set; asked again for an unknown key id.", { example: "https://idp.example/jwks.json" }),
  ),
  jwks_timeout_ms: atLeast(1, 5_000, "Longest wait for the key set."),
  jwks_cooldown_ms: u64(30_000, "Shortest time between two questions for the key set."),
  jwks_max_age_ms: u64(600_000, "Age at which the key set is asked for again."),
  issuer: optional(text("", "`iss` that tokens must have.", { example: "https://idp.example" })),
  audience: textList([], "`aud` values of which tokens must have one; empty: not checked."),
  update_rights: textList(
    [],
    "Rights of which a token of mode `jwt` must state one (claim `scope`, `scp`, `roles` or `role`) to change updates, bulk data or databases; empty: any token may.",
  ),
  clock_tolerance_secs: u32(60, "Tolerance for `exp` and `nbf` of mode `jwt`."),
  max_token_bytes: atLeast(256, 8_192, "Longest token that is looked at."),
  plugin: optional(path("", "ES module of mode `plugin`.", { example: "./security-plugin.mjs" })),
  open_reads: bool(
    true,
    "Some reads and communication parameters need no token, as in the CDA; false demands one everywhere but at `/health`, `/version-info` and `authorize`.",
  ),
});

const TARGET = section("A target of updates.", {
  provider: text("slot", "`slot`, `command`, `uds-flash`, `sovd-secondary`, or the kind of the module in `provider`."),
  hardware_id: optional(text("", "Hardware id that its images must name.", { example: "body-mcu-r3" })),
  serial: optional(text("", "Serial number.", { example: "ECU-S-00042" })),
  settings: record<unknown>(
    "table",
    () => undefined,
    {},
    "What the module in `update.provider` wants to know of the target, as it likes.",
  ),
  reset_reason: optional(
    text(
      "",
      "Data of the ECU that tells why it was last reset, and behind a slash where in the answer (JSON pointer; without: `/data`). The health check fails when the same reason is read after two resets.",
      { example: "ResetReason/data/reason" },
    ),
  ),
  timeout_ms: atLeast(100, 600_000, "Longest run of one program."),
  folder: optional(path("", "`slot`, `command`: folder of its own.", { example: "/var/lib/app" })),
  activate: textList([], "`slot`: program and arguments to run after the switch."),
  health: textList([], "`slot`: program and arguments that end with 0 when the new software is well."),
  trial_starts: u32(1, "`slot`: starts of this program that a trial survives."),
  recipe: optional(path("", "`uds-flash`: TOML file of the flash sequence.", { example: "recipes/body.toml" })),
  key_module: optional(path("", "`uds-flash`: ES module that makes the key of a seed.", { example: "./body-key.mjs" })),
  url: optional(
    text("", "`sovd-secondary`: base path of the other server.", { example: "http://10.2.1.2:20002/api/v1" }),
  ),
  token: optional(
    text("", "`sovd-secondary`: token for it; default: that of the section.", { secret: true, example: "…" }),
  ),
  remote_component: optional(text("", "`sovd-secondary`: name of the component there.", { example: "compute" })),
  prepare: textList(
    [],
    "`command`: program and arguments; `{file}`, `{version}`, `{previous}`, `{component}` are filled.",
  ),
  execute: textList([], "`command`: the same, to install."),
  verify: textList([], "`command`: the same, to check."),
  commit: textList([], "`command`: the same, to keep it."),
  rollback: textList([], "`command`: the same, to go back."),
  version: textList([], "`command`: the same; writes the installed version to its standard output."),
});

export const UPDATE = section("Software update (`/updates`) and retrieval of databases.", {
  enabled: bool(true, "Whether `/updates` exists."),
  role: choice(
    ["standalone", "primary", "secondary"],
    "standalone",
    "`primary` relays to secondaries, `secondary` takes packages from a primary.",
  ),
  allow_download: bool(false, "Allow to retrieve databases."),
  implicit_prepare: bool(true, "Execute prepares first when that was not asked for; false answers 409."),
  verify: choice(
    ["required", "optional", "none"],
    "optional",
    "Signatures of packages: demanded, checked where present, or not looked at.",
  ),
  trusted_keys: textList([], "PEM files of the keys that may sign packages."),
  trusted_root: optional(
    path("", "`root.json` of a TUF repository (Uptane's image repository) whose metadata is believed.", {
      example: "/etc/sovd-edge/root.json",
    }),
  ),
  allow_downgrade: bool(false, "Accept an older version than the installed one."),
  allow_expired: bool(false, "Begin with a package whose metadata expired after it was prepared."),
  verify_databases: choice(["required", "optional", "none"], "none", "Signatures of uploaded databases, as `verify`."),
  database_verifier: optional(
    path("", "ES module that judges uploaded databases, beside `verify_databases`.", { example: "./verifier.mjs" }),
  ),
  normalise_names: bool(false, "Name uploaded databases after their ECU, so that each ECU has one file."),
  parallel_uploads: atLeast(
    1,
    16,
    "Uploads of bulk data by clients at a time, each with 4 MiB of memory; more get 503 with Retry-After.",
  ),
  parallel_uploads_per_client: optional(
    atLeast(
      1,
      8,
      "The same for one client, which is the subject of a token; more get 429 with Retry-After. Absent: half of them.",
      { example: 8 },
    ),
  ),
  upload_timeout_ms: atLeast(1_000, 300_000, "Longest upload of databases or bulk data, transfer included."),
  drain_timeout_ms: u64(1_000, "Longest wait for running requests before databases are switched."),
  provider: optional(path("", "ES module that installs packages.", { example: "./update-provider.mjs" })),
  abandon_timeout_ms: atLeast(
    10,
    60_000,
    "How long a call of that module may go on after it was aborted, until it is left behind and the next one made.",
  ),
  secondaries: textList([], "Base URLs of the secondaries of a primary."),
  primary: optional(
    text("", "Base URL of the primary of a secondary.", { example: "https://10.2.1.1:20002/vehicle/v15" }),
  ),
  hardware_id: pattern(
    "text of up to 128 characters",
    /^.{0,128}$/su,
    "",
    "Hardware id that packages must name; empty: not checked.",
  ),
  health_timeout_ms: u64(
    60_000,
    "Time in which an update must prove healthy before it is rolled back, and an ECU be found after a start.",
  ),
  status_interval_ms: atLeast(10, 1_000, "Period of progress questions to secondaries."),
  component: text("", "Name of this node among the components; empty: it is none."),
  serial: text("", "Serial number of this node."),
  vin: pattern(
    "17 letters and digits, or none",
    /^([A-HJ-NPR-Z0-9]{17})?$/u,
    "",
    "VIN for the RXSWIN report; empty: as the vehicle's DoIP entities announce it.",
  ),
  repository: optional(
    text("", "Base URL of the update server: `{id}/manifest.json` and the images it names.", {
      example: "https://updates.example/vehicle",
    }),
  ),
  token: optional(text("", "Token for the secondaries.", { secret: true, example: "…" })),
  tls_ca: optional(path("", "PEM file of the CA of the secondaries.", { example: "vehicle-ca.pem" })),
  tls_certificate: optional(path("", "PEM file of our certificate for them.", { example: "primary.pem" })),
  tls_key: optional(path("", "PEM file of its key.", { example: "primary-key.pem" })),
  targets: mapOf("component", "Who installs on a component.", TARGET),
  soak_ms: u64(10_000, "Time for which a target must be healthy without a break before the verdict."),
  health_interval_ms: atLeast(10, 1_000, "Period of the health check."),
  health_min_polls: atLeast(1, 3, "Clean answers in a row that a health check needs at least."),
  health_max_faults: u32(0, "New faults of a target that are let pass."),
  health_max_severity: u32(0, "Faults of a greater number (1 is worst) do not count; 0: all count."),
  prepare_timeout_ms: atLeast(100, 3_600_000, "Longest preparation of a campaign."),
  execute_timeout_ms: atLeast(100, 3_600_000, "Longest time from execute to the verdict."),
  commit_timeout_ms: atLeast(100, 300_000, "How long a silent target is asked to commit before all go back."),
  rollback_timeout_ms: atLeast(100, 3_600_000, "How long a target may take to go back before it needs service."),
  verdict_timeout_ms: atLeast(
    100,
    7_200_000,
    "Time after which a secondary without a verdict goes back by itself, whatever its primary asks for; no less than `execute_timeout_ms` and `commit_timeout_ms` of the primary together.",
  ),
  retry_ms: atLeast(10, 1_000, "Pause before a silent target is asked again; it doubles up to 32 times as much."),
  service_retry_ms: atLeast(
    100,
    60_000,
    "Pause before a target that could not go back is tried again; up to 32 times as long for one that refuses it each time.",
  ),
  max_parallel: atLeast(1, 4, "Targets that prepare, or execute, at the same time."),
  max_restarts: u32(2, "Restarts of the program in the middle of an execution before it is given up."),
  max_packages: atLeast(1, 1_000, "Packages that may be registered."),
  max_files: atLeast(1, 10_000, "Files of bulk data."),
  max_subscriptions: atLeast(1, 64, "Cyclic subscriptions, and as many triggers."),
  max_status_subscribers: atLeast(1, 64, "Clients that follow a status by server-sent events."),
  mdns: MDNS,
  ajour: AJOUR,
  max_audit_records: atLeast(100, 10_000, "Records of the audit chain that are kept; older ones leave an anchor."),
  audit_key: optional(
    path("", "PEM file of an Ed25519 private key that signs heads of the audit chain; absent: they are not signed.", {
      example: "/etc/sovd-edge/audit.pem",
    }),
  ),
});
