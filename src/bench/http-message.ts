/** HTTP/1.1 as a load generator needs it: requests made once as bytes, and where a response ends (RFC 9112). */
import { JSON_TYPE } from "#core/media-types.ts";

export interface RequestSpec {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly host: string;
  readonly token?: string | undefined;
  readonly accept?: string;
  /** JSON value. */
  readonly json?: unknown;
}

/** The bytes of a request on a connection that stays. */
export function encodeRequest({ method, path, host, token, accept, json }: RequestSpec): Buffer {
  const body = json === undefined ? "" : JSON.stringify(json);
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`];
  if (token !== undefined) lines.push(`Authorization: Bearer ${token}`);
  if (accept !== undefined) lines.push(`Accept: ${accept}`);
  if (json !== undefined) lines.push(`Content-Type: ${JSON_TYPE}`, `Content-Length: ${Buffer.byteLength(body)}`);
  else if (method !== "GET" && method !== "HEAD") lines.push("Content-Length: 0");
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

export interface ResponseFrame {
  readonly status: number;
  /** Offset of the first byte after the response. */
  readonly end: number;
  /** The server ends the connection after it. */
  readonly closes: boolean;
}

const STATUS_AT = "HTTP/1.1 ".length;
/** Heads and chunk lines are short; whoever sends more is no HTTP server. */
const MAX_HEAD_BYTES = 65_536;

/**
 * The response that begins at `at`: its frame, `incomplete` when more bytes are needed, `malformed` when no more bytes can help. A
 * length that only the end of the connection tells is malformed here, because such a connection cannot be kept.
 */
export function decodeResponse(bytes: Buffer, at = 0): ResponseFrame | "incomplete" | "malformed" {
  const headEnd = bytes.indexOf("\r\n\r\n", at, "latin1");
  if (headEnd === -1) return bytes.length - at > MAX_HEAD_BYTES ? "malformed" : "incomplete";
  const head = bytes.toString("latin1", at, headEnd);
  const status = Number(head.slice(STATUS_AT, STATUS_AT + 3));
  if (!head.startsWith("HTTP/1.") || !(status >= 100)) return "malformed";
  const bodyAt = headEnd + 4;
  const closes = /\r\nconnection: *close/i.test(head);
  if (status === 204 || status === 304) return { status, end: bodyAt, closes };
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  if (length !== null) {
    const end = bodyAt + Number(length[1]);
    return end > bytes.length ? "incomplete" : { status, end, closes };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return "malformed";
  const end = chunkedEnd(bytes, bodyAt);
  return typeof end === "string" ? end : { status, end, closes };
}

function chunkedEnd(bytes: Buffer, from: number): number | "incomplete" | "malformed" {
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at, "latin1");
    if (lineEnd === -1) return bytes.length - at > MAX_HEAD_BYTES ? "malformed" : "incomplete";
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(size >= 0)) return "malformed";
    at = lineEnd + 2 + size + 2;
    if (at > bytes.length) return "incomplete";
    if (size === 0) return at;
  }
}
