/** Cross-origin calls from browsers: none by default, exact origins by configuration. */
import type { Outgoing } from "./dispatch.ts";

const METHODS = "GET, HEAD, POST, PUT, DELETE, PATCH";
const EXPOSED = "Location, Allow, Retry-After";
/** Seconds a browser may keep the answer to a preflight. */
const MAX_AGE_S = 600;

/** Headers that let `origin` read an answer; undefined when it may not. */
export function corsHeaders(origin: string, allowed: readonly string[]): Record<string, string> | undefined {
  if (origin === "" || !allowed.includes(origin)) return undefined;
  return { "Access-Control-Allow-Origin": origin, Vary: "Origin", "Access-Control-Expose-Headers": EXPOSED };
}

/** Answer to the question a browser asks before the request itself. `requested`: the headers it wants to send. */
export function preflight(cors: Readonly<Record<string, string>>, requested: string): Outgoing {
  const headers: Record<string, string> = {
    ...cors,
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Max-Age": String(MAX_AGE_S),
  };
  if (requested !== "") headers["Access-Control-Allow-Headers"] = requested;
  return { status: 204, headers };
}

/** `answer` with the headers of cross-origin calls. */
export function withCors<T extends Outgoing>(answer: T, cors: Readonly<Record<string, string>> | undefined): T {
  return cors === undefined ? answer : { ...answer, headers: { ...answer.headers, ...cors } };
}
