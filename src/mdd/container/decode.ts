import type { Cursor } from "./cursor.ts";
import { contentOf, invalid, readVarint, readWindow, skipField, textOf } from "./cursor.ts";
import type { ContainerLimits } from "./limits.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Chunk, FieldSpec, MddContainer, MessageSpec } from "./messages.ts";
import { CHUNK_TYPE, MAGIC, MDD_FILE, WIRE, wireTypeOf } from "./messages.ts";

export interface DecodeOptions {
  readonly limits?: Partial<ContainerLimits>;
  /** Feature flags this reader may accept besides those it knows (none is defined but the reserved 0). */
  readonly acceptFeatureFlags?: readonly number[];
}

type Message = Record<string, unknown>;

interface Decoder {
  readonly limits: ContainerLimits;
  entries: number;
}

const ENTRY: MessageSpec = {
  name: "map entry",
  fields: [
    { no: 1, name: "key", type: "string", presence: "implicit" },
    { no: 2, name: "value", type: "string", presence: "implicit" },
  ],
};

/** Whether a file starts with the 20 bytes of an MDD container. */
export function isMdd(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.every((byte, i) => bytes[i] === byte);
}

/**
 * Decodes a container. Payloads are views into `bytes`, nothing is copied or decompressed. Throws `Fault("invalidContainer")`,
 * naming offset and field, on anything that is not a well-formed container within the limits.
 */
export function decodeContainer(bytes: Uint8Array, options: DecodeOptions = {}): MddContainer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  if (bytes.length < MAGIC.length) throw invalid(0, `file of ${bytes.length} bytes is too small`);
  if (!isMdd(bytes)) throw invalid(0, "magic mismatch");
  if (bytes.length > limits.maxFileBytes) throw invalid(0, `file of ${bytes.length} bytes exceeds the limit`);
  const cursor = { bytes, at: MAGIC.length, end: bytes.length };
  const container = decodeMessage({ limits, entries: 0 }, cursor, MDD_FILE) as unknown as MddContainer;
  const foreign = container.featureFlags.find((flag) => flag !== 0 && !options.acceptFeatureFlags?.includes(flag));
  if (foreign !== undefined) throw invalid(MAGIC.length, `feature flag ${foreign} is not known`);
  return container;
}

/** The chunk that holds the database: the first of its type. */
export function diagnosticDescription(container: MddContainer): Chunk {
  const chunk = container.chunks.find(({ type }) => type === CHUNK_TYPE.diagnosticDescription);
  if (chunk === undefined) throw invalid(MAGIC.length, "no DIAGNOSTIC_DESCRIPTION chunk");
  return chunk;
}

function decodeMessage(decoder: Decoder, cursor: Cursor, spec: MessageSpec): Message {
  const message = emptyMessage(spec);
  const unknown = message.unknown as Uint8Array[];
  while (cursor.at < cursor.end) {
    const start = cursor.at;
    const tag = readVarint(cursor);
    const no = Math.floor(tag / 8);
    const wireType = tag % 8;
    const field = spec.fields.find((candidate) => candidate.no === no);
    if (field !== undefined) {
      decodeField(decoder, cursor, message, field, wireType, `${spec.name}.${field.name}`);
    } else {
      count(decoder, start);
      skipField(cursor, wireType, `field ${no} of ${spec.name}`);
      unknown.push(cursor.bytes.subarray(start, cursor.at));
    }
  }
  return message;
}

function emptyMessage(spec: MessageSpec): Message {
  const message: Message = {};
  for (const { name, type, presence } of spec.fields) {
    if (type === "map") message[name] = new Map<string, string>();
    else if (presence === "repeated") message[name] = [];
    else if (presence === "implicit") message[name] = zeroOf(type);
  }
  message.unknown = [];
  return message;
}

function zeroOf(type: FieldSpec["type"]): unknown {
  if (type === "varint") return 0;
  return type === "string" ? "" : new Uint8Array();
}

function decodeField(
  decoder: Decoder,
  cursor: Cursor,
  message: Message,
  field: FieldSpec,
  wireType: number,
  what: string,
): void {
  const packed = field.type === "varint" && field.presence === "repeated" && wireType === WIRE.bytes;
  if (!packed && wireType !== wireTypeOf(field.type)) throw invalid(cursor.at, `${what} has wire type ${wireType}`);
  if (packed) decodePacked(decoder, readWindow(cursor, what), message[field.name] as number[]);
  else if (field.type === "map") decodeEntry(decoder, cursor, message[field.name] as Map<string, string>, what);
  else if (field.presence === "repeated") {
    const list = message[field.name] as unknown[];
    count(decoder, cursor.at);
    if (field.name === "chunks" && list.length >= decoder.limits.maxChunks) throw invalid(cursor.at, "too many chunks");
    list.push(decodeValue(decoder, cursor, field, what));
  } else message[field.name] = decodeValue(decoder, cursor, field, what);
}

function decodeValue(decoder: Decoder, cursor: Cursor, { type }: FieldSpec, what: string): unknown {
  if (type === "varint") return readVarint(cursor);
  const window = readWindow(cursor, what);
  if (type === "string") return textOf(window, what);
  if (type === "bytes") return contentOf(window);
  return decodeMessage(decoder, window, type as MessageSpec);
}

function decodePacked(decoder: Decoder, window: Cursor, into: number[]): void {
  while (window.at < window.end) {
    count(decoder, window.at);
    into.push(readVarint(window));
  }
}

function decodeEntry(decoder: Decoder, cursor: Cursor, into: Map<string, string>, what: string): void {
  count(decoder, cursor.at);
  const entry = decodeMessage(decoder, readWindow(cursor, what), ENTRY);
  into.set(entry.key as string, entry.value as string);
  if (into.size > decoder.limits.maxMetadataEntries) throw invalid(cursor.at, `${what} has too many entries`);
}

function count(decoder: Decoder, offset: number): void {
  if (++decoder.entries > decoder.limits.maxEntries) throw invalid(offset, "too many entries");
}
