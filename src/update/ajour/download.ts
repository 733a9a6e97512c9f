/** HTTP for the sources: requests with time limits and sizes, faults in the place of statuses. undici loads with the first one. */
import type { RequestInit, Response } from "undici";
import { gathered } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { parsedObject } from "#core/json.ts";

/** Largest document (manifest, token, deployment) that is read. */
const MAX_DOCUMENT_BYTES = 4 << 20;

export interface Download {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: "GET" | "POST" | "PUT";
  readonly body?: string;
  readonly signal: AbortSignal;
  /** Until the headers of the answer are there. */
  readonly timeoutMs: number;
}

/** The answer, whatever its status. @throws Fault notResponding */
export async function send(url: string, { signal, timeoutMs, ...rest }: Download): Promise<Response> {
  const { fetch } = await import("undici");
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(), timeoutMs);
  const init: RequestInit = { ...rest, signal: AbortSignal.any([signal, slow.signal]) };
  try {
    return await fetch(url, init);
  } catch (error) {
    signal.throwIfAborted();
    throw new Fault("notResponding", `${url} does not answer`, undefined, error);
  } finally {
    clearTimeout(timer);
  }
}

/** A fault for an answer that is none of 2xx. */
export function requireOk(response: Response): void {
  if (!response.ok)
    throw new Fault("notReady", `${response.url} answers ${response.status}`, { status: response.status });
}

/** The bytes of a small document. @throws Fault payloadTooLarge */
export function documentOf(response: Response): Promise<Uint8Array> {
  const tooLong = () => new Fault("payloadTooLarge", `${response.url} answers more than a document`);
  return gathered(bodyOf(response), MAX_DOCUMENT_BYTES, tooLong);
}

/** The JSON object of a small document. @throws Fault invalidData */
export async function jsonOf(response: Response): Promise<Record<string, unknown>> {
  return parseObject(await documentOf(response), response.url);
}

/** @throws Fault invalidData */
export function parseObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  const value = parsedObject(Buffer.from(bytes).toString("utf8"));
  if (value === undefined) throw new Fault("invalidData", `${where} is no JSON object`);
  return value;
}

/** Connections that one download may lose on its way. */
const MAX_CUTS = 64;
const HTTP_PARTIAL = 206;
const HTTP_RANGE_NOT_SATISFIABLE = 416;

/**
 * Bytes from `offset` on of what `open` asks for with its headers added. A connection that is cut in the middle is made again and goes
 * on where it was (RFC 9110 §14), as long as each brings something. @throws Fault notResponding when it does not
 */
export async function* resumed(
  open: (headers: Readonly<Record<string, string>>) => Promise<Response>,
  offset: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let at = offset;
  for (let cuts = 0; ; cuts++) {
    const begun = at;
    try {
      // the hash is that of the bytes themselves, and a range counts those that are sent
      const identity = { "accept-encoding": "identity" };
      const response = await open(at === 0 ? identity : { ...identity, range: `bytes=${at}-` });
      for await (const chunk of bodyFrom(response, at)) {
        at += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault) throw error;
      if (at > begun && cuts < MAX_CUTS) continue;
      throw new Fault("notResponding", `The download stopped at byte ${at}`, undefined, error);
    }
  }
}

/** What an answer has from byte `at` on, whether it begins there or the server knows no ranges. @throws Fault */
async function* bodyFrom(response: Response, at: number): AsyncGenerator<Uint8Array> {
  // there is nothing behind `at`: all is here already
  if (at > 0 && response.status === HTTP_RANGE_NOT_SATISFIABLE) {
    await response.body?.cancel();
    return;
  }
  requireOk(response);
  let skip = at - startOf(response);
  if (skip < 0) throw new Fault("invalidData", `${response.url} begins behind byte ${at}, which was asked for`);
  for await (const chunk of bodyOf(response)) {
    const rest = chunk.subarray(skip);
    skip -= chunk.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}

/** The first byte of an answer; 0 for a whole one. */
function startOf({ status, headers }: Response): number {
  if (status !== HTTP_PARTIAL) return 0;
  const [, start] = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "") ?? [];
  return Number(start ?? Number.POSITIVE_INFINITY);
}

/** Body of an answer as it comes. */
export async function* bodyOf(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  for await (const chunk of response.body) yield chunk as Uint8Array;
}
