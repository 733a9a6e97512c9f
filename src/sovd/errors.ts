/** The one mapper from a fault to SOVD's error object, its status and headers. */
import { FAULTS, Fault, type FaultData, type FaultKind, type FaultSpec, toFaultData } from "#core/errors.ts";
import { nrcText } from "#uds/nrc.ts";
import type { SovdOptions } from "./context.ts";

export interface SovdError {
  message: string;
  error_code: string;
  vendor_code?: string;
  parameters?: Record<string, unknown>;
  "x-errorsource"?: string;
}

export interface ErrorAnswer {
  readonly status: number;
  readonly json: SovdError;
  readonly headers?: Readonly<Record<string, string>>;
}

type ErrorOptions = Pick<SovdOptions, "truncatedAnswerStatus" | "retryAfterS">;

/** The CDA writes the plural, ISO 17978-3 the singular. */
const ISO_PRECONDITION = "precondition-not-fulfilled";

/** What a caller learns of a mistake of ours; the log tells the rest. */
const UNEXPECTED: FaultData = { kind: "internal", message: "Internal Server Error" };

const NOT_ALLOWED = "The parameter value is not valid";

/** Base paths of the CDA keep its spelling of error codes. */
function usesCdaSpelling(base: string): boolean {
  return base.startsWith("/vehicle/");
}

/** Status, headers and error object of whatever was thrown. `base` decides the spelling of `error_code`. */
export function toErrorAnswer(error: unknown, base: string, options: ErrorOptions): ErrorAnswer {
  const fault = error instanceof Fault ? toFaultData(error) : UNEXPECTED;
  const spec: FaultSpec = FAULTS[fault.kind];
  const json = errorObjectAt(base, fault);
  const headers = headersOf(fault, spec, options);
  const status = statusOf(fault, spec, options, json);
  return headers === undefined ? { status, json } : { status, json, headers };
}

function statusOf(fault: FaultData, spec: FaultSpec, options: ErrorOptions, json: SovdError): number {
  if (fault.kind === "payloadTooShort" && options.truncatedAnswerStatus === 502) {
    json.error_code = "invalid-response-content";
    delete json.vendor_code;
    return 502;
  }
  return spec.status;
}

function headersOf(fault: FaultData, spec: FaultSpec, options: ErrorOptions): Record<string, string> | undefined {
  if (fault.kind === "unauthorized")
    return { "WWW-Authenticate": String(fault.details?.challenge ?? 'Bearer realm="sovd"') };
  if (fault.kind === "methodNotAllowed") return { Allow: String(fault.details?.allow ?? "") };
  if (fault.kind === "rangeNotSatisfiable" && fault.details?.size !== undefined) {
    return { "Content-Range": `bytes */${fault.details.size}` };
  }
  if (spec.retryable && spec.status !== 504) return { "Retry-After": String(options.retryAfterS) };
  return undefined;
}

/** The error object as a base path spells it. */
export function errorObjectAt(base: string, fault: FaultData): SovdError {
  const json = toErrorObject(fault);
  if (json.error_code === "preconditions-not-fulfilled" && !usesCdaSpelling(base)) json.error_code = ISO_PRECONDITION;
  return json;
}

/** The error object alone. */
export function toErrorObject(fault: FaultData): SovdError {
  if (fault.kind === "ecuRefused") return refusal(fault);
  const spec: FaultSpec = FAULTS[fault.kind];
  const json: SovdError = { message: messageOf(fault), error_code: spec.code };
  if (spec.vendorCode !== undefined) json.vendor_code = spec.vendorCode;
  const parameters = parametersOf(fault);
  if (parameters !== undefined) json.parameters = parameters;
  return json;
}

/** A value outside the allowed ones has one text for all; which are allowed stands in `parameters`. */
function messageOf(fault: FaultData): string {
  const isChoice = fault.kind === "invalidParameter" && fault.details?.possibleValues !== undefined;
  return isChoice ? NOT_ALLOWED : fault.message;
}

/** Kinds whose details are for the caller; those of any other kind are for the log and for ourselves, but for a state of an update. */
const TELLING: ReadonlySet<FaultKind> = new Set(["dataError", "rangeNotSatisfiable", "workerLost"]);

function parametersOf({ kind, details }: FaultData): Record<string, unknown> | undefined {
  if (details === undefined) return undefined;
  if (TELLING.has(kind)) return { ...details };
  if (kind === "conflict" && typeof details.state === "string") return { state: details.state };
  const possible = details.possibleValues;
  if (kind !== "invalidParameter" || !Array.isArray(possible)) return undefined;
  return { details: "value", possiblevalues: possible.map((value) => String(value).toLowerCase()) };
}

function refusal(fault: FaultData): SovdError {
  const nrc = fault.details?.nrc;
  const sid = fault.details?.sid;
  const parameters: Record<string, unknown> = {};
  if (typeof nrc === "number") parameters.NRC = nrc;
  if (typeof sid === "number") parameters.SID = sid;
  return {
    message: `A negative Response was received (${refusalText(fault, nrc)})`,
    error_code: FAULTS.ecuRefused.code,
    parameters,
    "x-errorsource": "ECU",
  };
}

/** The database's own text of the coded NRC wins over the standard's. */
function refusalText(fault: FaultData, nrc: unknown): string {
  const text = fault.details?.text;
  if (typeof text === "string") return text;
  return typeof nrc === "number" ? nrcText(nrc) : "";
}

/** What the CDA makes of an ECU's failure beside the results of others, by the status it would have alone. */
const BESIDE: Readonly<Record<number, { readonly prefix: string; readonly code?: string; readonly vendor?: string }>> =
  {
    400: { prefix: "Bad Request: ", code: "invalid-response-content", vendor: "bad-request" },
    403: { prefix: "Forbidden: " },
    404: { prefix: "Not Found: " },
    409: { prefix: "Conflict: ", code: "sovd-server-failure" },
    500: { prefix: "Internal Server Error: ", code: "sovd-server-failure" },
    504: { prefix: "Not Responding: " },
  };

/**
 * A failure beside the results of others (functional groups): of an ECU, with other codes than the same failure of a whole request,
 * or of a parameter of its answer.
 */
export function toDataError(fault: FaultData): SovdError {
  const alone = toErrorObject(fault);
  if (fault.kind === "ecuRefused" || fault.kind === "dataError") return alone;
  const beside = fault.kind === "invalidParameter" ? undefined : BESIDE[FAULTS[fault.kind].status];
  if (beside === undefined) return { ...alone, "x-errorsource": "ecu" };
  const { prefix, code = alone.error_code, vendor } = beside;
  const vendor_code = beside.code === undefined ? alone.vendor_code : vendor;
  return {
    message: prefix + alone.message,
    error_code: code,
    ...(vendor_code === undefined ? {} : { vendor_code }),
    "x-errorsource": "ecu",
  };
}

/** A `Fault` for an allowed-values failure, e.g. of a mode or scope. */
export function invalidValue(possibleValues: readonly string[]): Fault {
  return new Fault("invalidParameter", NOT_ALLOWED, { possibleValues });
}
