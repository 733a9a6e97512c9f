/**
 * drogue-ajour over CoAP: `POST /v1/dfu?ct=<s>`, as Drogue Cloud's endpoint has it. Without DTLS, so for links that are private anyway.
 */
import type { IncomingMessage, OutgoingMessage, Server } from "coap";
import { FAULTS, Fault } from "#core/errors.ts";
import { CHANNEL, MAX_REPORT_BYTES, type Transport, type TransportParts } from "./transport.ts";

export interface CoapOptions {
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  readonly max_block_bytes: number;
}

/** Options of Drogue Cloud: `Basic …` of the request, name of the command of the answer. */
const AUTHORIZATION_OPTION = "4209";
const COMMAND_OPTION = "4210";
const PATH = `/v1/${CHANNEL}`;
const CONTENT = "2.05";
const CHANGED = "2.04";

/** Listens. @throws Fault misconfigured when the port cannot be had */
export async function startCoap(options: CoapOptions, parts: TransportParts): Promise<Transport> {
  const { createServer } = await import("coap");
  const server: Server = createServer({ type: options.address.includes(":") ? "udp6" : "udp4" });
  server.on("request", (request: IncomingMessage, response: OutgoingMessage) => {
    handle(request, response, options, parts);
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", (error: Error) => {
      reject(new Fault("misconfigured", `CoAP on ${options.address}: ${error.message}`, undefined, error));
    });
    server.listen(options.port, options.address, () => resolve(portOf(server)));
  });
  server.on("error", (problem: Error) => parts.onProblem(problem, "coap"));
  return { port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

function portOf(server: Server): number {
  const socket = server._sock as { address?(): { readonly port: number } } | null;
  return socket?.address?.().port ?? 0;
}

function handle(
  request: IncomingMessage,
  response: OutgoingMessage,
  options: CoapOptions,
  parts: TransportParts,
): void {
  try {
    const [path, query = ""] = request.url.split("?", 2);
    if (path !== PATH) throw new Fault("notFound", "There is no such resource");
    if (request.method !== "POST") throw new Fault("methodNotAllowed", "Only POST is answered");
    if (request.payload.length > MAX_REPORT_BYTES) throw new Fault("payloadTooLarge", "The report is too long");
    answer(request, response, new URLSearchParams(query), options, parts);
  } catch (error) {
    if (!(error instanceof Fault)) parts.onProblem(error, "coap");
    const status = error instanceof Fault ? FAULTS[error.kind].status : 500;
    response.code = coapCode(status);
    response.end(Buffer.from(error instanceof Fault ? error.message : "The server failed"));
  }
}

function answer(
  request: IncomingMessage,
  response: OutgoingMessage,
  search: URLSearchParams,
  options: CoapOptions,
  { desk, registry }: TransportParts,
): void {
  const identity = registry.identify({
    authorization: optionOf(request, AUTHORIZATION_OPTION),
    application: search.get("application") ?? undefined,
    device: search.get("device") ?? undefined,
    as: search.get("as") ?? undefined,
  });
  const command = desk.answer(identity, request.payload, options.max_block_bytes);
  // who does not say that it waits for a command gets none
  response.code = search.has("ct") ? CONTENT : CHANGED;
  if (!search.has("ct")) {
    response.end();
    return;
  }
  response.setOption(COMMAND_OPTION as never, Buffer.from(CHANNEL));
  response.setOption("Content-Format", "application/octet-stream");
  response.end(Buffer.from(command));
}

/** CoAP's codes are HTTP's where both have one (RFC 7252 §5.9); else the plain one of the class. */
function coapCode(status: number): string {
  const shared = new Set([400, 401, 403, 404, 405, 413, 415, 500, 501, 502, 503, 504]);
  const code = shared.has(status) ? status : Math.floor(status / 100) * 100;
  return `${Math.floor(code / 100)}.${String(code % 100).padStart(2, "0")}`;
}

function optionOf(request: IncomingMessage, name: string): string {
  const option = request._packet.options?.find((each) => String(each.name) === name);
  return Buffer.isBuffer(option?.value) ? option.value.toString("utf8") : "";
}
