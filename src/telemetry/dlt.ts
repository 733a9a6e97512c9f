/** Log lines to the DLT daemon through the FIFO it listens on. Never waits: what the daemon does not take is dropped and counted. */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { uptime } from "node:os";
import {
  type DltIdentity,
  type DltLevel,
  encodeLog,
  encodeRegisterApplication,
  encodeRegisterContext,
  encodeUnregisterApplication,
} from "./dlt-codec.ts";

/** Contexts and which parts of the program speak in them. */
export const DLT_CONTEXTS = {
  MAIN: { description: "Entry point and initialisation", scopes: ["main", "config", "systemd"] },
  CORE: { description: "ECUs, variant detection", scopes: ["fleet", "shard", "ecu", "detection"] },
  DOIP: { description: "DoIP communication", scopes: ["doip", "discovery"] },
  UDS: { description: "UDS protocol", scopes: ["uds"] },
  DB: { description: "Diagnostic databases", scopes: ["database", "store", "update"] },
  SOVD: { description: "SOVD interface", scopes: ["http", "sovd", "security"] },
} as const;
export type DltContext = keyof typeof DLT_CONTEXTS;

const CONTEXT_OF: ReadonlyMap<string, DltContext> = new Map(
  Object.entries(DLT_CONTEXTS).flatMap(([context, { scopes }]) =>
    scopes.map((scope) => [scope, context as DltContext] as const),
  ),
);

/** pino's numbers. */
const LEVEL_OF: ReadonlyMap<number, DltLevel> = new Map([
  [10, "verbose"],
  [20, "debug"],
  [30, "info"],
  [40, "warn"],
  [50, "error"],
  [60, "fatal"],
]);

const DAEMON_FIFO = "/tmp/dlt";
/** A daemon that is not there is looked for again after this time, when there is something to say. */
const RETRY_MS = 5_000;
const TICKS_PER_SECOND = 10_000;

export interface DltOptions {
  readonly application: string;
  readonly description: string;
  /** Default: where dlt-daemon of Linux distributions listens. */
  readonly fifo?: string;
  readonly pid?: number;
  readonly now?: () => number;
}

export interface DltStream {
  write(line: string): void;
  readonly dropped: number;
  close(): void;
}

/** A destination for pino's lines. Works whether or not a daemon is there, and when it comes and goes. */
export function openDlt(options: DltOptions): DltStream {
  const identity: DltIdentity = { application: options.application, pid: options.pid ?? process.pid };
  const now = options.now ?? Date.now;
  const counters = new Map<DltContext, number>();
  let descriptor: number | undefined;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let dropped = 0;

  const leave = () => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
  };
  const send = (message: Buffer): boolean => {
    if (descriptor === undefined) return false;
    try {
      writeSync(descriptor, message);
      return true;
    } catch (error) {
      // A full FIFO loses this line; anything else means that the daemon is gone.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") leave();
      return false;
    }
  };
  const connect = () => {
    if (descriptor !== undefined || now() - triedAtMs < RETRY_MS) return;
    triedAtMs = now();
    try {
      descriptor = openSync(options.fifo ?? DAEMON_FIFO, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      return;
    }
    // The folder is open to everyone: whatever else someone put in the FIFO's place is not written to.
    if (!fstatSync(descriptor).isFIFO()) {
      leave();
      return;
    }
    send(encodeRegisterApplication(identity, options.description));
    for (const [position, [context, { description }]] of Object.entries(DLT_CONTEXTS).entries()) {
      send(encodeRegisterContext(identity, context, position, description));
    }
  };

  return {
    get dropped() {
      return dropped;
    },
    write(line) {
      connect();
      const { context, level, text } = readLine(line);
      const counter = counters.get(context) ?? 0;
      counters.set(context, counter + 1);
      const record = { context, level, text, counter, uptime: Math.floor(uptime() * TICKS_PER_SECOND) };
      if (!send(encodeLog(identity, record))) dropped++;
    },
    close() {
      send(encodeUnregisterApplication(identity));
      leave();
    },
  };
}

/** What a line of pino says, in DLT's terms; fields stand behind the message as JSON. */
export function readLine(line: string): { context: DltContext; level: DltLevel; text: string } {
  const { level, time: _, scope, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return {
    context: CONTEXT_OF.get(String(scope)) ?? "MAIN",
    level: LEVEL_OF.get(Number(level)) ?? "info",
    text: `${msg ?? ""}${rest}`,
  };
}
