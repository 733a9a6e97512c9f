/** From a positive response to the bytes of the API's answer. */
import type { Accept, ByteFormat, Reply } from "#fleet/messages.ts";
import { type Decoded, decodeResponse, writeResponseJson } from "#mdd/codec/codec.ts";
import { failureFault } from "#mdd/codec/errors.ts";
import { JsonBytes, jsonBytes } from "#mdd/codec/json-bytes.ts";
import { bytesReply, type DataError, dataErrors, emptyReply, rawReply } from "./reply.ts";
import type { Answer } from "./run.ts";

/** How an answer is to look. */
export interface AnswerForm {
  /** Member that holds the parameters. */
  readonly member: "data" | "parameters" | "requestdownload";
  readonly id?: string;
  readonly accept?: Accept | undefined;
  readonly byteFormat?: ByteFormat | undefined;
  readonly schema?: boolean | undefined;
  /** Operations name their data errors `error`: the first one, or all. */
  readonly errorsAs?: "errors" | "error";
  readonly firstErrorOnly?: boolean;
  readonly emptyIs204?: boolean;
}

/** One buffer per thread; answers are taken out of it as copies of their own. */
const OUT = new JsonBytes();
const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const EMPTY_OBJECT = jsonBytes({});
/** Names of members with their quotes and colon. */
const KEYS = new Map<string, Uint8Array>();

/**
 * The finished answer. Empty parameters without errors: 204 for data, an answer without the member for operations.
 * @throws Fault when the response as a whole could not be read
 */
export function answerReply(answer: Answer, form: AnswerForm, schemaOf: () => unknown): Reply {
  if (form.accept === "raw") return rawReply(rawOf(answer));
  OUT.reset();
  OUT.byte(OPEN);
  if (form.id !== undefined) {
    openMember("id", true);
    OUT.string(form.id);
  }
  const start = OUT.length;
  openMember(form.member, form.id === undefined);
  const valueAt = OUT.length;
  const decoded = write(answer, form.byteFormat);
  const empty = isNull(valueAt);
  if (empty) OUT.reset(start);
  if (empty && decoded.errors.length === 0 && (form.id !== undefined || form.emptyIs204)) return emptyReply(204);
  if (empty && form.id !== undefined) member(form.member, EMPTY_OBJECT, false);
  writeErrors(decoded, form);
  if (form.schema) member("schema", jsonBytes(schemaOf()), OUT.length === 1);
  OUT.byte(CLOSE);
  return bytesReply(OUT.take());
}

/** The parameters alone, `{}` when there are none. */
export function parametersReply(answer: Answer, { byteFormat }: { readonly byteFormat?: ByteFormat }): Reply {
  OUT.reset();
  write(answer, byteFormat);
  return bytesReply(isNull(0) ? EMPTY_OBJECT.slice() : OUT.take());
}

/** Parameters as an object; undefined when there are none. @throws Fault when the response could not be read */
export function answerObject(answer: Answer): Record<string, unknown> | undefined {
  const decoded = decodeResponse(answer.plan, answer.response, answer.request);
  if (decoded.failure !== undefined) throw failureFault(decoded.failure);
  return decoded.data ?? undefined;
}

/** The parameters as JSON text, and what of them could not be read. */
export function answerText(answer: Answer, resource: string): { text: string; errors: readonly DataError[] } {
  OUT.reset();
  const decoded = write(answer, "hex");
  const text = isNull(0) ? "{}" : Buffer.from(OUT.view()).toString("utf8");
  return { text, errors: dataErrors(resource, decoded.errors) };
}

/** Parameters that could not be read. */
export function answerProblems(answer: Answer, resource: string): readonly DataError[] {
  return dataErrors(resource, decodeResponse(answer.plan, answer.response, answer.request).errors);
}

/** Parameter bytes: the response from its first data parameter on. */
export function parameterBytes(answer: Answer): Uint8Array {
  return rawOf(answer);
}

function rawOf({ plan, request, response }: Answer): Uint8Array {
  return response.length === 0 ? response : decodeResponse(plan, response, request).raw;
}

/** Appends the parameters, `null` when there are none. */
function write({ plan, request, response }: Answer, byteFormat: ByteFormat | undefined): Decoded {
  const before = OUT.length;
  const decoded = writeResponseJson(plan, response, request, OUT, byteFormat === undefined ? {} : { byteFormat });
  if (decoded.failure !== undefined) throw failureFault(decoded.failure);
  if (OUT.length === before) OUT.ascii("null");
  return decoded;
}

/** Whether what was written from `at` on is `null`: a JSON object is never four bytes that begin with n. */
function isNull(at: number): boolean {
  return OUT.view()[at] === 0x6e;
}

function writeErrors(decoded: Decoded, form: AnswerForm): void {
  if (decoded.errors.length === 0) return;
  const errors = dataErrors(form.member, decoded.errors);
  if (form.firstErrorOnly) member("error", jsonBytes(errors[0]), OUT.length === 1);
  else member(form.errorsAs ?? "errors", jsonBytes(errors), OUT.length === 1);
}

function member(name: string, value: Uint8Array, isFirst: boolean): void {
  openMember(name, isFirst);
  OUT.raw(value);
}

function openMember(name: string, isFirst: boolean): void {
  let key = KEYS.get(name);
  if (key === undefined) {
    key = jsonBytes({ [name]: 0 }).slice(1, -2);
    KEYS.set(name, key);
  }
  if (!isFirst) OUT.byte(COMMA);
  OUT.raw(key);
}
