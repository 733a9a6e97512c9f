/** Negative response codes (ISO 14229-1 annex A): code, text, and what a client does with them. */

/**
 * `pending`: the final response comes later; `busy` and `unavailable`: the same request is sent again after a while;
 * `never`: an answer for the caller.
 */
export type NrcRetry = "pending" | "busy" | "unavailable" | "never";

interface NrcSpec {
  readonly code: number;
  /** As the API shows it. */
  readonly text: string;
  readonly retry?: Exclude<NrcRetry, "never">;
}

const CERTIFICATE = "Certificate verification failed - ";

export const NRCS = {
  positiveResponse: { code: 0x00, text: "Positive Response" },
  generalReject: { code: 0x10, text: "General Reject" },
  serviceNotSupported: { code: 0x11, text: "Service Not Supported" },
  subFunctionNotSupported: { code: 0x12, text: "Sub-function Not Supported" },
  incorrectMessageLengthOrInvalidFormat: { code: 0x13, text: "Incorrect Message Length Or Invalid Format" },
  responseTooLong: { code: 0x14, text: "Response Too Long" },
  busyRepeatRequest: { code: 0x21, text: "Busy Repeat Request", retry: "busy" },
  conditionsNotCorrect: { code: 0x22, text: "Conditions Not Correct" },
  requestSequenceError: { code: 0x24, text: "Request Sequence Error" },
  noResponseFromSubnetComponent: { code: 0x25, text: "No Response From Subnet Component" },
  failurePreventsExecution: { code: 0x26, text: "Failure Prevents Execution Of Requested Action" },
  requestOutOfRange: { code: 0x31, text: "Request Out Of Range" },
  securityAccessDenied: { code: 0x33, text: "Security Access Denied" },
  authenticationRequired: { code: 0x34, text: "Authentication Required" },
  invalidKey: { code: 0x35, text: "Invalid Key" },
  exceedNumberOfAttempts: { code: 0x36, text: "Exceed Number Of Attempts" },
  requiredTimeDelayNotExpired: { code: 0x37, text: "Required Time Delay Not Expired" },
  secureDataTransmissionRequired: { code: 0x38, text: "Secure Data Transmission Required" },
  secureDataTransmissionNotAllowed: { code: 0x39, text: "Secure Data Transmission Not Allowed" },
  secureDataVerificationFailed: { code: 0x3a, text: "Secure Data Verification Failed" },
  certificateTimePeriod: { code: 0x50, text: `${CERTIFICATE}Invalid Time Period` },
  certificateSignature: { code: 0x51, text: `${CERTIFICATE}Invalid Signature` },
  certificateChainOfTrust: { code: 0x52, text: `${CERTIFICATE}Invalid Chain of Trust` },
  certificateType: { code: 0x53, text: `${CERTIFICATE}Invalid Type` },
  certificateFormat: { code: 0x54, text: `${CERTIFICATE}Invalid Format` },
  certificateContent: { code: 0x55, text: `${CERTIFICATE}Invalid Content` },
  certificateScope: { code: 0x56, text: `${CERTIFICATE}Invalid Scope` },
  certificateRevoked: { code: 0x57, text: `${CERTIFICATE}Invalid Certificate (revoked)` },
  ownershipVerificationFailed: { code: 0x58, text: "Ownership verification failed" },
  challengeCalculationFailed: { code: 0x59, text: "Challenge calculation failed" },
  settingAccessRightsFailed: { code: 0x5a, text: "Setting Access Rights failed" },
  sessionKeyFailed: { code: 0x5b, text: "Session key creation/derivation failed" },
  configurationDataUsageFailed: { code: 0x5c, text: "Configuration data usage failed" },
  deAuthenticationFailed: { code: 0x5d, text: "DeAuthentication failed" },
  uploadDownloadNotAccepted: { code: 0x70, text: "uploadDownloadNotAccepted" },
  transferDataSuspended: { code: 0x71, text: "transferDataSuspended" },
  generalProgrammingFailure: { code: 0x72, text: "generalProgrammingFailure" },
  wrongBlockSequenceCounter: { code: 0x73, text: "wrongBlockSequenceCounter" },
  responsePending: { code: 0x78, text: "Request Correctly Received-Response Pending", retry: "pending" },
  subFunctionNotSupportedInActiveSession: { code: 0x7e, text: "Sub-function Not Supported In Active Session" },
  serviceNotSupportedInActiveSession: { code: 0x7f, text: "Service Not Supported In Active Session" },
  rpmTooHigh: { code: 0x81, text: "Rpm Too High" },
  rpmTooLow: { code: 0x82, text: "Rpm Too Low" },
  engineIsRunning: { code: 0x83, text: "Engine Is Running" },
  engineIsNotRunning: { code: 0x84, text: "Engine Is Not Running" },
  engineRunTimeTooLow: { code: 0x85, text: "Engine Run Time Too Low" },
  temperatureTooHigh: { code: 0x86, text: "Temperature Too High" },
  temperatureTooLow: { code: 0x87, text: "Temperature Too Low" },
  vehicleSpeedTooHigh: { code: 0x88, text: "Vehicle Speed Too High" },
  vehicleSpeedTooLow: { code: 0x89, text: "Vehicle Speed Too Low" },
  throttlePedalTooHigh: { code: 0x8a, text: "Throttle/Pedal Position Too High" },
  throttlePedalTooLow: { code: 0x8b, text: "Throttle/Pedal Position Too Low" },
  transmissionRangeNotInNeutral: { code: 0x8c, text: "Transmission Range Not In Neutral" },
  transmissionRangeNotInGear: { code: 0x8d, text: "Transmission Range Not In Gear" },
  brakeSwitchNotClosed: {
    code: 0x8f,
    text: "Brake Switch(es) Not Closed (Brake Pedal not pressed or not applied)",
  },
  shifterLeverNotInPark: { code: 0x90, text: "Shifter Lever Not In Park" },
  torqueConverterClutchLocked: { code: 0x91, text: "Torque Converter Clutch Locked" },
  voltageTooHigh: { code: 0x92, text: "Voltage Too High" },
  voltageTooLow: { code: 0x93, text: "Voltage Too Low" },
  resourceTemporarilyNotAvailable: {
    code: 0x94,
    text: "Resource Temporarily Not Available",
    retry: "unavailable",
  },
  reserved: { code: 0xff, text: "ISO SAE Reserved" },
} as const satisfies Record<string, NrcSpec>;

export type NrcName = keyof typeof NRCS;

const BY_CODE: ReadonlyMap<number, NrcSpec> = new Map(Object.values(NRCS).map((spec) => [spec.code, spec]));

/** Text of a code; empty when the table has none. */
export function nrcText(code: number): string {
  return BY_CODE.get(code)?.text ?? "";
}

/** What a client does with a refusal of this code. */
export function nrcRetry(code: number): NrcRetry {
  return BY_CODE.get(code)?.retry ?? "never";
}
