/**
 * What an application writes to the DLT daemon: user messages (dlt-daemon 2.18, recorded with strace) around log messages of the DLT
 * protocol, version 1 (AUTOSAR PRS Diagnostic Log and Trace, 5.1). Integers of user messages are in host order, of headers big-endian.
 */

const USER_PATTERN = "DUH\u0001";
const USER_HEADER_BYTES = 8;
const USER_MESSAGE = {
  log: 1,
  registerApplication: 2,
  unregisterApplication: 3,
  registerContext: 4,
  unregisterContext: 5,
} as const;

/** Levels of DLT; `off` and `default` are not for messages. */
export const DLT_LEVELS = { fatal: 1, error: 2, warn: 3, info: 4, debug: 5, verbose: 6 } as const;
export type DltLevel = keyof typeof DLT_LEVELS;

/** HTYP: extended header, ECU id, session id, timestamp; version 1. */
const HEADER_TYPE = 0x01 | 0x04 | 0x08 | 0x10 | 0x20;
const STANDARD_HEADER_BYTES = 16;
const EXTENDED_HEADER_BYTES = 10;
/** MSIN: verbose mode; message type 0 is a log message. */
const VERBOSE = 0x01;
const TYPE_STRING = 0x0200;
const ID_BYTES = 4;
/** The daemon decides. */
const LEVEL_DEFAULT = -2;
/** A write of at most this many bytes into a FIFO is not torn apart by another writer (POSIX PIPE_BUF on Linux). */
const MAX_MESSAGE_BYTES = 4_096;
/** Identifier that the daemon replaces by its own. */
const ECU_ID = "ECU1";

export interface DltIdentity {
  /** At most four ASCII characters. */
  readonly application: string;
  readonly pid: number;
}

function message(type: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(USER_HEADER_BYTES + bytes);
  buffer.write(USER_PATTERN, 0, "latin1");
  buffer.writeUInt32LE(type, ID_BYTES);
  return buffer;
}

function writeId(buffer: Buffer, id: string, at: number): void {
  buffer.write(id.slice(0, ID_BYTES), at, "latin1");
}

export function encodeRegisterApplication({ application, pid }: DltIdentity, description: string): Buffer {
  const text = Buffer.from(description, "latin1");
  const buffer = message(USER_MESSAGE.registerApplication, 12 + text.length);
  writeId(buffer, application, USER_HEADER_BYTES);
  buffer.writeInt32LE(pid, USER_HEADER_BYTES + 4);
  buffer.writeUInt32LE(text.length, USER_HEADER_BYTES + 8);
  text.copy(buffer, USER_HEADER_BYTES + 12);
  return buffer;
}

export function encodeUnregisterApplication({ application, pid }: DltIdentity): Buffer {
  const buffer = message(USER_MESSAGE.unregisterApplication, 8);
  writeId(buffer, application, USER_HEADER_BYTES);
  buffer.writeInt32LE(pid, USER_HEADER_BYTES + 4);
  return buffer;
}

/** `position`: number of the context in this application. */
export function encodeRegisterContext(
  { application, pid }: DltIdentity,
  context: string,
  position: number,
  description: string,
): Buffer {
  const text = Buffer.from(description, "latin1");
  const buffer = message(USER_MESSAGE.registerContext, 22 + text.length);
  writeId(buffer, application, USER_HEADER_BYTES);
  writeId(buffer, context, USER_HEADER_BYTES + 4);
  buffer.writeInt32LE(position, USER_HEADER_BYTES + 8);
  buffer.writeInt8(LEVEL_DEFAULT, USER_HEADER_BYTES + 12);
  buffer.writeInt8(LEVEL_DEFAULT, USER_HEADER_BYTES + 13);
  buffer.writeInt32LE(pid, USER_HEADER_BYTES + 14);
  buffer.writeUInt32LE(text.length, USER_HEADER_BYTES + 18);
  text.copy(buffer, USER_HEADER_BYTES + 22);
  return buffer;
}

export interface DltRecord {
  readonly context: string;
  readonly level: DltLevel;
  readonly text: string;
  /** Running number of the context's messages, 0…255. */
  readonly counter: number;
  /** Since the machine started, in units of 0.1 ms. */
  readonly uptime: number;
}

/** A log message with one text; a text that does not fit is cut. */
export function encodeLog({ application, pid }: DltIdentity, record: DltRecord): Buffer {
  const headers = STANDARD_HEADER_BYTES + EXTENDED_HEADER_BYTES;
  const room = MAX_MESSAGE_BYTES - USER_HEADER_BYTES - headers - 7;
  const text = Buffer.from(record.text, "utf8").subarray(0, room);
  const length = headers + 6 + text.length + 1;
  const buffer = message(USER_MESSAGE.log, length);
  let at = USER_HEADER_BYTES;
  buffer[at++] = HEADER_TYPE;
  buffer[at++] = record.counter & 0xff;
  at = buffer.writeUInt16BE(length, at);
  writeId(buffer, ECU_ID, at);
  at = buffer.writeUInt32BE(pid, at + ID_BYTES);
  at = buffer.writeUInt32BE(record.uptime >>> 0, at);
  buffer[at++] = (DLT_LEVELS[record.level] << 4) | VERBOSE;
  buffer[at++] = 1;
  writeId(buffer, application, at);
  writeId(buffer, record.context, at + ID_BYTES);
  at = buffer.writeUInt32LE(TYPE_STRING, at + 2 * ID_BYTES);
  at = buffer.writeUInt16LE(text.length + 1, at);
  text.copy(buffer, at);
  return buffer;
}
