/** The HTTP side: where it listens, its limits, how close it keeps to the CDA. */
import { atLeast, bool, choice, optional, path, text, textList, u16, u32, u64 } from "../leaf.ts";
import { section } from "../node.ts";

const MIB = 1_048_576;

export const SERVER = section("Where the HTTP server listens.", {
  address: text("0.0.0.0", "IP address to listen on.", { flag: "--listen-address <ip>" }),
  port: u16(20_002, "TCP port to listen on; 0 takes any free one.", { flag: "--listen-port <port>" }),
});

export const HTTP = section("The HTTP server beyond address and port.", {
  base_paths: textList(
    ["/vehicle/v15", "/sovd/v1", "/api/v1"],
    "Paths that the SOVD resources are mounted at. The first one is used in links that no request names.",
  ),
  request_timeout_ms: atLeast(
    1,
    30_000,
    "Longest time for a request, then 408. Uploads have `update.upload_timeout_ms` instead.",
  ),
  max_body_bytes: atLeast(1, 2 * MIB, "Largest body of a request outside uploads, then 413."),
  max_header_bytes: atLeast(1_024, 16_384, "Largest head of a request, then 431."),
  max_connections: atLeast(1, 1_024, "Open connections; more are closed at once."),
  event_heartbeat_ms: atLeast(
    100,
    15_000,
    "Silence after which a client of server-sent events gets a comment; one that takes nothing for four times as long is let go.",
  ),
  trust_forwarded: bool(true, "Take the host of links from `Forwarded` and `X-Forwarded-Host`."),
  cors_origins: textList([], "Origins that browsers may call from; none by default."),
  tls_certificate: optional(
    path("", "PEM file of the certificate chain; with `tls_key`: HTTPS.", { example: "server.pem" }),
  ),
  tls_key: optional(path("", "PEM file of the private key.", { example: "server.key" })),
  tls_ca: optional(
    path("", "PEM file of the CAs that client certificates must come from; then one is demanded.", {
      example: "clients.pem",
    }),
  ),
});

export const LIMITS = section("Bounds of memory and work. Refusals show in `sovd_http_requests_total` by status.", {
  in_flight_requests: atLeast(1, 1_024, "Requests being worked on; more get 503 with Retry-After."),
  turn_ms: atLeast(
    1,
    250,
    "Under load, requests behind so much work of one turn of the event loop get 503 with Retry-After. A busy turn or a machine that stalls is far shorter.",
  ),
  upload_buffer_bytes: atLeast(
    MIB,
    64 * MIB,
    "Bytes of all uploads together that wait in memory to be stored. Senders are paused long before; a connection that brings more nevertheless is closed, and its upload may go on with what is stored.",
  ),
  client_requests_per_second: u32(0, "Requests of one client address per second, more get 429; 0: not counted."),
  counted_clients: atLeast(1, 1_024, "Client addresses whose requests are counted; the oldest goes first."),
  ecu_queue_length: atLeast(1, 64, "Requests waiting for one ECU; more get 503 with Retry-After."),
  ecu_queue_length_overloaded: atLeast(
    1,
    1,
    "The same from a refusal until the ECU has nothing to do and nobody was refused for 250 ms, or hardly anyone for a second: in a queue that stays full everyone waits for its whole length.",
  ),
  ecu_queue_wait_ms: atLeast(1, 10_000, "Longest wait of a request for its turn at the ECU, then 504."),
  gateway_queue_bytes: atLeast(4_096, MIB, "Bytes waiting for one gateway's socket; more fail the request."),
  doip_message_bytes: atLeast(
    4_096,
    4 * MIB,
    "Largest DoIP message that is accepted; a larger one closes the connection.",
  ),
  json_depth: atLeast(1, 64, "Deepest nesting of a JSON body."),
  ended_executions: atLeast(1, 16, "Ended executions kept per operation; the oldest goes first."),
  token_cache_entries: u32(1_024, "Verified tokens remembered; 0 verifies each one again."),
  plan_cache_bytes: atLeast(65_536, 8 * MIB, "Compiled services kept per database and shard."),
  metric_series: atLeast(1, 1_000, "Label combinations kept per metric; more are counted under `other`."),
});

export const COMPAT = section("Where the CDA and ISO 17978-3 differ. The defaults are the CDA's.", {
  value_shape: choice(
    ["cda", "iso"],
    "cda",
    "Structures in JSON: flattened into the parent as the CDA does, or nested.",
  ),
  lock_status: choice(["cda", "iso"], "cda", "Status of colliding locks: 403 as the CDA, or 409."),
  comparam_lock: bool(false, "Whether changing communication parameters needs a lock."),
  download_lock: bool(true, "Whether downloads and flash transfers need a lock of the caller."),
  write_lock: bool(false, "Whether writing data, configurations and generic services needs a lock of the caller."),
  unready_status: choice([503, 404], 503, "Status of vehicle paths while databases are loading."),
  truncated_status: choice([400, 502], 400, "Status of a truncated answer of an ECU."),
  unknown_dtc_status: choice([400, 404], 400, "Status for a well-formed DTC that the database does not know."),
  generic_service_nrc_status: choice([200, 502], 200, "Status of a negative answer to a generic service."),
  restart_service: text("HardReset", "Reset service that `status/restart` runs when the request names none."),
  group_unreachable: choice(
    ["silent", "error"],
    "silent",
    "Unreachable members of a group: left out, or a data error each.",
  ),
  finished_transfers_block: bool(
    true,
    "Whether a finished flash transfer that was not deleted blocks a database update.",
  ),
});

export const LOCKS = section("Locks.", {
  restore_ecu_locks: bool(false, "Give ECU locks back that a functional lock of the same owner had replaced."),
  max_expiration_secs: atLeast(1, 3_153_600_000, "Longest life of a lock; larger wishes are cut."),
});

export const HEALTH = section("Health.", { enabled: bool(true, "Whether `/health` and `/health/ready` exist.") });

export const RUNTIME_UPDATE = section("Update of the diagnostic databases at run time.", {
  storage_dir: path(".", "Folder of the store, and of an older folder store that is taken over once."),
  upload_body_limit_bytes: u64(52_428_800, "Largest upload of databases."),
  retry_after_seconds: u64(1, "Retry-After of an answer that the store is busy."),
  init_storage_from_database_path: bool(false, "Fill an empty store from `database.path`.", {
    dead: "an empty store is always filled from database.path at the first start",
  }),
});
