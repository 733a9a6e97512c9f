/** Logs, and the outputs the CDA has beside them. */
import { atLeast, bool, custom, optional, path, pattern, text, u32, word } from "../leaf.ts";
import { section } from "../node.ts";

const TOKIO = "it belongs to another run-time";

const logFile = section("Log file.", {
  enabled: bool(false, "Write a log file.", { flag: "--file-logging <bool>" }),
  path: path("/var/log/opensovd-cda", "Folder of the log file.", { flag: "--log-file-dir <folder>" }),
  name: text("opensovd-cda.log", "Name of the log file.", { flag: "--log-file-name <name>" }),
  append_enabled: bool(true, "Append to the file at start; false begins a new one."),
  date_format: text("%F %T%.3f", "Time in the log file, strftime."),
  max_bytes: atLeast(65_536, 10_485_760, "Size at which the file is rotated."),
  max_files: u32(5, "Rotated files kept, `name.1` the newest."),
});

const otel = section("OpenTelemetry.", {
  enabled: bool(false, "Export logs to a collector: OTLP over HTTP with JSON."),
  endpoint: text("http://localhost:4317", "OTLP endpoint; port 4317 (gRPC) is taken as 4318 (HTTP)."),
});

const dlt = section("DLT (AUTOSAR diagnostic log and trace).", {
  enabled: bool(true, "Log to the DLT daemon when there is one."),
  app_id: pattern("text of up to 4 ASCII characters", /^[\x20-\x7e]{1,4}$/u, "CDA", "DLT application id."),
  app_description: pattern(
    "text of up to 256 characters",
    /^.{0,256}$/su,
    "Bridges SOVD to UDS for ECU communication.",
    "DLT application description.",
  ),
});

const tokio = section("Console of the CDA's run-time.", {
  server: text("127.0.0.1:6669", "Address.", { dead: TOKIO }),
  // the CDA takes a duration here; what nothing reads may have any form
  retention: custom<unknown>({ type: "duration", parse: (raw) => raw }, "1h", "Retention.", { dead: TOKIO }),
  recording_path: optional(path("", "Recording.", { dead: TOKIO, example: "recording" })),
});

const LEVELS = ["trace", "debug", "info", "warn", "error", "off"] as const;

/** The level of all modules in a directive list such as `info,doip=debug`. Other programs read these variables too: what is no level is passed over. */
function levelOf(directives: string): string | undefined {
  const words = directives.split(",").map((directive) => directive.trim().toLowerCase());
  return words.find((candidate) => LEVELS.some((level) => level === candidate));
}

export const LOGGING = section("Logs.", {
  level: word(LEVELS, "info", "Lowest level that is logged; also `RUST_LOG` or `LOG_LEVEL`.", {
    flag: "--log-level <level>",
    env: { LOG_LEVEL: levelOf, RUST_LOG: levelOf },
  }),
  format: word(["auto", "json", "text"], "auto", "Form on stdout: `auto` is text on a terminal and JSON elsewhere."),
  timestamp_format: text("%T%.3f", "Time of text on stdout, strftime."),
  log_file_config: logFile,
  otel,
  dlt_tracing: dlt,
  tokio_tracing: tokio,
});
