/**
 * The closed set of domain errors. One row per kind: HTTP status, SOVD `error_code`, `vendor_code`, and whether the caller may
 * simply try again. The one mapper to SOVD's error object reads this table; nothing else states a status twice.
 */
export interface FaultSpec {
  readonly status: number;
  readonly code: string;
  readonly vendorCode?: string;
  readonly retryable?: true;
}

const VENDOR = "vendor-specific";

export const FAULTS = {
  // what the caller sent
  badRequest: { status: 400, code: VENDOR, vendorCode: "bad-request" },
  invalidParameter: { status: 400, code: VENDOR, vendorCode: "invalid-parameter" },
  invalidData: { status: 400, code: VENDOR, vendorCode: "invalid-data" },
  unauthorized: { status: 401, code: "insufficient-access-rights" },
  forbidden: { status: 403, code: "insufficient-access-rights" },
  /** A plugin's safety check let nothing leave for the ECU. */
  sendRefused: { status: 403, code: "insufficient-access-rights", vendorCode: "send-refused" },
  notFound: { status: 404, code: VENDOR, vendorCode: "not-found" },
  methodNotAllowed: { status: 405, code: VENDOR, vendorCode: "bad-request" },
  requestTimeout: { status: 408, code: VENDOR, vendorCode: "request-timeout" },
  conflict: { status: 409, code: "preconditions-not-fulfilled" },
  updateInProgress: { status: 409, code: "update-process-in-progress" },
  updatePreparing: { status: 409, code: "update-preparation-in-progress" },
  updateExecuting: { status: 409, code: "update-execution-in-progress" },
  updateNotAutomated: { status: 409, code: "update-automated-not-supported" },
  invalidSignature: { status: 400, code: "invalid-signature" },
  rangeNotSatisfiable: { status: 416, code: VENDOR, vendorCode: "bad-request" },
  storageBusy: { status: 409, code: VENDOR, vendorCode: "storage-transaction-busy", retryable: true },
  payloadTooLarge: { status: 413, code: VENDOR, vendorCode: "bad-request" },
  unsupportedMediaType: { status: 415, code: VENDOR, vendorCode: "bad-request" },
  unprocessable: { status: 422, code: VENDOR, vendorCode: "bad-request" },
  tooManyRequests: { status: 429, code: VENDOR, vendorCode: "too-many-requests", retryable: true },
  // the server itself
  internal: { status: 500, code: "sovd-server-failure" },
  misconfigured: { status: 500, code: "sovd-server-misconfigured" },
  notImplemented: { status: 501, code: VENDOR, vendorCode: "not-implemented" },
  severe: { status: 500, code: VENDOR, vendorCode: "severe-error" },
  fatal: { status: 500, code: VENDOR, vendorCode: "fatal-error" },
  notReady: { status: 503, code: "preconditions-not-fulfilled", retryable: true },
  overloaded: { status: 503, code: VENDOR, vendorCode: "overloaded", retryable: true },
  workerLost: { status: 503, code: VENDOR, vendorCode: "worker-lost", retryable: true },
  // the ECU and the way to it
  ecuRefused: { status: 502, code: "error-response" },
  ecuOffline: { status: 504, code: "not-responding", retryable: true },
  notResponding: { status: 504, code: "not-responding", retryable: true },
  nack: { status: 400, code: VENDOR, vendorCode: "bad-request" },
  sendFailed: { status: 500, code: "sovd-server-failure" },
  /** One parameter of an answer could not be read; stands beside those that could. */
  dataError: { status: 502, code: VENDOR, vendorCode: "error-interpreting-message" },
  payloadTooShort: { status: 400, code: VENDOR, vendorCode: "bad-request" },
  // diagnostic databases
  invalidDatabase: { status: 500, code: "sovd-server-failure" },
  invalidContainer: { status: 400, code: VENDOR, vendorCode: "invalid-data" },
  // configuration
  invalidConfig: { status: 500, code: "sovd-server-misconfigured" },
  // storage and persistence (the seed's closed set)
  collectionNotFound: { status: 404, code: VENDOR, vendorCode: "not-found" },
  keyNotFound: { status: 404, code: VENDOR, vendorCode: "not-found" },
  bucketNotFound: { status: 404, code: VENDOR, vendorCode: "not-found" },
  permissionDenied: { status: 500, code: "sovd-server-failure" },
  transactionConflict: { status: 409, code: "preconditions-not-fulfilled" },
  noSpaceLeft: { status: 500, code: "sovd-server-failure" },
  storageIo: { status: 500, code: "sovd-server-failure" },
  corruption: { status: 500, code: VENDOR, vendorCode: "fatal-error" },
} as const satisfies Record<string, FaultSpec>;

export type FaultKind = keyof typeof FAULTS;

/** Facts a program may read: NRC and SID of a refusal, allowed values, the field that is wrong. Plain data, JSON-safe. */
export type FaultDetails = Readonly<Record<string, unknown>>;

/** A fault as plain data: what crosses a thread boundary. */
export interface FaultData {
  readonly kind: FaultKind;
  readonly message: string;
  readonly details?: FaultDetails;
}

/** A domain error. `message` names what is wrong for a person, `kind` and `details` for a program. */
export class Fault extends Error {
  readonly kind: FaultKind;
  readonly details: FaultDetails | undefined;

  constructor(kind: FaultKind, message: string, details?: FaultDetails, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "Fault";
    this.kind = kind;
    this.details = details;
  }
}

/** Any thrown value as plain data; what is not a `Fault` becomes `internal` with its message. */
export function toFaultData(error: unknown): FaultData {
  if (error instanceof Fault) {
    const { kind, message, details } = error;
    return details === undefined ? { kind, message } : { kind, message, details };
  }
  return { kind: "internal", message: reasonOf(error) };
}

/** What was thrown, in words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `Fault` of plain data, on the other side of a thread boundary. */
export function fromFaultData(data: FaultData): Fault {
  return new Fault(data.kind, data.message, data.details);
}
