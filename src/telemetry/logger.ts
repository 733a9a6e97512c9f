/** The log of the whole process: pino on the main thread, to which workers send their records as plain data. */
import { join } from "node:path";
import { type DestinationStream, destination, type Level, type Logger, multistream, pino } from "pino";
import type { Config } from "#config/types.ts";
import { openDlt } from "./dlt.ts";
import { type LogFile, openLogFile } from "./log-file.ts";
import { openOtlp } from "./otlp.ts";
import { textLine } from "./text-lines.ts";

/** A record of a worker. */
export interface LogRecord {
  readonly level: "trace" | "debug" | "info" | "warn" | "error";
  /** Which part of the program speaks: `doip`, `ecu`, … */
  readonly scope: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

export interface Log {
  readonly logger: Logger;
  /** A logger whose records carry the scope. */
  scope(name: string): Logger;
  /** Writes a worker's record. */
  record(record: LogRecord): void;
  readonly level: string;
  /** `trace` … `error` or `off`, from now on. */
  setLevel(level: string): void;
  /** From now on `write` takes every line of pino's JSON that the level lets pass; it must neither wait nor throw. */
  addSink(write: (line: string) => void): () => void;
  /** Records lost since the start, by where they were to go. */
  readonly dropped: Readonly<Record<LogSink, number>>;
  /** Opens the log file anew (SIGHUP after logrotate). */
  reopen(): void;
  close(): Promise<void>;
}

export const LOG_SINKS = ["stdout", "dlt", "otlp"] as const;
export type LogSink = (typeof LOG_SINKS)[number];

export interface LogTargets {
  /** Default: the process's stdout. */
  readonly stdout?: DestinationStream & { readonly isTTY?: boolean };
}

/** Lines that a stalled reader of stdout may hold back; what comes then is dropped, so that no request waits for a log. */
const STDOUT_BUFFER_BYTES = 1_048_576;
const SILENT = "silent";
const pinoLevel = (level: string): string => (level === "off" ? SILENT : level);

/** The log of the configuration's `[logging]`. Throws when the log file cannot be opened. */
export function createLogger(config: Config["logging"], targets: LogTargets = {}): Log {
  const pipe = targets.stdout === undefined && !process.stdout.isTTY ? openPipe() : undefined;
  const stdout = targets.stdout ?? pipe ?? process.stdout;
  let unread = 0;
  pipe?.on("drop", () => unread++);
  const file = openFile(config, (error) => stdout.write(`log file: ${error.message}\n`));
  const streams: DestinationStream[] = [stdoutStream(config, stdout)];
  if (file !== undefined) streams.push(fileStream(config, file));
  const { dlt_tracing, otel: otlp } = config;
  const dlt = dlt_tracing.enabled
    ? openDlt({ application: dlt_tracing.app_id, description: dlt_tracing.app_description })
    : undefined;
  if (dlt !== undefined) streams.push(dlt);
  const collector = otlp.enabled ? openOtlp({ endpoint: otlp.endpoint }) : undefined;
  if (collector !== undefined) streams.push(collector);
  const sinks = new Set<(line: string) => void>();
  streams.push({
    write: (line) => {
      for (const write of sinks) write(line);
    },
  });
  const all = multistream(streams.map((stream) => ({ stream, level: "trace" as Level })));
  const logger = pino(
    { level: pinoLevel(config.level), base: null, serializers: { error: pino.stdSerializers.err } },
    all,
  );
  return {
    logger,
    scope: (name) => logger.child({ scope: name }),
    record: ({ level, scope, message, fields }) => logger[level]({ ...fields, scope }, message),
    get dropped() {
      return { stdout: unread, dlt: dlt?.dropped ?? 0, otlp: collector?.dropped ?? 0 };
    },
    get level() {
      return logger.level === SILENT ? "off" : logger.level;
    },
    setLevel: (level) => {
      logger.level = pinoLevel(level);
    },
    addSink: (write) => {
      sinks.add(write);
      return () => sinks.delete(write);
    },
    reopen: () => file?.reopen(),
    close: async () => {
      await collector?.close();
      dlt?.close();
      file?.close();
      if (pipe !== undefined) await ended(pipe);
    },
  };
}

/** A reader that has stalled must not keep the program from ending. */
const END_TIMEOUT_MS = 1_000;

/** Lines that are still on their way go out in their order: a synchronous flush could overtake a write under way. */
function ended(pipe: ReturnType<typeof destination>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, END_TIMEOUT_MS);
    pipe.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    pipe.end();
  });
}

function openPipe(): ReturnType<typeof destination> {
  return destination({ dest: process.stdout.fd, sync: false, maxLength: STDOUT_BUFFER_BYTES });
}

function stdoutStream(config: Config["logging"], stdout: DestinationStream & { isTTY?: boolean }): DestinationStream {
  const isTerminal = stdout.isTTY === true;
  const isText = config.format === "text" || (config.format === "auto" && isTerminal);
  if (!isText) return stdout;
  const form = { timeFormat: config.timestamp_format, colour: isTerminal && process.env.NO_COLOR === undefined };
  return { write: (line) => stdout.write(textLine(line, form)) };
}

function openFile({ log_file_config }: Config["logging"], onError: (error: Error) => void): LogFile | undefined {
  if (!log_file_config.enabled) return undefined;
  return openLogFile({
    path: join(log_file_config.path, log_file_config.name),
    append: log_file_config.append_enabled,
    maxBytes: log_file_config.max_bytes,
    maxFiles: log_file_config.max_files,
    onError,
  });
}

function fileStream({ log_file_config }: Config["logging"], file: LogFile): DestinationStream {
  const form = { timeFormat: log_file_config.date_format, colour: false };
  return { write: (line) => file.write(textLine(line, form)) };
}
