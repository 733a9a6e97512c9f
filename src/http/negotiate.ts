/** Which form a body has and which form the answer takes. */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE, JSON_TYPE } from "#core/media-types.ts";
import type { Accept } from "#fleet/messages.ts";

/** Media type without parameters, lower case. */
export function mediaType(header: string): string {
  const end = header.indexOf(";");
  return (end === -1 ? header : header.slice(0, end)).trim().toLowerCase();
}

const FORMS: Readonly<Record<string, Accept>> = { [JSON_TYPE]: "json", [BYTES_TYPE]: "raw" };

/**
 * Form of the answer. Nothing or any type takes the form of the request body, else JSON; of a list the first that we have.
 * Fault `badRequest` when we have none of them; `refusal` begins its text.
 */
export function acceptedForm(accept: string, contentType: string, refusal = "Unsupported Accept"): Accept {
  if (accept === "" || accept === "*/*") return FORMS[mediaType(contentType)] ?? "json";
  if (accept === JSON_TYPE) return "json";
  requireText(accept);
  for (const entry of accept.split(",")) {
    const type = mediaType(entry);
    if (!type.includes("/")) throw new Fault("badRequest", `Failed to parse mime type ${entry.trim()}`);
    const form = type === "*/*" ? (FORMS[mediaType(contentType)] ?? "json") : FORMS[type];
    if (form !== undefined) return form;
  }
  throw new Fault("badRequest", `${refusal}: ${accept}`);
}

/** A header that is compared with media types is ASCII (RFC 9110, 5.5). */
export function requireText(header: string): void {
  if (!/^[\t\x20-\x7e]*$/.test(header)) {
    throw new Fault("badRequest", "Invalid header value: failed to convert header to a str");
  }
}

/** `genericservice`: both headers say bytes. */
export function requireBytes(accept: string, contentType: string): void {
  requireText(contentType);
  requireText(accept);
  if (mediaType(contentType) !== BYTES_TYPE) throw new Fault("badRequest", `Unsupported mime-type: ${contentType}`);
  if (mediaType(accept) !== BYTES_TYPE) throw new Fault("badRequest", `Unsupported Accept: ${accept}`);
}
