/**
 * drogue-ajour over CoAP: `POST /v1/dfu?ct=<s>`, as Drogue Cloud's endpoint has it. Without DTLS, so for links that are private anyway.
 */
import { createSocket } from "node:dgram";
import { FAULTS, Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { CODE, decodeUint, encodeUint, OPTION } from "./coap-codec.ts";
import { type CoapAnswer, CoapExchanges, type CoapRequest } from "./coap-exchanges.ts";
import { CHANNEL, MAX_REPORT_BYTES, type Transport, type TransportParts } from "./transport.ts";

export interface CoapOptions {
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  readonly max_block_bytes: number;
  readonly max_amplification: number;
}

const PATH = `v1/${CHANNEL}`;
/** Content-Format of octets and of CBOR (RFC 7252 §12.3). */
const OCTETS = 42;
const CBOR = 60;
/** Of 4.29 (RFC 8516 §3): seconds until the next request; 60 when it is not said. */
const COME_AGAIN = { number: OPTION.maxAge, value: encodeUint(1) };
/** Critical options that are understood. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  OPTION.uriHost,
  OPTION.uriPort,
  OPTION.uriPath,
  OPTION.uriQuery,
  OPTION.accept,
  OPTION.drogueAuthorization,
]);

/** Listens. @throws Fault misconfigured when the port cannot be had */
export async function startCoap(options: CoapOptions, parts: TransportParts): Promise<Transport> {
  const exchanges = new CoapExchanges({
    serve: (request, maxBytes) => serve(request, maxBytes, options, parts),
    maxAmplification: options.max_amplification,
    understood: UNDERSTOOD,
    maxBodyBytes: MAX_REPORT_BYTES,
    clock: systemClock,
  });
  const socket = createSocket(options.address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (datagram, peer) => {
    const { address, port } = peer;
    // a sender can write any port, and 0 is none to answer to
    const reply = port === 0 ? undefined : exchanges.take(datagram, peer);
    if (reply !== undefined)
      socket.send(reply, port, address, (problem) => problem && parts.onProblem(problem, "coap"));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", (error) => {
      reject(new Fault("misconfigured", `CoAP on ${options.address}: ${error.message}`, undefined, error));
    });
    socket.bind(options.port, options.address, resolve);
  });
  socket.on("error", (problem) => parts.onProblem(problem, "coap"));
  return { port: socket.address().port, close: () => new Promise((resolve) => socket.close(resolve)) };
}

function serve(request: CoapRequest, maxBytes: number, options: CoapOptions, parts: TransportParts): CoapAnswer {
  try {
    if (textsOf(request, OPTION.uriPath).join("/") !== PATH) throw new Fault("notFound", "There is no such resource");
    if (request.code !== CODE.post) throw new Fault("methodNotAllowed", "Only POST is answered");
    return answer(request, maxBytes, options, parts);
  } catch (error) {
    if (!(error instanceof Fault)) parts.onProblem(error, "coap");
    const kind = error instanceof Fault ? error.kind : "internal";
    const text = error instanceof Fault ? error.message : "The server failed";
    const refusal = { code: codeOf(FAULTS[kind].status), payload: Buffer.from(text) };
    return kind === "tooManyRequests" ? { ...refusal, options: [COME_AGAIN] } : refusal;
  }
}

function answer(
  request: CoapRequest,
  maxBytes: number,
  { max_block_bytes }: CoapOptions,
  parts: TransportParts,
): CoapAnswer {
  const { desk, registry } = parts;
  const query = new Map(textsOf(request, OPTION.uriQuery).map(pairOf));
  const identity = registry.identify({
    authorization: textsOf(request, OPTION.drogueAuthorization)[0] ?? "",
    application: query.get("application"),
    device: query.get("device"),
    as: query.get("as"),
  });
  const format = formatOf(request);
  if (format === undefined) return { code: CODE.notAcceptable };
  if (!isWaiting(query.get("ct"))) {
    desk.hear(identity, request.payload);
    return { code: CODE.changed };
  }
  return {
    code: CODE.content,
    options: [
      { number: OPTION.drogueCommand, value: Buffer.from(CHANNEL) },
      { number: OPTION.contentFormat, value: encodeUint(format) },
    ],
    payload: desk.answer(identity, request.payload, max_block_bytes, maxBytes),
  };
}

/** Whether the device waits for a command: seconds in `ct`. @throws Fault invalidParameter */
function isWaiting(ct: string | undefined): boolean {
  if (ct !== undefined && !/^\d+$/.test(ct)) throw new Fault("invalidParameter", "ct is a number of seconds");
  return Number(ct ?? 0) > 0;
}

/** What the answer is to be; undefined: the device wants neither. */
function formatOf({ options }: CoapRequest): number | undefined {
  const accept = options.find(({ number }) => number === OPTION.accept);
  const format = accept === undefined ? OCTETS : decodeUint(accept.value);
  return format === OCTETS || format === CBOR ? format : undefined;
}

/** CoAP's codes are HTTP's where both have one (RFC 7252 §5.9, RFC 8516); else the plain one of the class. */
function codeOf(status: number): number {
  const shared = new Set([400, 401, 403, 404, 405, 413, 415, 429, 500, 501, 502, 503, 504]);
  const code = shared.has(status) ? status : Math.floor(status / 100) * 100;
  return (Math.floor(code / 100) << 5) | (code % 100);
}

function textsOf({ options }: CoapRequest, number: number): string[] {
  return options.filter((option) => option.number === number).map(({ value }) => Buffer.from(value).toString("utf8"));
}

function pairOf(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
