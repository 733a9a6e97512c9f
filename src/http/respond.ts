/** Writes an answer to the socket. */
import type { Outgoing } from "./dispatch.ts";
import type { HttpResponse } from "./uws.ts";

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Payload Too Large",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Status line and headers, but for the length. */
export function writeHead(
  res: HttpResponse,
  { status, headers, contentType }: Pick<Outgoing, "status" | "headers" | "contentType">,
): void {
  if (status !== 200) res.writeStatus(`${status} ${REASONS[status] ?? "Status"}`);
  if (contentType !== undefined) res.writeHeader("Content-Type", contentType);
  if (headers !== undefined) for (const name in headers) res.writeHeader(name, headers[name]!);
}

/**
 * Status, headers, body, end; to be called corked. `head`: the headers of GET without its body. `endWithoutBody` is called bare: with
 * any argument it writes a second Content-Length and leaves the response open, so length and closing are said by header.
 */
export function writeAnswer(res: HttpResponse, answer: Outgoing, head: boolean, closeConnection: boolean): void {
  const { status, body } = answer;
  writeHead(res, answer);
  if (body !== undefined && !head) {
    res.end(body, closeConnection);
    return;
  }
  if (closeConnection) res.writeHeader("Connection", "close");
  if (status !== 204 && status !== 304)
    res.writeHeader("Content-Length", String(body === undefined ? 0 : Buffer.byteLength(body)));
  res.endWithoutBody();
}
