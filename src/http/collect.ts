/** Reads a request body into memory, up to a limit. */
import { Fault } from "#core/errors.ts";
import type { HttpResponse } from "./uws.ts";

const NO_BYTES = new Uint8Array(0);

/**
 * The whole body. Must be called in the socket's turn; every chunk is copied before it is handed back. Rejects with
 * `payloadTooLarge` as soon as the limit is known to be passed. A body announced by Content-Length is copied once.
 */
export function collectBody(res: HttpResponse, contentLength: string, maxBytes: number): Promise<Uint8Array> {
  const announced = Number(contentLength);
  const body = new Promise<Uint8Array>((resolve, reject) => {
    if (announced > maxBytes) {
      reject(tooLarge(maxBytes));
      return;
    }
    let bytes = announced > 0 ? new Uint8Array(announced) : NO_BYTES;
    let length = 0;
    let ended = false;
    res.onData((chunk, isLast) => {
      if (ended) return;
      if (length + chunk.byteLength > maxBytes) {
        ended = true;
        reject(tooLarge(maxBytes));
        return;
      }
      bytes = withRoom(bytes, length + chunk.byteLength, maxBytes);
      bytes.set(new Uint8Array(chunk), length);
      length += chunk.byteLength;
      if (isLast) resolve(length === bytes.byteLength ? bytes : bytes.slice(0, length));
    });
  });
  // a request refused before its body is asked for must not leave a rejection that nobody hears
  body.catch(() => undefined);
  return body;
}

function tooLarge(maxBytes: number): Fault {
  return new Fault("payloadTooLarge", `Failed to buffer the request body: length limit exceeded (${maxBytes} bytes)`);
}

/** Chunked bodies say no length: the buffer doubles. */
function withRoom(bytes: Uint8Array<ArrayBuffer>, needed: number, maxBytes: number): Uint8Array<ArrayBuffer> {
  if (needed <= bytes.byteLength) return bytes;
  const grown = new Uint8Array(Math.min(maxBytes, Math.max(needed, 2 * bytes.byteLength)));
  grown.set(bytes);
  return grown;
}
