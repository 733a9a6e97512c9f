/** Request bodies by the family a route names; every refusal is a `Fault`, so one JSON error object goes out whatever the family. */
import type { TObject, TSchema } from "typebox";
import { Fault, type FaultKind, reasonOf } from "#core/errors.ts";
import { BYTES_TYPE, JSON_TYPE, MULTIPART_TYPE, URL_ENCODED_TYPE } from "#core/media-types.ts";
import { problemsOf } from "#core/validate.ts";
import type { ServiceBody } from "#fleet/messages.ts";
import type { JsonBody, JsonFamily, NegotiatedBody, RawBody, ServiceCall, UploadBody } from "#sovd/route.ts";
import { mediaType, requireBytes, requireText } from "./negotiate.ts";

/** What the server read of a request with a body. */
export interface RawRequestBody {
  readonly contentType: string;
  /** Empty when absent. */
  readonly contentLength: string;
  readonly accept: string;
  readonly bytes: Uint8Array;
  /** Deepest nesting of JSON. */
  readonly maxJsonDepth: number;
}

interface FamilyFaults {
  /** Undefined: Content-Type is not looked at. */
  readonly type: FaultKind | undefined;
  readonly syntax: FaultKind;
  readonly shape: FaultKind;
}

export const FAMILIES: Readonly<Record<JsonFamily, FamilyFaults>> = {
  wrapped: { type: "badRequest", syntax: "badRequest", shape: "badRequest" },
  plain: { type: "unsupportedMediaType", syntax: "badRequest", shape: "unprocessable" },
  typed: { type: "unsupportedMediaType", syntax: "badRequest", shape: "badRequest" },
  lenient: { type: undefined, syntax: "badRequest", shape: "badRequest" },
};

const NO_PARAMETERS: ServiceBody = { type: "none" };
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The checked body a handler gets. */
export function readBody(spec: JsonBody | NegotiatedBody | RawBody, raw: RawRequestBody): unknown {
  if (spec.kind === "json") return readJson(spec, raw);
  if (spec.kind === "service") return readService(spec, raw);
  requireBytes(raw.accept, raw.contentType);
  requireLength(raw);
  return raw.bytes;
}

/** The type of an upload, which says where its parts end. Bulk data has any type that is no other form. */
export function uploadType(spec: UploadBody, given: string): string {
  const contentType = spec.bulk === true ? bulkType(given) : given;
  const type = mediaType(contentType);
  if (!spec.types.includes(type) && (spec.bulk !== true || type.startsWith("multipart/"))) {
    throw new Fault(
      spec.bulk === true ? "unsupportedMediaType" : "badRequest",
      `Unsupported mime-type: ${contentType}`,
    );
  }
  if (type === MULTIPART_TYPE && !/;\s*boundary=("[^"]+"|[^\s;"]+)/i.test(contentType)) {
    throw new Fault("badRequest", "Invalid `boundary` for `multipart/form-data` request");
  }
  return contentType;
}

/** What has no type is bytes, as RFC 9110, 8.3 has it; and what `curl --data-binary` sends is no form, whatever it says. */
function bulkType(given: string): string {
  return given === "" || mediaType(given) === URL_ENCODED_TYPE ? BYTES_TYPE : given;
}

function readJson(spec: JsonBody, raw: RawRequestBody): unknown {
  if (spec.unreadable === undefined) return checkedJson(spec, raw);
  try {
    return checkedJson(spec, raw);
  } catch (error) {
    throw new Fault((error as Fault).kind, spec.unreadable);
  }
}

function checkedJson(spec: JsonBody, raw: RawRequestBody): unknown {
  const faults = FAMILIES[spec.family];
  if (spec.optional === true && (raw.contentType === "" || raw.bytes.byteLength === 0)) return undefined;
  if (faults.type !== undefined && !isJson(raw.contentType)) {
    throw new Fault(faults.type, "Expected request with `Content-Type: application/json`");
  }
  const value = withoutNulls(spec.schema, parse(raw, faults.syntax, "Failed to parse the request body as JSON: "));
  const problems = problemsOf(spec.schema, value);
  if (problems !== undefined) {
    throw new Fault(faults.shape, `Failed to deserialize the JSON body into the target type: ${problems}`);
  }
  const objection = spec.check?.(value as never);
  if (objection !== undefined) throw new Fault("badRequest", objection);
  return value;
}

/** `application/json` or a type built on it. */
function isJson(contentType: string): boolean {
  const type = mediaType(contentType);
  return type === JSON_TYPE || (type.startsWith("application/") && type.endsWith("+json"));
}

function parse({ bytes, maxJsonDepth }: RawRequestBody, kind: FaultKind, prefix: string): unknown {
  if (jsonDepth(bytes) > maxJsonDepth) throw new Fault(kind, `${prefix}nested deeper than ${maxJsonDepth}`);
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new Fault(kind, prefix + reasonOf(error));
  }
}

/** `null` stands for an optional member that is not there; values inside free-form members are the caller's own. */
function withoutNulls(schema: TSchema, value: unknown): unknown {
  const { properties, required } = schema as Partial<TObject>;
  if (properties === undefined || typeof value !== "object" || value === null) return value;
  const members = value as Record<string, unknown>;
  for (const [name, property] of Object.entries(properties)) {
    if (members[name] === null && required?.includes(name) !== true) delete members[name];
    else if (members[name] !== undefined) withoutNulls(property, members[name]);
  }
  return value;
}

/** Deepest nesting of brackets outside strings; right for JSON, harmless for anything else. */
export function jsonDepth(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) deepest = Math.max(deepest, ++depth);
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
  }
  return deepest;
}

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

function readService(spec: NegotiatedBody, raw: RawRequestBody): ServiceCall {
  if (raw.contentType === "") {
    if (spec.required) throw new Fault("badRequest", "Missing Content-Type");
    return { service: NO_PARAMETERS, timeoutS: undefined };
  }
  const type = mediaType(raw.contentType);
  if (type === JSON_TYPE) return jsonService(spec, raw);
  if (type !== BYTES_TYPE) {
    requireText(raw.contentType);
    throw new Fault("badRequest", `Unsupported mime-type: ${raw.contentType}`);
  }
  requireLength(raw);
  const service: ServiceBody = raw.bytes.byteLength === 0 ? NO_PARAMETERS : { type: "raw", bytes: raw.bytes };
  return { service, timeoutS: undefined };
}

function jsonService(spec: NegotiatedBody, raw: RawRequestBody): ServiceCall {
  const value = withoutNulls(spec.schema, parse(raw, "badRequest", "Invalid JSON: "));
  const problems = problemsOf(spec.schema, value);
  if (problems !== undefined) throw new Fault("badRequest", `Invalid JSON: ${problems}`);
  const body = value as { readonly timeout?: number } & Readonly<Record<string, unknown>>;
  const parameters = body[spec.member] as Readonly<Record<string, unknown>> | undefined;
  if (parameters === undefined && spec.memberRequired) {
    throw new Fault("badRequest", `Invalid JSON: missing field \`${spec.member}\``);
  }
  const service: ServiceBody = parameters === undefined ? NO_PARAMETERS : { type: "json", parameters };
  return { service, timeoutS: body.timeout };
}

function requireLength(raw: RawRequestBody): void {
  if (raw.contentLength === "") throw new Fault("badRequest", "Missing Content-Length");
  if (!/^\d+$/.test(raw.contentLength)) throw new Fault("badRequest", `Invalid Content-Length: ${raw.contentLength}`);
}
