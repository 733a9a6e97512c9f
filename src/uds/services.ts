/** The services of ISO 14229-1 as a table; suppression, echo rule and names derive from it. */

export interface ServiceSpec {
  readonly sid: number;
  /** Byte 1 is a sub-function whose bit 7 suppresses the positive response. */
  readonly subFunction: boolean;
  /** Leading bytes that a positive response shares with its request, SID (+0x40) included. */
  readonly matchBytes: number;
  /** ISO 14229-1:2020. */
  readonly clause: string;
}

export const SERVICES = {
  diagnosticSessionControl: { sid: 0x10, subFunction: true, matchBytes: 2, clause: "10.2" },
  ecuReset: { sid: 0x11, subFunction: true, matchBytes: 2, clause: "10.3" },
  clearDiagnosticInformation: { sid: 0x14, subFunction: false, matchBytes: 1, clause: "12.2" },
  readDtcInformation: { sid: 0x19, subFunction: true, matchBytes: 2, clause: "12.3" },
  readDataByIdentifier: { sid: 0x22, subFunction: false, matchBytes: 3, clause: "11.2" },
  // The response holds memory only, nothing of the request.
  readMemoryByAddress: { sid: 0x23, subFunction: false, matchBytes: 1, clause: "11.3" },
  readScalingDataByIdentifier: { sid: 0x24, subFunction: false, matchBytes: 3, clause: "11.4" },
  securityAccess: { sid: 0x27, subFunction: true, matchBytes: 2, clause: "10.4" },
  communicationControl: { sid: 0x28, subFunction: true, matchBytes: 2, clause: "10.5" },
  authentication: { sid: 0x29, subFunction: true, matchBytes: 2, clause: "10.6" },
  readDataByPeriodicIdentifier: { sid: 0x2a, subFunction: false, matchBytes: 1, clause: "11.5" },
  dynamicallyDefineDataIdentifier: { sid: 0x2c, subFunction: true, matchBytes: 2, clause: "11.6" },
  writeDataByIdentifier: { sid: 0x2e, subFunction: false, matchBytes: 3, clause: "11.7" },
  inputOutputControlByIdentifier: { sid: 0x2f, subFunction: false, matchBytes: 3, clause: "13.2" },
  routineControl: { sid: 0x31, subFunction: true, matchBytes: 4, clause: "14.2" },
  requestDownload: { sid: 0x34, subFunction: false, matchBytes: 1, clause: "15.2" },
  requestUpload: { sid: 0x35, subFunction: false, matchBytes: 1, clause: "15.3" },
  transferData: { sid: 0x36, subFunction: false, matchBytes: 2, clause: "15.4" },
  requestTransferExit: { sid: 0x37, subFunction: false, matchBytes: 1, clause: "15.5" },
  requestFileTransfer: { sid: 0x38, subFunction: false, matchBytes: 2, clause: "15.6" },
  writeMemoryByAddress: { sid: 0x3d, subFunction: false, matchBytes: 2, clause: "11.8" },
  testerPresent: { sid: 0x3e, subFunction: true, matchBytes: 2, clause: "10.7" },
  securedDataTransmission: { sid: 0x84, subFunction: false, matchBytes: 1, clause: "16.2" },
  controlDtcSetting: { sid: 0x85, subFunction: true, matchBytes: 2, clause: "10.8" },
  responseOnEvent: { sid: 0x86, subFunction: true, matchBytes: 2, clause: "10.9" },
  linkControl: { sid: 0x87, subFunction: true, matchBytes: 2, clause: "10.10" },
} as const satisfies Record<string, ServiceSpec>;

export type ServiceName = keyof typeof SERVICES;

/** SID → row. */
export const SERVICE_BY_SID: ReadonlyMap<number, ServiceSpec & { readonly name: ServiceName }> = new Map(
  (Object.entries(SERVICES) as [ServiceName, ServiceSpec][]).map(([name, spec]) => [spec.sid, { ...spec, name }]),
);

/** A positive response starts with the request's SID plus this. */
export const POSITIVE_RESPONSE_OFFSET = 0x40;
export const NEGATIVE_RESPONSE_SID = 0x7f;
export const SUPPRESS_POSITIVE_RESPONSE_BIT = 0x80;

// Flat tables by SID: read for every frame.
const SUB_FUNCTION = new Uint8Array(256);
const MATCH_BYTES = new Uint8Array(256).fill(1);
for (const { sid, subFunction, matchBytes } of Object.values(SERVICES)) {
  SUB_FUNCTION[sid] = subFunction ? 1 : 0;
  MATCH_BYTES[sid] = matchBytes;
}

/** Whether byte 1 of this service is a sub-function. */
export function hasSubFunction(sid: number): boolean {
  return SUB_FUNCTION[sid & 0xff] === 1;
}

/** Bytes to compare in a positive response, SID included; 1 for services that the table does not know. */
export function matchBytes(sid: number): number {
  return MATCH_BYTES[sid & 0xff]!;
}

/** Whether the request asks the ECU not to answer positively (ISO 14229-1 clause 8.2.2). */
export function suppressesPositiveResponse(request: Uint8Array): boolean {
  return request.length >= 2 && hasSubFunction(request[0]!) && (request[1]! & SUPPRESS_POSITIVE_RESPONSE_BIT) !== 0;
}
