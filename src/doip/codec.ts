/** DoIP messages (ISO 13400-2 clause 8 and 9): one encode and one decode, total on garbage. All numbers are big-endian. */
import { toHex } from "#core/bytes.ts";
import {
  GENERIC_NACKS,
  type GenericNackName,
  HEADER_BYTES,
  type LengthRule,
  PAYLOAD_BY_TYPE,
  PAYLOAD_TYPES,
  PROTOCOL_VERSIONS,
} from "./tables.ts";

export interface Header {
  readonly version: number;
  readonly payloadType: number;
  /** Bytes after the header. */
  readonly payloadBytes: number;
}

/** VIN as 17 Latin-1 characters, EID and GID as 12 upper-case hex digits: what the wire holds, unset patterns included. */
export interface VehicleAnnouncement {
  readonly vin: string;
  readonly logicalAddress: number;
  readonly eid: string;
  readonly gid: string;
  readonly furtherAction: number;
  /** Absent in the 32-byte form. */
  readonly syncStatus?: number;
}

export interface DiagnosticMessage {
  readonly kind: "diagnosticMessage";
  readonly sourceAddress: number;
  readonly targetAddress: number;
  readonly uds: Uint8Array;
}

/** Positive or negative acknowledgement: source is the address the request went to, target the tester. */
export interface Acknowledgement {
  readonly kind: "diagnosticAck" | "diagnosticNack";
  readonly sourceAddress: number;
  readonly targetAddress: number;
  readonly code: number;
  /** The acknowledged UDS bytes or their beginning; often empty. */
  readonly echo: Uint8Array;
}

export type Message =
  | { readonly kind: "genericNack"; readonly code: number }
  | { readonly kind: "vehicleIdentificationRequest" }
  | { readonly kind: "vehicleIdentificationRequestEid"; readonly eid: string }
  | { readonly kind: "vehicleIdentificationRequestVin"; readonly vin: string }
  | ({ readonly kind: "vehicleAnnouncement" } & VehicleAnnouncement)
  | {
      readonly kind: "routingActivationRequest";
      readonly sourceAddress: number;
      readonly activationType: number;
      /** OEM specific field, unsigned 32 bits. */
      readonly oem?: number;
    }
  | {
      readonly kind: "routingActivationResponse";
      readonly testerAddress: number;
      readonly entityAddress: number;
      readonly code: number;
      readonly oem?: number;
    }
  | { readonly kind: "aliveCheckRequest" }
  | { readonly kind: "aliveCheckResponse"; readonly sourceAddress: number }
  | { readonly kind: "entityStatusRequest" }
  | {
      readonly kind: "entityStatusResponse";
      readonly nodeType: number;
      readonly maxSockets: number;
      readonly openSockets: number;
      readonly maxDataBytes?: number;
    }
  | { readonly kind: "powerModeRequest" }
  | { readonly kind: "powerModeResponse"; readonly mode: number }
  | DiagnosticMessage
  | Acknowledgement;

/** Undefined: fewer than eight bytes, or version and inverse do not agree (generic NACK 0x00). */
export function decodeHeader(bytes: Uint8Array, offset = 0): Header | undefined {
  if (bytes.length < offset + HEADER_BYTES) return undefined;
  const version = bytes[offset]!;
  if (version === 0x00 || (version ^ 0xff) !== bytes[offset + 1]) return undefined;
  return { version, payloadType: u16(bytes, offset + 2), payloadBytes: u32(bytes, offset + 4) };
}

/** The eight header bytes alone. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  putHeader(bytes, header.version, header.payloadType, header.payloadBytes);
  return bytes;
}

/**
 * The receiver's checks after the sync pattern, in the standard's order: type known, not too large, length right for the type.
 * Undefined: acceptable.
 */
export function checkHeader(header: Header, maxPayloadBytes: number): GenericNackName | undefined {
  const spec = PAYLOAD_BY_TYPE.get(header.payloadType);
  if (spec === undefined) return "unknownPayloadType";
  if (header.payloadBytes > maxPayloadBytes) return "messageTooLarge";
  const rule = header.version === PROTOCOL_VERSIONS.dis2010 ? (spec.lengths2010 ?? spec.lengths) : spec.lengths;
  return lengthFits(rule, header.payloadBytes) ? undefined : "invalidPayloadLength";
}

/** The message of a type and its payload; undefined for an unknown type or a length that does not fit. Views, no copies. */
export function decodePayload(version: number, payloadType: number, payload: Uint8Array): Message | undefined {
  if (checkHeader({ version, payloadType, payloadBytes: payload.length }, payload.length) !== undefined)
    return undefined;
  switch (payloadType) {
    case PAYLOAD_TYPES.diagnosticMessage.type:
      return {
        kind: "diagnosticMessage",
        sourceAddress: u16(payload, 0),
        targetAddress: u16(payload, 2),
        uds: payload.subarray(4),
      };
    case PAYLOAD_TYPES.diagnosticAck.type:
      return decodeAcknowledgement("diagnosticAck", payload);
    case PAYLOAD_TYPES.diagnosticNack.type:
      return decodeAcknowledgement("diagnosticNack", payload);
    case PAYLOAD_TYPES.genericNack.type:
      return { kind: "genericNack", code: payload[0]! };
    case PAYLOAD_TYPES.vehicleIdentificationRequest.type:
      return { kind: "vehicleIdentificationRequest" };
    case PAYLOAD_TYPES.vehicleIdentificationRequestEid.type:
      return { kind: "vehicleIdentificationRequestEid", eid: toHex(payload) };
    case PAYLOAD_TYPES.vehicleIdentificationRequestVin.type:
      return { kind: "vehicleIdentificationRequestVin", vin: latin1(payload) };
    case PAYLOAD_TYPES.vehicleAnnouncement.type:
      return {
        kind: "vehicleAnnouncement",
        vin: latin1(payload.subarray(0, 17)),
        logicalAddress: u16(payload, 17),
        eid: toHex(payload.subarray(19, 25)),
        gid: toHex(payload.subarray(25, 31)),
        furtherAction: payload[31]!,
        ...(payload.length === 33 ? { syncStatus: payload[32]! } : {}),
      };
    case PAYLOAD_TYPES.routingActivationRequest.type:
      return decodeActivationRequest(payload);
    case PAYLOAD_TYPES.routingActivationResponse.type:
      return {
        kind: "routingActivationResponse",
        testerAddress: u16(payload, 0),
        entityAddress: u16(payload, 2),
        code: payload[4]!,
        ...(payload.length === 13 ? { oem: u32(payload, 9) } : {}),
      };
    case PAYLOAD_TYPES.aliveCheckRequest.type:
      return { kind: "aliveCheckRequest" };
    case PAYLOAD_TYPES.aliveCheckResponse.type:
      return { kind: "aliveCheckResponse", sourceAddress: u16(payload, 0) };
    case PAYLOAD_TYPES.entityStatusRequest.type:
      return { kind: "entityStatusRequest" };
    case PAYLOAD_TYPES.entityStatusResponse.type:
      return {
        kind: "entityStatusResponse",
        nodeType: payload[0]!,
        maxSockets: payload[1]!,
        openSockets: payload[2]!,
        ...(payload.length === 7 ? { maxDataBytes: u32(payload, 3) } : {}),
      };
    case PAYLOAD_TYPES.powerModeRequest.type:
      return { kind: "powerModeRequest" };
    default:
      return { kind: "powerModeResponse", mode: payload[0]! };
  }
}

/** A UDP datagram: its first message, or the generic NACK it deserves. Bytes after the message are ignored. */
export function decodeDatagram(
  bytes: Uint8Array,
  maxPayloadBytes = 65_535,
): { readonly version: number; readonly message: Message } | { readonly nack: GenericNackName } {
  const header = decodeHeader(bytes);
  if (header === undefined) return { nack: "incorrectPattern" };
  const problem = checkHeader(header, maxPayloadBytes);
  if (problem !== undefined) return { nack: problem };
  const end = HEADER_BYTES + header.payloadBytes;
  if (end > bytes.length) return { nack: "invalidPayloadLength" };
  const message = decodePayload(header.version, header.payloadType, bytes.subarray(HEADER_BYTES, end));
  return message === undefined ? { nack: "invalidPayloadLength" } : { version: header.version, message };
}

/** The complete frame of a message. Reserved fields are zero. */
export function encode(version: number, message: Message): Uint8Array {
  switch (message.kind) {
    case "diagnosticMessage":
      return encodeDiagnosticMessage(version, message.sourceAddress, message.targetAddress, message.uds);
    case "diagnosticAck":
    case "diagnosticNack":
      return encodeAcknowledgement(version, message);
    case "genericNack":
      return encodeByte(version, message.kind, message.code);
    case "powerModeResponse":
      return encodeByte(version, message.kind, message.mode);
    case "vehicleIdentificationRequest":
    case "aliveCheckRequest":
    case "entityStatusRequest":
    case "powerModeRequest":
      return start(version, PAYLOAD_TYPES[message.kind].type, 0);
    case "vehicleIdentificationRequestEid":
      return encodeWith(version, message.kind, 6, (frame) => frame.write(message.eid, HEADER_BYTES, 6, "hex"));
    case "vehicleIdentificationRequestVin":
      return encodeWith(version, message.kind, 17, (frame) => frame.write(message.vin, HEADER_BYTES, 17, "latin1"));
    case "vehicleAnnouncement":
      return encodeAnnouncement(version, message);
    case "routingActivationRequest":
      return encodeActivationRequest(version, message);
    case "routingActivationResponse":
      return encodeWith(version, message.kind, message.oem === undefined ? 9 : 13, (frame) => {
        frame.writeUInt16BE(message.testerAddress, 8);
        frame.writeUInt16BE(message.entityAddress, 10);
        frame[12] = message.code;
        if (message.oem !== undefined) frame.writeUInt32BE(message.oem, 17);
      });
    case "aliveCheckResponse":
      return encodeWith(version, message.kind, 2, (frame) => frame.writeUInt16BE(message.sourceAddress, 8));
    case "entityStatusResponse":
      return encodeWith(version, message.kind, message.maxDataBytes === undefined ? 3 : 7, (frame) => {
        frame[8] = message.nodeType;
        frame[9] = message.maxSockets;
        frame[10] = message.openSockets;
        if (message.maxDataBytes !== undefined) frame.writeUInt32BE(message.maxDataBytes, 11);
      });
  }
}

/** A diagnostic message without a message object: the hot path's only allocation is the frame. */
export function encodeDiagnosticMessage(
  version: number,
  sourceAddress: number,
  targetAddress: number,
  uds: Uint8Array,
): Uint8Array {
  const frame = start(version, PAYLOAD_TYPES.diagnosticMessage.type, 4 + uds.length);
  putU16(frame, 8, sourceAddress);
  putU16(frame, 10, targetAddress);
  frame.set(uds, 12);
  return frame;
}

/** VIN, EID or GID that the entity has not been given: all 0x00 or all 0xFF. Takes the text forms of `VehicleAnnouncement`. */
export function isUnset(text: string): boolean {
  return /^(?:\0+|ÿ+|0+|F+)$/.test(text);
}

/** Code of a generic NACK by name. */
export function genericNack(name: GenericNackName): Message {
  return { kind: "genericNack", code: GENERIC_NACKS[name].code };
}

function lengthFits(rule: LengthRule, length: number): boolean {
  return "atLeast" in rule ? length >= rule.atLeast : rule.includes(length);
}

function decodeAcknowledgement(kind: Acknowledgement["kind"], payload: Uint8Array): Acknowledgement {
  return {
    kind,
    sourceAddress: u16(payload, 0),
    targetAddress: u16(payload, 2),
    code: payload[4]!,
    echo: payload.subarray(5),
  };
}

function decodeActivationRequest(payload: Uint8Array): Message {
  const wideType = payload.length === 8 || payload.length === 12;
  const oemAt = wideType ? 8 : 7;
  return {
    kind: "routingActivationRequest",
    sourceAddress: u16(payload, 0),
    activationType: wideType ? u16(payload, 2) : payload[2]!,
    ...(payload.length > oemAt ? { oem: u32(payload, oemAt) } : {}),
  };
}

function encodeActivationRequest(
  version: number,
  message: Extract<Message, { kind: "routingActivationRequest" }>,
): Uint8Array {
  const typeBytes = version === PROTOCOL_VERSIONS.dis2010 ? 2 : 1;
  const bytes = 2 + typeBytes + 4 + (message.oem === undefined ? 0 : 4);
  return encodeWith(version, message.kind, bytes, (frame) => {
    frame.writeUInt16BE(message.sourceAddress, 8);
    frame.writeUIntBE(message.activationType, 10, typeBytes);
    if (message.oem !== undefined) frame.writeUInt32BE(message.oem, 10 + typeBytes + 4);
  });
}

function encodeAnnouncement(version: number, message: VehicleAnnouncement): Uint8Array {
  const bytes = message.syncStatus === undefined ? 32 : 33;
  return encodeWith(version, "vehicleAnnouncement", bytes, (frame) => {
    frame.write(message.vin, 8, 17, "latin1");
    frame.writeUInt16BE(message.logicalAddress, 25);
    frame.write(message.eid, 27, 6, "hex");
    frame.write(message.gid, 33, 6, "hex");
    frame[39] = message.furtherAction;
    if (message.syncStatus !== undefined) frame[40] = message.syncStatus;
  });
}

function encodeAcknowledgement(version: number, message: Acknowledgement): Uint8Array {
  const frame = start(version, PAYLOAD_TYPES[message.kind].type, 5 + message.echo.length);
  putU16(frame, 8, message.sourceAddress);
  putU16(frame, 10, message.targetAddress);
  frame[12] = message.code;
  frame.set(message.echo, 13);
  return frame;
}

function encodeByte(version: number, name: "genericNack" | "powerModeResponse", value: number): Uint8Array {
  const frame = start(version, PAYLOAD_TYPES[name].type, 1);
  frame[HEADER_BYTES] = value;
  return frame;
}

function encodeWith(
  version: number,
  name: keyof typeof PAYLOAD_TYPES,
  payloadBytes: number,
  fill: (frame: Buffer) => void,
): Uint8Array {
  const frame = start(version, PAYLOAD_TYPES[name].type, payloadBytes);
  frame.fill(0, HEADER_BYTES);
  fill(frame);
  return frame;
}

function start(version: number, payloadType: number, payloadBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  putHeader(frame, version, payloadType, payloadBytes);
  return frame;
}

function putHeader(bytes: Uint8Array, version: number, payloadType: number, payloadBytes: number): void {
  bytes[0] = version;
  bytes[1] = version ^ 0xff;
  putU16(bytes, 2, payloadType);
  putU16(bytes, 4, payloadBytes >>> 16);
  putU16(bytes, 6, payloadBytes);
}

function putU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

function u16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

function u32(bytes: Uint8Array, offset: number): number {
  return u16(bytes, offset) * 0x1_0000 + u16(bytes, offset + 2);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
