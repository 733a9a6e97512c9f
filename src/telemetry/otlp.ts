/** Log lines to an OpenTelemetry collector: OTLP over HTTP with JSON, `POST <endpoint>/v1/logs` (OpenTelemetry protocol 1.3). */
import { JSON_TYPE } from "#core/media-types.ts";
import { PRODUCT, VERSION } from "#core/version.ts";

/** Lines held back for one request; more are dropped, so that a dead collector costs no memory. */
const MAX_WAITING = 1_024;
const BATCH_MS = 1_000;
const REQUEST_TIMEOUT_MS = 5_000;
/** gRPC has the first port, HTTP the second; the CDA's default names the first. */
const PORTS = { grpc: "4317", http: "4318" } as const;

/** pino's level → OTLP severity number. */
const SEVERITY: Readonly<Record<number, readonly [number, string]>> = {
  10: [1, "TRACE"],
  20: [5, "DEBUG"],
  30: [9, "INFO"],
  40: [13, "WARN"],
  50: [17, "ERROR"],
  60: [21, "FATAL"],
};

export interface OtlpOptions {
  readonly endpoint: string;
  readonly fetch?: typeof fetch;
  readonly batchMs?: number;
}

export interface OtlpStream {
  write(line: string): void;
  readonly dropped: number;
  /** Sends what waits. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export function openOtlp(options: OtlpOptions): OtlpStream {
  const url = logsUrl(options.endpoint);
  const post = options.fetch ?? fetch;
  let waiting: string[] = [];
  let dropped = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const flush = async () => {
    if (timer !== undefined) clearTimeout(timer);
    timer = undefined;
    const lines = waiting;
    waiting = [];
    if (lines.length === 0) return;
    try {
      const response = await post(url, {
        method: "POST",
        headers: { "content-type": JSON_TYPE },
        body: JSON.stringify(logsRequest(lines)),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      if (!response.ok) dropped += lines.length;
    } catch {
      dropped += lines.length;
    }
  };

  return {
    get dropped() {
      return dropped;
    },
    write(line) {
      if (waiting.length >= MAX_WAITING) {
        dropped++;
        return;
      }
      waiting.push(line);
      timer ??= setTimeout(() => void flush(), options.batchMs ?? BATCH_MS).unref();
    },
    flush,
    close: flush,
  };
}

/** Where logs go: the endpoint's gRPC port becomes that of OTLP over HTTP. */
export function logsUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.port === PORTS.grpc) url.port = PORTS.http;
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/logs`;
  return url.href;
}

/** The request of some lines of pino. */
export function logsRequest(lines: readonly string[]): unknown {
  const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });
  return {
    resourceLogs: [
      {
        resource: { attributes: [attribute("service.name", PRODUCT), attribute("service.version", VERSION)] },
        scopeLogs: [{ scope: { name: PRODUCT }, logRecords: lines.map(logRecord) }],
      },
    ],
  };
}

function logRecord(line: string) {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const [severityNumber, severityText] = SEVERITY[Number(level)] ?? SEVERITY[30]!;
  return {
    timeUnixNano: `${Number(time)}000000`,
    severityNumber,
    severityText,
    body: { stringValue: String(msg ?? "") },
    attributes: Object.entries(fields).map(([key, value]) => ({
      key,
      value: { stringValue: typeof value === "string" ? value : JSON.stringify(value) },
    })),
  };
}
