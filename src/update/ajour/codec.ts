/**
 * Messages of the drogue-ajour protocol (types of the crate `embedded-update`) and their two CBOR forms: *named* with field and variant
 * names, *packed* with their index. Decoders take both, also mixed; encoders write every field, null for none, in the order below.
 */
import { type EncodeOptions, encode } from "cborg";
import { Fault, reasonOf } from "#core/errors.ts";
import { CborReader, invalid } from "./cbor-reader.ts";

/** What a device says of itself. Versions are bytes: any form, compared as they are. */
export interface Status {
  readonly version: Uint8Array;
  /** Block size it wants, bytes. */
  readonly mtu?: number | undefined;
  /** Copied into every answer. */
  readonly correlationId?: number | undefined;
  /** Software it is receiving, and the offset it expects next. */
  readonly update?: { readonly version: Uint8Array; readonly offset: number } | undefined;
}

interface Addressed {
  readonly correlationId?: number | undefined;
}

/** What the server answers. `pollS`: seconds until the device asks again. */
export type Command =
  | (Addressed & { readonly type: "wait"; readonly pollS?: number | undefined })
  | (Addressed & { readonly type: "sync"; readonly version: Uint8Array; readonly pollS?: number | undefined })
  | (Addressed & {
      readonly type: "write";
      readonly version: Uint8Array;
      readonly offset: number;
      readonly data: Uint8Array;
    })
  | (Addressed & { readonly type: "swap"; readonly version: Uint8Array; readonly checksum: Uint8Array });

export type Encoding = "named" | "packed";

const STATUS_FIELDS = ["version", "mtu", "correlation_id", "update"] as const;
const UPDATE_FIELDS = ["version", "offset"] as const;
/** Variants and their fields, in the order of their index. */
const COMMANDS = [
  { type: "wait", name: "Wait", fields: ["correlation_id", "poll"] },
  { type: "sync", name: "Sync", fields: ["version", "correlation_id", "poll"] },
  { type: "write", name: "Write", fields: ["version", "correlation_id", "offset", "data"] },
  { type: "swap", name: "Swap", fields: ["version", "correlation_id", "checksum"] },
] as const;
const COMMAND_NAMES = COMMANDS.map(({ name }) => name);

type Values = Readonly<Record<string, Uint8Array | number | undefined>>;
type Cbor = Map<string | number, unknown>;

/** Fields stay in the order they are written in. */
const IN_ORDER: EncodeOptions = { mapSorter: () => 0 };

export function encodeStatus({ version, mtu, correlationId, update }: Status, encoding: Encoding): Uint8Array {
  const inner = update === undefined ? null : struct(UPDATE_FIELDS, { ...update }, encoding);
  const values = { version, mtu, correlation_id: correlationId };
  const status = struct(STATUS_FIELDS, values, encoding);
  status.set(encoding === "named" ? "update" : STATUS_FIELDS.indexOf("update"), inner);
  return encode(status, IN_ORDER);
}

/** @throws Fault invalidData */
export function decodeStatus(bytes: Uint8Array): Status {
  const reader = new CborReader(bytes);
  reader.skipSelfDescription();
  const status: Mutable<Status> = { version: NONE };
  reader.struct(STATUS_FIELDS, (index) => {
    const field = STATUS_FIELDS[index]!;
    if (field === "version") status.version = reader.bytes();
    else if (field === "update") status.update = reader.optional(() => readUpdate(reader));
    else if (field === "mtu") status.mtu = reader.optional(() => reader.u32());
    else status.correlationId = reader.optional(() => reader.u32());
  });
  reader.end();
  if (status.version === NONE) throw invalid("field version is missing");
  return status;
}

export function encodeCommand(command: Command, encoding: Encoding): Uint8Array {
  const index = COMMANDS.findIndex(({ type }) => type === command.type);
  const { name, fields } = COMMANDS[index]!;
  const { correlationId, ...own } = command;
  const poll = "pollS" in own ? own.pollS : undefined;
  const values = { ...own, correlation_id: correlationId, poll } as unknown as Values;
  return encode(new Map([[encoding === "named" ? name : index, struct(fields, values, encoding)]]), IN_ORDER);
}

/** @throws Fault invalidData */
export function decodeCommand(bytes: Uint8Array): Command {
  const reader = new CborReader(bytes);
  const command = reader.variant(COMMAND_NAMES, (variant) => readCommand(reader, COMMANDS[variant]!));
  reader.end();
  return command;
}

function readCommand(reader: CborReader, { type, fields }: (typeof COMMANDS)[number]): Command {
  const found: Record<string, unknown> = { type };
  reader.struct(fields, (index) => {
    const field = fields[index]!;
    if (field === "correlation_id") found.correlationId = reader.optional(() => reader.u32());
    else if (field === "poll") found.pollS = reader.optional(() => reader.u32());
    else found[field] = field === "offset" ? reader.u32() : reader.bytes();
  });
  const missing = fields.find((field) => field !== "correlation_id" && field !== "poll" && !(field in found));
  if (missing !== undefined) throw invalid(`field ${missing} is missing`);
  return found as unknown as Command;
}

function readUpdate(reader: CborReader): NonNullable<Status["update"]> {
  let version: Uint8Array | undefined;
  let offset: number | undefined;
  reader.struct(UPDATE_FIELDS, (index) => {
    if (UPDATE_FIELDS[index] === "version") version = reader.bytes();
    else offset = reader.u32();
  });
  if (version === undefined || offset === undefined) throw invalid("field version or offset of update is missing");
  return { version, offset };
}

function struct(fields: readonly string[], values: Values, encoding: Encoding): Cbor {
  const map: Cbor = new Map();
  for (const [index, field] of fields.entries()) map.set(encoding === "named" ? field : index, values[field] ?? null);
  return map;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
/** Told apart from an empty version by identity. */
const NONE = new Uint8Array(0);

const utf8 = new TextDecoder("utf-8", { fatal: true });
const OPEN_OBJECT = 0x7b;
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** A status in any form: CBOR, or the JSON of the protocol's description. @throws Fault invalidData */
export function readStatus(bytes: Uint8Array): Status {
  const first = bytes.find((byte) => !BLANKS.has(byte));
  return first === OPEN_OBJECT ? decodeJsonStatus(bytes) : decodeStatus(bytes);
}

function decodeJsonStatus(bytes: Uint8Array): Status {
  // the protocol's description calls the member `status`; devices that are built by it would begin anew without end
  const { version, mtu, correlation_id, status, update = status } = parse(bytes);
  return {
    version: textBytes(version),
    mtu: jsonU32(mtu),
    correlationId: jsonU32(correlation_id),
    update: update === undefined || update === null ? undefined : jsonUpdate(update),
  };
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  try {
    return JSON.parse(utf8.decode(bytes)) as Record<string, unknown>;
  } catch (error) {
    throw invalid(reasonOf(error));
  }
}

function jsonUpdate(value: unknown): NonNullable<Status["update"]> {
  const { version, offset } = value as Record<string, unknown>;
  const at = jsonU32(offset);
  if (at === undefined) throw invalid("field offset of update is missing");
  return { version: textBytes(version), offset: at };
}

function textBytes(value: unknown): Uint8Array {
  if (typeof value !== "string") throw invalid("field version is no text");
  return Buffer.from(value);
}

function jsonU32(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const whole = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
  if (!whole) throw new Fault("invalidData", "No drogue-ajour message: a whole number of 32 bits is expected");
  return value;
}
