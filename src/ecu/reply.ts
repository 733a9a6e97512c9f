/** Finished answers of a shard: status, media type, bytes of their own that may be transferred. */
import { BYTES_TYPE, JSON_TYPE } from "#core/media-types.ts";
import type { Reply, ReplyMeta } from "#fleet/messages.ts";

const ENCODER = new TextEncoder();

/** JSON out of a value made here. */
export function jsonReply(value: unknown, meta?: ReplyMeta, status = 200): Reply {
  const body = ENCODER.encode(JSON.stringify(value));
  return meta === undefined ? { status, contentType: JSON_TYPE, body } : { status, contentType: JSON_TYPE, body, meta };
}

/** Bytes that are finished already. `body` must not be a view into a larger buffer. */
export function bytesReply(body: Uint8Array, contentType = JSON_TYPE): Reply {
  return { status: 200, contentType, body };
}

/** Raw bytes as an answer; a copy, because a response is a view. Not `slice`: of a Buffer that is another view. */
export function rawReply(bytes: Uint8Array): Reply {
  return bytes.length === 0 ? emptyReply(204) : { status: 200, contentType: BYTES_TYPE, body: new Uint8Array(bytes) };
}

export function emptyReply(status: number, meta?: ReplyMeta): Reply {
  return meta === undefined ? { status } : { status, meta };
}

/** A parameter that could not be read, as the API reports it beside those that could. */
export interface DataError {
  readonly path: string;
  readonly error: {
    readonly message: string;
    readonly error_code: string;
    readonly vendor_code: string;
    readonly parameters: { readonly details: string; readonly value: string };
  };
}

/** Data errors below the resource's own member (`/data`, `/parameters` …). */
export function dataErrors(
  resource: string,
  errors: readonly { path: string; error: string; value?: string }[],
): DataError[] {
  return errors.map(({ path, error, value }) => ({
    path: `/${resource}${path}`,
    error: {
      message: "Failed to parse parameter",
      error_code: "vendor-specific",
      vendor_code: "error-interpreting-message",
      parameters: { details: error, value: value ?? "" },
    },
  }));
}
