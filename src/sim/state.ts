/** What a simulated ECU holds, as plain data. Names and values are those that the control API shows. */
import type { Dtc, FaultMemory } from "./dtc.ts";

/** Variant → value of DID F100, three bytes. */
export const VARIANTS = {
  BOOT: [0xff, 0x00, 0x00],
  APPLICATION: [0x00, 0x01, 0x01],
  APPLICATION2: [0x00, 0x10, 0x10],
  APPLICATION3: [0x00, 0x11, 0x11],
} as const;
export type Variant = keyof typeof VARIANTS;

/** Session → sub-function of service 0x10 and value of DID F186. */
export const SESSIONS = {
  DEFAULT: { subFunction: 0x01, active: 0x01 },
  PROGRAMMING: { subFunction: 0x02, active: 0x02 },
  EXTENDED: { subFunction: 0x03, active: 0x03 },
  SAFETY: { subFunction: 0x04, active: 0x04 },
  CUSTOM: { subFunction: 0x44, active: 0x23 },
} as const;
export type Session = keyof typeof SESSIONS;

/** Security state → sub-function that requests its seed; the key follows with the next number. */
export const SECURITY_LEVELS = { LOCKED: 0, LEVEL_03: 0x03, LEVEL_05: 0x05, LEVEL_07: 0x07, LEVEL_09: 0x09 } as const;
export type SecurityAccess = keyof typeof SECURITY_LEVELS;

export const ROLES = ["UNAUTHENTICATED", "AFTER_MARKET", "AFTER_SALES", "DEVELOPMENT"] as const;
export type Role = (typeof ROLES)[number];

/** Communication control type → sub-function of service 0x28. */
export const COMMUNICATION_CONTROL = {
  ENABLE_RX_AND_TX: 0x00,
  ENABLE_RX_AND_DISABLE_TX: 0x01,
  DISABLE_RX_AND_ENABLE_TX: 0x02,
  DISABLE_RX_AND_TX: 0x03,
  ENABLE_RX_AND_DISABLE_TX_WITH_ENHANCED_ADDRESS_INFORMATION: 0x04,
  ENABLE_RX_AND_TX_WITH_ENHANCED_ADDRESS_INFORMATION: 0x05,
  TEMPORAL_SYNC: 0x42,
} as const;
export type CommunicationControlType = keyof typeof COMMUNICATION_CONTROL;

/** DTC setting → sub-function of service 0x85. */
export const DTC_SETTINGS = { ON: 0x01, OFF: 0x02, TIME_TRAVEL_DTCS_ON: 0x42 } as const;
export type DtcSettingType = keyof typeof DTC_SETTINGS;

export const BLOCK_TYPES = ["BOOT", "CODE", "DATA"] as const;
export type BlockType = (typeof BLOCK_TYPES)[number];

/** A software block; `softwareVersion` is `major.minor.patch`, two digits each. */
export interface SoftwareBlock {
  readonly id: string;
  type: BlockType;
  softwareVersion: string;
  partNumber: string;
}

export interface Transfer {
  readonly addressAndLengthIdentifier: number;
  readonly memoryAddress: Uint8Array;
  readonly memorySize: Uint8Array;
  isActive: boolean;
  /** Blocks taken, repeats not counted. */
  dataTransferCount: number;
  lastBlockCounter: number;
  /** Running SHA-1 of the data; its digest when the transfer has ended. */
  hash: { update(data: Uint8Array): unknown; digest(): Uint8Array };
  checksum: Uint8Array | undefined;
}

/** A data identifier beyond the built-in ones. */
export interface DataIdentifier {
  value: Uint8Array;
  readonly writable: boolean;
}

export interface EcuState {
  variant: Variant;
  sessionState: Session;
  securityAccess: SecurityAccess;
  authentication: Role;
  vin: string;
  /** Greater than 0: `11 01` takes the ECU off the network for so long. */
  hardResetForSeconds: number;
  maxNumberOfBlockLength: number;
  blocks: SoftwareBlock[];
  communicationControlType: CommunicationControlType;
  temporalEraId: number | undefined;
  dtcSettingType: DtcSettingType;
  /** Seed that waits for its key. */
  seed: Uint8Array | undefined;
  calibrating: boolean;
  /** Progress in percent while the routine runs. */
  timeCircuits: number | undefined;
  readonly dtcs: Record<FaultMemory, Map<number, Dtc>>;
  transfers: Transfer[];
  readonly data: Map<number, DataIdentifier>;
  /** The S3 server timer runs. */
  s3: boolean;
  /** Seconds of a hard reset that begins when the response has been written. */
  hardResetPendingSeconds: number;
}

/** The state after power-on. `data`: further data identifiers, copied. */
export function initialState(vin: string, data: ReadonlyMap<number, DataIdentifier> = new Map()): EcuState {
  return {
    variant: "APPLICATION",
    sessionState: "DEFAULT",
    securityAccess: "LOCKED",
    authentication: "UNAUTHENTICATED",
    vin,
    hardResetForSeconds: 0,
    maxNumberOfBlockLength: 65_535,
    blocks: BLOCK_TYPES.map((type, i) => ({
      id: `1${i + 1}000000-0000-0000-0000-000000000000`,
      type,
      softwareVersion: `0${i + 1}.0${i + 2}.0${i + 3}`,
      partNumber: `1${i + 1}00000000`,
    })),
    communicationControlType: "ENABLE_RX_AND_TX",
    temporalEraId: undefined,
    dtcSettingType: "ON",
    seed: undefined,
    calibrating: false,
    timeCircuits: undefined,
    dtcs: { Standard: new Map(), Development: new Map() },
    transfers: [],
    data: new Map([...data].map(([did, { value, writable }]) => [did, { value: new Uint8Array(value), writable }])),
    s3: false,
    hardResetPendingSeconds: 0,
  };
}
