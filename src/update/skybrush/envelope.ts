/**
 * The envelope of Flockwave messages: `{"$fw.version", id, refs?, body}`. One encode, one decode; the decode is total: what is no request
 * is told apart by whether it can be answered at all.
 */
import { randomBytes } from "node:crypto";
import { isObject } from "#core/json.ts";

export interface Body {
  readonly type: string;
  readonly [member: string]: unknown;
}

export interface Request {
  readonly id: string;
  readonly body: Body;
}

/** `bad`: not a request; answered with ACK-NAK when it has an id. */
export type Incoming =
  | ({ readonly kind: "request" } & Request)
  | { readonly kind: "bad"; readonly id: string | undefined; readonly reason: string };

const VERSION = "1.0";
const VERSION_FORM = /^[0-9]+(\.[0-9]+){0,2}$/;
const MAX_ID_LENGTH = 36;
/** 60 random bits. */
const ID_LENGTH = 10;

/** A new id, for messages and receipts. */
export function newId(): string {
  return randomBytes(8).toString("base64url").slice(0, ID_LENGTH);
}

/** More members and elements than any request has: a few bytes of text each, but many of memory. */
const MAX_PARTS = 65_536;

/** @throws when it is no JSON, or would take far more memory than its text */
export function parse(text: string): unknown {
  let parts = 0;
  for (const mark of ",[{") {
    for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) {
      if (++parts > MAX_PARTS) throw new RangeError("The message has too many parts");
    }
  }
  return JSON.parse(text);
}

/** `bare`: a body without an envelope will do too, where answers need no id. */
export function readText(text: string, bare = false): Incoming {
  try {
    const message = parse(text);
    if (!bare || !isObject(message) || "body" in message || typeof message.type !== "string")
      return readMessage(message);
    return { kind: "request", id: newId(), body: message as Body };
  } catch (error) {
    const reason = error instanceof RangeError ? error.message : "The message is no JSON";
    return { kind: "bad", id: undefined, reason };
  }
}

export function readMessage(message: unknown): Incoming {
  if (!isObject(message)) return { kind: "bad", id: undefined, reason: "The message is no object" };
  const { id: given, body, "$fw.version": version } = message;
  const id = typeof given === "string" && given.length > 0 && given.length <= MAX_ID_LENGTH ? given : undefined;
  const bad = (reason: string): Incoming => ({ kind: "bad", id, reason });
  if (id === undefined) return bad("The message has no id of 1 to 36 characters");
  if (typeof version !== "string" || !VERSION_FORM.test(version)) return bad("The message has no $fw.version");
  if (!isObject(body) || typeof body.type !== "string") return bad("The message has no body with a type");
  if ("error" in message) return bad("The message has a body and an error");
  return { kind: "request", id, body: body as Body };
}

/** The answer to a request. */
export function responseTo(id: string, body: Body): object {
  return { "$fw.version": VERSION, id: newId(), refs: id, body };
}

/** A message of our own. */
export function notification(body: Body): object {
  return { "$fw.version": VERSION, id: newId(), body };
}
