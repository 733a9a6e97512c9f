/** DoIP: every payload type, both ways, the cutting of a stream, and datagrams. */
import { decodeDatagram, decodePayload, encode, encodeDiagnosticMessage, type Message } from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";
import { HEADER_BYTES, PAYLOAD_TYPES } from "#doip/tables.ts";
import { bytes, type Rows } from "./row.ts";

const VERSION = 2;
const [TESTER, ECU] = [0x0e00, 0x1000];
const uds = bytes("62f1905343454454323654384244303035323631");
const [eid, vin] = ["001122334455", "SCEDT26T8BD005261"];

/** One message of each kind. */
const MESSAGES: readonly Message[] = [
  { kind: "diagnosticMessage", sourceAddress: ECU, targetAddress: TESTER, uds },
  { kind: "diagnosticAck", sourceAddress: ECU, targetAddress: TESTER, code: 0, echo: bytes("22f190") },
  { kind: "diagnosticNack", sourceAddress: ECU, targetAddress: TESTER, code: 3, echo: bytes("") },
  { kind: "genericNack", code: 1 },
  { kind: "vehicleIdentificationRequest" },
  { kind: "vehicleIdentificationRequestEid", eid },
  { kind: "vehicleIdentificationRequestVin", vin },
  { kind: "vehicleAnnouncement", vin, logicalAddress: ECU, eid, gid: eid, furtherAction: 0, syncStatus: 0 },
  { kind: "routingActivationRequest", sourceAddress: TESTER, activationType: 0 },
  { kind: "routingActivationResponse", testerAddress: TESTER, entityAddress: ECU, code: 0x10 },
  { kind: "aliveCheckRequest" },
  { kind: "aliveCheckResponse", sourceAddress: TESTER },
  { kind: "entityStatusRequest" },
  { kind: "entityStatusResponse", nodeType: 0, maxSockets: 16, openSockets: 1, maxDataBytes: 65_535 },
  { kind: "powerModeRequest" },
  { kind: "powerModeResponse", mode: 1 },
];

const FRAMES = 16;
const frame = encodeDiagnosticMessage(VERSION, ECU, TESTER, uds);
const stream = new Uint8Array(FRAMES * frame.length);
for (let i = 0; i < FRAMES; i++) stream.set(frame, i * frame.length);
let cut = 0;
const framer = new StreamFramer(
  {
    onMessage: (_version, _type, payload) => {
      cut += payload.length;
    },
    onRefused: (nack) => {
      throw new Error(nack);
    },
  },
  { maxPayloadBytes: 65_535 },
);
const datagram = encode(VERSION, MESSAGES.find(({ kind }) => kind === "vehicleAnnouncement")!);

export const DOIP_ROWS: Rows = {
  ...Object.fromEntries(
    MESSAGES.flatMap((message) => {
      const payload = encode(VERSION, message).subarray(HEADER_BYTES);
      const { type } = PAYLOAD_TYPES[message.kind];
      return [
        [`DoIP: encode ${message.kind}`, () => encode(VERSION, message)],
        [`DoIP: decode ${message.kind}`, () => decodePayload(VERSION, type, payload)],
      ];
    }),
  ),
  [`DoIP: cut ${FRAMES} messages out of a stream`]: () => {
    framer.push(stream);
    return cut;
  },
  "DoIP: decode an announcement's datagram": () => decodeDatagram(datagram),
};
