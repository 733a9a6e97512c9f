/** What the requests of this port have in common: which web pages may send them, their bodies, and how they are answered. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { JSON_TYPE } from "#core/media-types.ts";
import { Arrival } from "./budget.ts";
import { Gather } from "./gather.ts";
import { actorOf, type ListenOptions } from "./listener.ts";
import { nak } from "./outcome.ts";

const MAX_SHOWN = 100;

export interface HttpOptions extends ListenOptions {
  /** Web pages that may connect. */
  readonly origins: readonly string[];
}

/**
 * An address, not a name: those can be made to lead here by whoever owns the page. Some clients (websocket-client of Python, and with it
 * python-socketio) state as origin where they connect to; there are no pages, so none can do that.
 */
const ADDRESS = /^(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?$/i;

function isOwn(origin: string, host: string | undefined): boolean {
  return host !== undefined && ADDRESS.test(host) && (origin === `http://${host}` || origin === `https://${host}`);
}

/** Programs name no origin, or our own. A page of anyone's must not reach through a browser what only the browser can reach. */
export function mayConnect({ origin, host }: IncomingHttpHeaders, { origins, onProblem }: HttpOptions): boolean {
  if (origin === undefined || isOwn(origin, host) || origins.includes(origin)) return true;
  onProblem(`The origin ${origin.slice(0, MAX_SHOWN)} is not among skybrush.origins`, "http");
  return false;
}

/** Whether its sender has not sent too much; else the request is answered, or its connection closed. */
export function inTime({ socket }: IncomingMessage, response: ServerResponse, { rate }: HttpOptions): boolean {
  const verdict = rate.judge(actorOf(socket.remoteAddress));
  if (verdict === "refuse") answer(response, 429, JSON.stringify(nak(rate.reason)), JSON_TYPE);
  else if (verdict === "drop") socket.destroy();
  return verdict === "take";
}

/** Whether a request may go on; else it is answered. */
export function admit(request: IncomingMessage, response: ServerResponse, options: HttpOptions): boolean {
  const { origin } = request.headers;
  if (!mayConnect(request.headers, options)) {
    answer(response, 403, "");
    return false;
  }
  if (origin !== undefined) response.setHeader("Access-Control-Allow-Origin", origin);
  return true;
}

export function answer(response: ServerResponse, status: number, text: string, type = "text/plain"): void {
  if (response.headersSent) return;
  response
    .writeHead(status, { "Content-Type": `${type}; charset=UTF-8`, "Cache-Control": "no-store", ...CLOSING[status] })
    .end(text);
}

/** The rest of such a body is not read. */
const CLOSING: Readonly<Record<number, object>> = {
  413: { Connection: "close" },
  429: { Connection: "close", "Retry-After": "1" },
  503: { Connection: "close" },
};

/** A body as text, for `take`; one that is too long, too slow, or has no room is refused. */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
  take: (text: string) => void,
): void {
  const body = new Gather(options.maxMessageBytes);
  let refused = false;
  const refuse = (status: number, problem: string) => {
    if (refused) return;
    refused = true;
    options.onProblem(problem, "http");
    answer(response, status, problem);
    response.on("finish", () => request.destroy());
  };
  const arrival = new Arrival(options, (problem) => refuse(503, problem));
  request.on("data", (piece: Uint8Array) => {
    if (refused) return;
    body.add(piece);
    if (body.tooLong) refuse(413, "The message is too long");
    else arrival.hold(body.size);
  });
  request.on("end", () => {
    arrival.hold(0);
    if (!refused) take(body.text());
  });
  request.on("close", () => arrival.hold(0));
  request.on("error", (problem) => options.onProblem(problem, "http"));
}
