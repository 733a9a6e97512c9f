/** Errors of the codec: the kinds that the CDA tells apart, and the fault that each becomes. */
import { Fault, type FaultKind } from "#core/errors.ts";

/** Kind → text before the message, and our fault kind. The texts are the CDA's, so that clients that match them go on working. */
export const CODEC_ERRORS = {
  BadPayload: { prefix: "Bad payload: ", fault: "badRequest" },
  NotEnoughData: { prefix: "", fault: "payloadTooShort" },
  InvalidDatabase: { prefix: "Invalid database: ", fault: "invalidDatabase" },
  InvalidRequest: { prefix: "Invalid request: ", fault: "badRequest" },
  ParameterConversionError: { prefix: "Parameter conversion error: ", fault: "badRequest" },
  UdsLookupError: { prefix: "UDS lookup error: ", fault: "badRequest" },
  RequestNotSupported: { prefix: "Request not supported: ", fault: "badRequest" },
} as const satisfies Record<string, { prefix: string; fault: FaultKind }>;

export type CodecErrorKind = keyof typeof CODEC_ERRORS;

/** Why a message could not be decoded at all; plain data. */
export interface CodecFailure {
  readonly kind: CodecErrorKind;
  /** With the kind's prefix. */
  readonly message: string;
  /** JSON pointer to the parameter; empty for the whole message. */
  readonly path: string;
}

/** The fault of a codec error; `details` names the kind and the parameter. */
export function codecFault(kind: CodecErrorKind, text: string, path: string): Fault {
  const details = path === "" ? { kind } : { kind, parameter: path };
  return new Fault(CODEC_ERRORS[kind].fault, CODEC_ERRORS[kind].prefix + text, details);
}

/** A decode failure as the fault to throw. */
export function failureFault(failure: CodecFailure): Fault {
  const details = failure.path === "" ? { kind: failure.kind } : { kind: failure.kind, parameter: failure.path };
  return new Fault(CODEC_ERRORS[failure.kind].fault, failure.message, details);
}

/** JSON pointer of a path (RFC 6901). */
export function pointer(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path) text += `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`;
  return text;
}
