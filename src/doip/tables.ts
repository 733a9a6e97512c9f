/** The constants of ISO 13400-2 as tables: payload types, codes, ports, timers. Everything else in this folder derives from them. */

export const DISCOVERY_PORT = 13400;
export const TLS_PORT = 3496;
export const HEADER_BYTES = 8;

export const PROTOCOL_VERSIONS = {
  dis2010: 0x01,
  iso2012: 0x02,
  iso2019: 0x03,
  iso2019Amd1: 0x04,
  /** Only in vehicle identification requests, while the entity's own version is unknown. */
  any: 0xff,
} as const;

/** Lengths that a payload type may have: a list, or a lower bound for open-ended ones. */
export type LengthRule = readonly number[] | { readonly atLeast: number };

export interface PayloadTypeSpec {
  readonly type: number;
  readonly via: "udp" | "tcp" | "both";
  readonly lengths: LengthRule;
  /** Lengths of protocol version 0x01 where they differ. */
  readonly lengths2010?: LengthRule;
}

export const PAYLOAD_TYPES = {
  genericNack: { type: 0x0000, via: "both", lengths: [1] },
  vehicleIdentificationRequest: { type: 0x0001, via: "udp", lengths: [0] },
  vehicleIdentificationRequestEid: { type: 0x0002, via: "udp", lengths: [6] },
  vehicleIdentificationRequestVin: { type: 0x0003, via: "udp", lengths: [17] },
  vehicleAnnouncement: { type: 0x0004, via: "udp", lengths: [32, 33] },
  routingActivationRequest: {
    type: 0x0005,
    via: "tcp",
    lengths: [7, 11],
    // The activation type had two bytes; testers of that version with one byte exist and are told apart by length.
    lengths2010: [7, 8, 11, 12],
  },
  routingActivationResponse: { type: 0x0006, via: "tcp", lengths: [9, 13] },
  aliveCheckRequest: { type: 0x0007, via: "tcp", lengths: [0] },
  aliveCheckResponse: { type: 0x0008, via: "tcp", lengths: [2] },
  entityStatusRequest: { type: 0x4001, via: "udp", lengths: [0] },
  entityStatusResponse: { type: 0x4002, via: "udp", lengths: [3, 7] },
  powerModeRequest: { type: 0x4003, via: "udp", lengths: [0] },
  powerModeResponse: { type: 0x4004, via: "udp", lengths: [1] },
  diagnosticMessage: { type: 0x8001, via: "tcp", lengths: { atLeast: 5 } },
  diagnosticAck: { type: 0x8002, via: "tcp", lengths: { atLeast: 5 } },
  diagnosticNack: { type: 0x8003, via: "tcp", lengths: { atLeast: 5 } },
} as const satisfies Record<string, PayloadTypeSpec>;

export type PayloadName = keyof typeof PAYLOAD_TYPES;

/** Payload type number → its name and row. */
export const PAYLOAD_BY_TYPE: ReadonlyMap<number, PayloadTypeSpec & { readonly name: PayloadName }> = new Map(
  (Object.entries(PAYLOAD_TYPES) as [PayloadName, PayloadTypeSpec][]).map(([name, spec]) => [
    spec.type,
    { ...spec, name },
  ]),
);

/** Generic header NACK (type 0x0000). `closes`: the receiver closes the TCP socket after sending it. */
export const GENERIC_NACKS = {
  incorrectPattern: { code: 0x00, closes: true },
  unknownPayloadType: { code: 0x01, closes: false },
  messageTooLarge: { code: 0x02, closes: false },
  outOfMemory: { code: 0x03, closes: false },
  invalidPayloadLength: { code: 0x04, closes: true },
} as const;
export type GenericNackName = keyof typeof GENERIC_NACKS;

/** Diagnostic NACK (type 0x8003). Out of memory is 0x05 here and 0x03 in the generic NACK. */
export const DIAGNOSTIC_NACKS = {
  invalidSourceAddress: 0x02,
  unknownTargetAddress: 0x03,
  messageTooLarge: 0x04,
  outOfMemory: 0x05,
  targetUnreachable: 0x06,
  unknownNetwork: 0x07,
  transportProtocolError: 0x08,
} as const;

export const DIAGNOSTIC_ACK_CODE = 0x00;

export const ACTIVATION_TYPES = { default: 0x00, regulatory: 0x01, centralSecurity: 0xe0 } as const;

export interface ActivationCodeSpec {
  readonly code: number;
  readonly text: string;
  readonly success?: true;
  /** The entity closes the socket after this answer. */
  readonly closes?: true;
}

export const ACTIVATION_CODES = {
  unknownSourceAddress: { code: 0x00, text: "unknown source address", closes: true },
  noFreeSocket: { code: 0x01, text: "all TCP sockets are registered and active", closes: true },
  differentSourceAddress: { code: 0x02, text: "another source address is active on this socket", closes: true },
  sourceAddressInUse: { code: 0x03, text: "source address is active on another socket", closes: true },
  missingAuthentication: { code: 0x04, text: "missing authentication" },
  rejectedConfirmation: { code: 0x05, text: "rejected confirmation", closes: true },
  unsupportedActivationType: { code: 0x06, text: "unsupported activation type", closes: true },
  tlsRequired: { code: 0x07, text: "TLS is required", closes: true },
  activated: { code: 0x10, text: "activated", success: true },
  activatedAfterConfirmation: { code: 0x11, text: "will be activated after confirmation", success: true },
} as const satisfies Record<string, ActivationCodeSpec>;

const ACTIVATION_BY_CODE: ReadonlyMap<number, ActivationCodeSpec> = new Map(
  Object.values(ACTIVATION_CODES).map((spec) => [spec.code, spec]),
);

/** The meaning of a routing activation response code; OEM and reserved codes are refusals of that name. */
export function activationCode(code: number): ActivationCodeSpec {
  return ACTIVATION_BY_CODE.get(code) ?? { code, text: code >= 0xe0 && code <= 0xfe ? "OEM specific" : "reserved" };
}

export const FURTHER_ACTION = { none: 0x00, centralSecurity: 0x10 } as const;

/** The routing activation that an announcement's further action asks for. What OEMs define is theirs to follow. */
export function activationTypeFor(furtherAction: number): number {
  return furtherAction === FURTHER_ACTION.centralSecurity ? ACTIVATION_TYPES.centralSecurity : ACTIVATION_TYPES.default;
}

export const SYNC_STATUS = { synchronized: 0x00, notSynchronized: 0x10 } as const;
export const NODE_TYPES = { gateway: 0x00, node: 0x01 } as const;
export const POWER_MODES = { notReady: 0x00, ready: 0x01, notSupported: 0x02 } as const;

/** Timers of ISO 13400-2, milliseconds. */
export const TIMERS = {
  controlMs: 2_000,
  announceWaitMaxMs: 500,
  announceIntervalMs: 500,
  announceCount: 3,
  diagnosticMessageMs: 2_000,
  processingMs: 2_000,
  vehicleDiscoveryMs: 5_000,
  initialInactivityMs: 2_000,
  generalInactivityMs: 300_000,
  aliveCheckMs: 500,
} as const;
