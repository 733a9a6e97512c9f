/** Log records on their way to a plugin: a bounded queue beside the log, so that no sink can hold up or break what it reports on. */
import type { PluginLogRecord } from "./types.ts";

/** Records handed over in one turn of the event loop. */
const RECORDS_PER_TURN = 64;

/** pino's level numbers. */
const LEVELS: Readonly<Record<number, PluginLogRecord["level"]>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

export interface LogQueue {
  /** One line of pino's JSON. Never throws, never waits. */
  write(line: string): void;
  /** Resolves when what waits has been handed over. */
  flushed(): Promise<void>;
}

export interface LogQueueOptions {
  readonly sink: (record: PluginLogRecord) => void | Promise<void>;
  readonly maxRecords: number;
  /** Told once per outage of the sink. */
  readonly onProblem: (error: unknown) => void;
}

export function createLogQueue({ sink, maxRecords, onProblem }: LogQueueOptions): LogQueue {
  let queue: string[] = [];
  let dropped = 0;
  let failing = false;
  let draining: Promise<void> | undefined;

  const hand = async (record: PluginLogRecord) => {
    try {
      await sink(record);
      failing = false;
    } catch (error) {
      if (!failing) {
        failing = true;
        onProblem(error);
      }
    }
  };
  const drain = async () => {
    while (queue.length > 0) {
      await nextTurn();
      const lines = queue.slice(0, RECORDS_PER_TURN);
      queue = queue.slice(RECORDS_PER_TURN);
      for (const line of lines) {
        const record = recordOf(line);
        if (record !== undefined) await hand(record);
      }
      if (dropped > 0) {
        const message = `${dropped} log records were dropped`;
        dropped = 0;
        await hand({ timeMs: Date.now(), level: "warn", scope: "plugins", message, fields: {} });
      }
    }
    draining = undefined;
  };
  return {
    write(line) {
      if (queue.length >= maxRecords) {
        dropped++;
        return;
      }
      queue.push(line);
      draining ??= drain();
    },
    flushed: async () => draining,
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function recordOf(line: string): PluginLogRecord | undefined {
  try {
    const { level, time, scope = "", msg = "", ...fields } = JSON.parse(line) as Record<string, unknown>;
    return {
      timeMs: Number(time),
      level: LEVELS[Number(level)] ?? "info",
      scope: String(scope),
      message: String(msg),
      fields,
    };
  } catch {
    return undefined;
  }
}
