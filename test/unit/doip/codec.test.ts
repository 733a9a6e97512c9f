import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import {
  checkHeader,
  decodeDatagram,
  decodeHeader,
  decodePayload,
  encode,
  encodeHeader,
  isUnset,
  type Message,
} from "#doip/codec.ts";
import { activationCode, HEADER_BYTES, PAYLOAD_BY_TYPE, PAYLOAD_TYPES } from "#doip/tables.ts";
import fc from "../../fixtures/properties.ts";
import { hex } from "./support.ts";

const SIMULATOR = "CDA test simulator, recorded in facts/sim-vectors.tsv";
const STANDARD = "ISO 13400-2 layouts, facts/transport.md 1.1 and 1.2";

const VECTORS: readonly { name: string; source: string; version?: number; bytes: string; message: Message }[] = [
  {
    name: "vehicle identification request of a tester that knows no version",
    source: `${SIMULATOR}: vir_version_ff`,
    version: 0xff,
    bytes: "FF00 0001 00000000",
    message: { kind: "vehicleIdentificationRequest" },
  },
  {
    name: "vehicle identification request with EID",
    source: `${SIMULATOR}: vir_eid`,
    bytes: "02FD 0002 00000006 000000000000",
    message: { kind: "vehicleIdentificationRequestEid", eid: "000000000000" },
  },
  {
    name: "vehicle identification request with VIN",
    source: `${SIMULATOR}: vir_vin`,
    bytes: "02FD 0003 00000011 5343454454323654384244303035323631",
    message: { kind: "vehicleIdentificationRequestVin", vin: "SCEDT26T8BD005261" },
  },
  {
    name: "vehicle announcement, 33 bytes",
    source: `${SIMULATOR}: vir_version_02`,
    bytes: "02FD 0004 00000021 5343454454323654384244303035323631 1000 000000000000 000000000000 00 00",
    message: {
      kind: "vehicleAnnouncement",
      vin: "SCEDT26T8BD005261",
      logicalAddress: 0x1000,
      eid: "000000000000",
      gid: "000000000000",
      furtherAction: 0,
      syncStatus: 0,
    },
  },
  {
    name: "vehicle announcement, 32 bytes, unset VIN",
    source: STANDARD,
    bytes: "03FC 0004 00000020 FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF 2000 0A1B2C3D4E5F FFFFFFFFFFFF 10",
    version: 3,
    message: {
      kind: "vehicleAnnouncement",
      vin: "ÿ".repeat(17),
      logicalAddress: 0x2000,
      eid: "0A1B2C3D4E5F",
      gid: "FFFFFFFFFFFF",
      furtherAction: 0x10,
    },
  },
  {
    name: "routing activation request",
    source: `${SIMULATOR}: ra_default_1000`,
    bytes: "02FD 0005 00000007 0E00 00 00000000",
    message: { kind: "routingActivationRequest", sourceAddress: 0x0e00, activationType: 0 },
  },
  {
    name: "routing activation request with OEM field",
    source: `${SIMULATOR}: ra_oem`,
    bytes: "02FD 0005 0000000B 0E00 00 00000000 DEADBEEF",
    message: { kind: "routingActivationRequest", sourceAddress: 0x0e00, activationType: 0, oem: 0xdeadbeef },
  },
  {
    name: "routing activation request of version 1: two bytes of type",
    source: STANDARD,
    version: 1,
    bytes: "01FE 0005 00000008 0E00 00E0 00000000",
    message: { kind: "routingActivationRequest", sourceAddress: 0x0e00, activationType: 0xe0 },
  },
  {
    name: "routing activation response",
    source: `${SIMULATOR}: ra_default_1000`,
    bytes: "02FD 0006 00000009 0E00 1000 10 00000000",
    message: { kind: "routingActivationResponse", testerAddress: 0x0e00, entityAddress: 0x1000, code: 0x10 },
  },
  {
    name: "routing activation response with OEM field",
    source: STANDARD,
    bytes: "02FD 0006 0000000D 0E00 1000 11 00000000 80000001",
    message: {
      kind: "routingActivationResponse",
      testerAddress: 0x0e00,
      entityAddress: 0x1000,
      code: 0x11,
      oem: 0x8000_0001,
    },
  },
  {
    name: "alive check request",
    source: `${SIMULATOR}: alive_check_request`,
    bytes: "02FD 0007 00000000",
    message: { kind: "aliveCheckRequest" },
  },
  {
    name: "alive check response",
    source: `${SIMULATOR}: alive_check_response`,
    bytes: "02FD 0008 00000002 0E00",
    message: { kind: "aliveCheckResponse", sourceAddress: 0x0e00 },
  },
  {
    name: "entity status request",
    source: `${SIMULATOR}: entity_status`,
    bytes: "02FD 4001 00000000",
    message: { kind: "entityStatusRequest" },
  },
  {
    name: "entity status response",
    source: `${SIMULATOR}: entity_status`,
    bytes: "02FD 4002 00000007 01FF007FFFFFFF",
    message: {
      kind: "entityStatusResponse",
      nodeType: 1,
      maxSockets: 255,
      openSockets: 0,
      maxDataBytes: 0x7fff_ffff,
    },
  },
  {
    name: "entity status response without data size",
    source: STANDARD,
    bytes: "02FD 4002 00000003 000401",
    message: { kind: "entityStatusResponse", nodeType: 0, maxSockets: 4, openSockets: 1 },
  },
  {
    name: "power mode request",
    source: `${SIMULATOR}: power_mode`,
    bytes: "02FD 4003 00000000",
    message: { kind: "powerModeRequest" },
  },
  {
    name: "power mode response",
    source: `${SIMULATOR}: power_mode`,
    bytes: "02FD 4004 00000001 00",
    message: { kind: "powerModeResponse", mode: 0 },
  },
  {
    name: "diagnostic message 22 F190",
    source: `${SIMULATOR}: diag_sub_ecu`,
    bytes: "02FD 8001 00000007 0E00 1001 22F190",
    message: {
      kind: "diagnosticMessage",
      sourceAddress: 0x0e00,
      targetAddress: 0x1001,
      uds: hex("22F190"),
    },
  },
  {
    name: "diagnostic ACK of a functional request",
    source: "CDA test simulator, facts/transport.md 1.2",
    bytes: "02FD 8002 00000005 FFFF 0E00 00",
    message: {
      kind: "diagnosticAck",
      sourceAddress: 0xffff,
      targetAddress: 0x0e00,
      code: 0,
      echo: new Uint8Array(0),
    },
  },
  {
    name: "diagnostic NACK: unknown target address",
    source: `${SIMULATOR}: diag_unknown_ta`,
    bytes: "02FD 8003 00000005 6666 0E00 03",
    message: {
      kind: "diagnosticNack",
      sourceAddress: 0x6666,
      targetAddress: 0x0e00,
      code: 3,
      echo: new Uint8Array(0),
    },
  },
  {
    name: "diagnostic ACK with echo",
    source: STANDARD,
    bytes: "02FD 8002 00000008 1000 0E00 00 22F190",
    message: {
      kind: "diagnosticAck",
      sourceAddress: 0x1000,
      targetAddress: 0x0e00,
      code: 0,
      echo: hex("22F190"),
    },
  },
  {
    name: "generic NACK: unknown payload type",
    source: STANDARD,
    bytes: "02FD 0000 00000001 01",
    message: { kind: "genericNack", code: 1 },
  },
];

for (const { name, source, version = 2, bytes, message } of VECTORS) {
  test(`DoIP message: ${name} (${source})`, () => {
    assert.equal(toHex(encode(version, message)), bytes.replaceAll(" ", ""));
    const decoded = decodeDatagram(hex(bytes));
    assert.ok("message" in decoded);
    assert.equal(decoded.version, version);
    assert.deepEqual(plain(decoded.message), plain(message));
  });
}

test("DoIP message: the vectors hold every payload type", () => {
  assert.deepEqual(new Set(VECTORS.map(({ message }) => message.kind)), new Set(Object.keys(PAYLOAD_TYPES)));
});

test("DoIP message: version 1 with one byte of activation type is read too (recorded: ra_version_1)", () => {
  const decoded = decodeDatagram(hex("01FE0005000000070E000000000000"));
  assert.ok("message" in decoded);
  assert.deepEqual(decoded.message, {
    kind: "routingActivationRequest",
    sourceAddress: 0x0e00,
    activationType: 0,
  });
});

const REFUSED: readonly (readonly [string, string, string])[] = [
  ["empty", "", "incorrectPattern"],
  ["seven bytes", "02FD0001000000", "incorrectPattern"],
  ["wrong inverse (recorded: wrong_inverse)", "02FE0005000000070E000000000000", "incorrectPattern"],
  ["version 0", "00FF000100000000", "incorrectPattern"],
  ["unknown type (recorded: unknown_type)", "02FD777700000000", "unknownPayloadType"],
  ["unknown type before too large", "02FD7777FFFFFFFF", "unknownPayloadType"],
  ["too large before wrong length (recorded: too_long)", "02FD8001FFFFFFFF0E001000", "messageTooLarge"],
  ["no UDS bytes (recorded: diag_empty_uds)", "02FD8001000000040E001000", "invalidPayloadLength"],
  ["alive check request with payload", "02FD00070000000100", "invalidPayloadLength"],
  ["version 2 with the long activation type", "02FD0005000000080E00000000000000", "invalidPayloadLength"],
  ["shorter than its length says", "02FD00040000002153", "invalidPayloadLength"],
];
for (const [name, bytes, nack] of REFUSED) {
  test(`DoIP datagram refused: ${name}`, () => assert.deepEqual(decodeDatagram(hex(bytes)), { nack }));
}

const byte = fc.integer({ min: 0, max: 0xff });
const address = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
const hexText = bytes(6).map((value) => toHex(value));
const latin = bytes(17).map((value) => Buffer.from(value).toString("latin1"));

const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant("genericNack" as const), code: byte }),
  fc.record({ kind: fc.constant("vehicleIdentificationRequestEid" as const), eid: hexText }),
  fc.record({ kind: fc.constant("vehicleIdentificationRequestVin" as const), vin: latin }),
  fc.record(
    {
      kind: fc.constant("vehicleAnnouncement" as const),
      vin: latin,
      logicalAddress: address,
      eid: hexText,
      gid: hexText,
      furtherAction: byte,
      syncStatus: byte,
    },
    { requiredKeys: ["kind", "vin", "logicalAddress", "eid", "gid", "furtherAction"] },
  ),
  fc.record(
    { kind: fc.constant("routingActivationRequest" as const), sourceAddress: address, activationType: byte, oem: u32 },
    { requiredKeys: ["kind", "sourceAddress", "activationType"] },
  ),
  fc.record(
    {
      kind: fc.constant("routingActivationResponse" as const),
      testerAddress: address,
      entityAddress: address,
      code: byte,
      oem: u32,
    },
    { requiredKeys: ["kind", "testerAddress", "entityAddress", "code"] },
  ),
  fc.record({ kind: fc.constant("aliveCheckResponse" as const), sourceAddress: address }),
  fc.record(
    {
      kind: fc.constant("entityStatusResponse" as const),
      nodeType: byte,
      maxSockets: byte,
      openSockets: byte,
      maxDataBytes: u32,
    },
    { requiredKeys: ["kind", "nodeType", "maxSockets", "openSockets"] },
  ),
  fc.record({ kind: fc.constant("powerModeResponse" as const), mode: byte }),
  fc.record({
    kind: fc.constant("diagnosticMessage" as const),
    sourceAddress: address,
    targetAddress: address,
    uds: bytes(1, 40),
  }),
  fc.record({
    kind: fc.constantFrom("diagnosticAck" as const, "diagnosticNack" as const),
    sourceAddress: address,
    targetAddress: address,
    code: byte,
    echo: bytes(0, 20),
  }),
);

test("DoIP message: decode is the inverse of encode, in every version", () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 3, 4), anyMessage, (version, message) => {
      const decoded = decodeDatagram(encode(version, message));
      assert.ok("message" in decoded);
      assert.deepEqual(plain(decoded.message), plain(message));
    }),
  );
});

test("DoIP decoding never throws, and what it accepts encodes to the same bytes", () => {
  const types = fc.constantFrom(...PAYLOAD_BY_TYPE.keys());
  const frame = fc.tuple(byte, types, bytes(0, 40)).map(([version, type, payload]) => {
    return Buffer.concat([encodeHeader({ version, payloadType: type, payloadBytes: payload.length }), payload]);
  });
  fc.assert(
    fc.property(fc.oneof(bytes(0, 64), frame), (input) => {
      const decoded = decodeDatagram(input);
      if (!("message" in decoded)) return;
      const again = decodeDatagram(encode(decoded.version, decoded.message));
      assert.ok("message" in again);
      assert.deepEqual(plain(again.message), plain(decoded.message));
    }),
  );
});

test("DoIP header: decode is the inverse of encode; garbage never throws", () => {
  fc.assert(
    fc.property(bytes(0, 20), (input) => {
      const header = decodeHeader(input);
      if (header === undefined) return;
      assert.deepEqual(encodeHeader(header), Uint8Array.from(input.slice(0, HEADER_BYTES)));
      checkHeader(header, 100);
    }),
  );
});

test("DoIP payload: an unknown type or a wrong length is undefined", () => {
  assert.equal(decodePayload(2, 0x9999, hex("00")), undefined);
  assert.equal(decodePayload(2, PAYLOAD_TYPES.aliveCheckResponse.type, hex("0E")), undefined);
});

test("activation codes: only 0x10 and 0x11 are success", () => {
  const successes = [...Array(256).keys()].filter((code) => activationCode(code).success === true);
  assert.deepEqual(successes, [0x10, 0x11]);
  assert.equal(activationCode(0xe5).text, "OEM specific");
});

test("unset identifiers", () => {
  for (const text of ["\0".repeat(17), "ÿ".repeat(17), "000000000000", "FFFFFFFFFFFF"]) assert.ok(isUnset(text));
  for (const text of ["SCEDT26T8BD005261", "0A1B2C3D4E5F", "00000000000F"]) assert.ok(!isUnset(text));
});

/** Byte fields as text: Buffers and plain arrays compare as what they hold. */
function plain(message: Message): unknown {
  const entries = Object.entries(message) as [string, unknown][];
  return Object.fromEntries(entries.map(([key, value]) => [key, value instanceof Uint8Array ? toHex(value) : value]));
}
