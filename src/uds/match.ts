/** Which response belongs to which request (ISO 14229-1 clause 7.5): one total function over the service table. */
import { type NrcRetry, nrcRetry } from "./nrc.ts";
import {
  hasSubFunction,
  matchBytes,
  NEGATIVE_RESPONSE_SID,
  POSITIVE_RESPONSE_OFFSET,
  SUPPRESS_POSITIVE_RESPONSE_BIT,
} from "./services.ts";

/** `foreign`: not an answer to this request; `negative`: a refusal to hand on; the others are refusals with a rule of their own. */
export type Match = "positive" | "negative" | Exclude<NrcRetry, "never"> | "foreign";

/** What `response` is to `request`. Never throws; the NRC of a refusal is byte 2. */
export function matchResponse(request: Uint8Array, response: Uint8Array): Match {
  if (!answersService(request, response)) return "foreign";
  if (response[0] === NEGATIVE_RESPONSE_SID) return matchRefusal(response);
  return echoes(request, response) ? "positive" : "foreign";
}

/** Whether the service of `response` is that of `request`: enough to know that the request arrived. */
export function answersService(request: Uint8Array, response: Uint8Array): boolean {
  if (request.length === 0 || response.length === 0) return false;
  if (response[0] === NEGATIVE_RESPONSE_SID) return response[1] === request[0];
  return response[0] === ((request[0]! + POSITIVE_RESPONSE_OFFSET) & 0xff);
}

/** Whether a complete response is a refusal, `7F SID NRC`. */
export function isNegative(response: Uint8Array): boolean {
  return response.length >= 3 && response[0] === NEGATIVE_RESPONSE_SID;
}

function matchRefusal(response: Uint8Array): Match {
  if (response.length < 3) return "foreign";
  const retry = nrcRetry(response[2]!);
  return retry === "never" ? "negative" : retry;
}

function echoes(request: Uint8Array, response: Uint8Array): boolean {
  const sid = request[0]!;
  const bytes = Math.min(matchBytes(sid), request.length);
  if (response.length < bytes) return false;
  for (let i = 1; i < bytes; i++) {
    // Some ECUs answer with the suppress bit as it was sent, some without.
    const mask = i === 1 && hasSubFunction(sid) ? ~SUPPRESS_POSITIVE_RESPONSE_BIT : 0xff;
    if ((request[i]! & mask & 0xff) !== (response[i]! & mask & 0xff)) return false;
  }
  return true;
}
