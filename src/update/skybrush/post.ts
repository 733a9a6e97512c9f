/**
 * `POST /api/v1`: one message, with or without envelope, answered with the body of its answer. What an answer gives receipts for is waited
 * for, so that there are results or errors in their place.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { bearerToken } from "#security/claims.ts";
import { type Body, type Incoming, readText } from "./envelope.ts";
import { admit, answer, type HttpOptions, readBody } from "./http.ts";
import type { Hub, Session } from "./hub.ts";
import { actorOf } from "./listener.ts";
import { nak, Outcome } from "./outcome.ts";

export const POST_PATH = /^\/api\/v1\/?$/;

export function handlePost(request: IncomingMessage, response: ServerResponse, options: HttpOptions): void {
  if (!admit(request, response, options)) return;
  if (request.method !== "POST") {
    response.setHeader("Allow", "POST");
    answer(response, 405, "");
    return;
  }
  readBody(request, response, options, (text) => {
    const send = (status: number, body: Body) => answer(response, status, JSON.stringify(body), JSON_TYPE);
    const incoming = readText(text, true);
    if (incoming.kind === "bad") {
      send(400, nak(incoming.reason));
      return;
    }
    const session = ask(options.hub, actorOf(request.socket.remoteAddress), (body) => send(200, body));
    response.on("close", () => session.close());
    begin(session, request.headers.authorization, incoming).catch((error: unknown) => {
      send(401, nak(error instanceof Fault ? error.message : "The server failed"));
    });
  });
}

async function begin(session: Session, authorization: string | undefined, incoming: Incoming): Promise<void> {
  if (authorization !== undefined) await session.authenticate?.(bearerToken(authorization));
  session.receive(incoming);
}

/** A session for one message. `done`: called with its answer, once there is nothing more to wait for. */
function ask(hub: Hub, actor: string, done: (body: Body) => void): Session {
  /** Receipt → object. */
  const open = new Map<string, string>();
  const outcome = new Outcome();
  let first: Body | undefined;
  return hub.connect(actor, (message) => {
    const { body } = message as { readonly body: Body };
    if (first === undefined) {
      first = body;
      const { receipt = {}, error = {} } = body as Readonly<Record<string, Record<string, string>>>;
      for (const [object, each] of Object.entries(receipt)) open.set(each, object);
      for (const [object, problem] of Object.entries(error)) outcome.error(object, problem);
    } else settle(body, open, outcome);
    if (open.size === 0) done(first.receipt === undefined ? first : outcome.body(first.type));
  });
}

/** One notification. */
function settle({ type, id, ids, result, error }: Body, open: Map<string, string>, outcome: Outcome): void {
  const over = type === "ASYNC-RESP" ? [id] : type === "ASYNC-TIMEOUT" ? (ids as unknown[]) : [];
  for (const receipt of over as string[]) {
    const object = open.get(receipt);
    if (object === undefined) continue;
    open.delete(receipt);
    if (type === "ASYNC-TIMEOUT") outcome.error(object, "The operation timed out");
    else if (error !== undefined) outcome.error(object, String(error));
    else outcome.add("result", object, result);
  }
}
